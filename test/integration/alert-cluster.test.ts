// Mail from real monitors about a real cluster, through a real SMTP server.
import { describe, expect, test } from "vitest";
import { mailServer, type TestMailServer } from "../support/mail-server.ts";
import { MonitoredCluster } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

const AOF = ["appendonly yes", "appendfsync always"];

async function clusterWith(server: TestMailServer): Promise<MonitoredCluster> {
  const cluster = await MonitoredCluster.create({
    partitions: 2,
    nodesPerPartition: 1,
    dataSettings: AOF,
  });
  const lines = [
    "alert-mail ops@example.com",
    `alert-smtp smtp://localhost:${server.port}`,
    "alert-after 1s",
  ];
  await cluster.writeConf(`${cluster.conf}${lines.join("\n")}\n`);
  return cluster;
}

function subjects(server: TestMailServer): string[] {
  return server.mails.map(({ subject }) => subject ?? "");
}

function eventsOf(log: string): { msg: string; why?: string; subject?: string }[] {
  return log
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { msg: string; why?: string });
}

describe.skipIf(isMissing("redis-server"))("mail about a cluster", () => {
  test("comes once for a lost partition, also when the mail server was away, and the next alpha mails the recovery alone", async () => {
    const server = await mailServer();
    const cluster = await clusterWith(server);
    cluster.startMonitors();
    const { alpha } = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const link = await cluster.node("p0-1").link();
    await link.call("SET", "k", "v");
    await cluster.node("p0-1").kill();
    await cluster.viewWhere("HALT", ({ state }) => state === "HALT");
    // On a busy machine another monitor may have become alpha meanwhile.
    const failures = (): string[] =>
      ["m1", "m2", "m3"].flatMap((name) =>
        eventsOf(cluster.monitorLog(name)).flatMap(({ msg, why }) =>
          msg === "-alert" ? [why ?? ""] : [],
        ),
      );
    await until("a mail failed", () => failures().length > 0);
    expect(failures()[0]).toContain(`no SMTP server listens on localhost:${server.port}`);
    const failed = await cluster.viewWhere("the view says so", (view) => "mailFailed" in view);
    expect(failed.mailFailed?.why).toContain(`no SMTP server listens on localhost:${server.port}`);
    const { out } = await cluster.run("twine-status");
    expect(out.replace(/\s+/g, " ")).toMatch(
      /alert-mail no mail could be sent since .*no SMTP server/,
    );
    expect(out).toContain("twined --test-alert");

    await server.start();
    await until("the mail came", () => server.mails.length > 0, 30_000);
    await cluster.viewWhere("the view says no more of it", (view) => !("mailFailed" in view));
    const [first] = server.mails;
    expect(first?.subject).toBe("[twine test] HALT: partition 0 has no master; p0-1 is dead");
    for (const part of [first?.text, first?.html]) {
      expect(part).toContain("The cluster test is HALT.");
      expect(part).toMatch(/partition 0 has no master, the last one was p0-1/);
      expect(part).toContain("twine-start localhost");
    }
    await until("it is recorded", async () => {
      const record = await (await cluster.node("s1").link()).call("HGET", "test:mailed", "book");
      return typeof record === "string" && record.includes('"isTold":true');
    });

    await cluster.endMonitor(alpha, "SIGKILL");
    await cluster.node("p0-1").start();
    const served = await cluster.viewWhere(
      "a master again under the next alpha",
      ({ alpha: now, partitions }) => now !== alpha && partitions[0]?.master === "p0-1",
    );
    await until("the recovery came", () => subjects(server).some((one) => one.includes("again")));
    const over = server.mails.find(({ subject }) => subject?.includes("again"));
    expect(over?.subject).toContain("partition 0 has a master again; p0-1 is back");
    expect(over?.text).toContain("partition 0 had no master");
    expect(over?.text).toContain(`From monitor ${served.alpha}, alpha of epoch ${served.epoch}.`);
    expect(subjects(server).filter((one) => one.includes("HALT"))).toHaveLength(1);
  }, 120_000);

  test("nobody is mailed about a replica that is back within alert-after, and without alert-mail nothing is tried", async () => {
    const cluster = await MonitoredCluster.create({
      partitions: 1,
      nodesPerPartition: 2,
      dataSettings: [],
    });
    cluster.startMonitors();
    const { alpha } = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    await cluster.node("p0-2").kill();
    await cluster.viewWhere("DEGRADED", ({ state }) => state === "DEGRADED");
    await cluster.node("p0-2").start();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const events = eventsOf(cluster.monitorLog(alpha));
    expect(events.filter(({ msg }) => /alert/.test(msg))).toEqual([]);
  });
});

describe("twined --test-alert", () => {
  test("sends one mail and says what the server answered", async () => {
    const server = await mailServer();
    await server.start();
    const cluster = await clusterWith(server);
    const ran = await cluster.run("twined", "--test-alert");
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(
      new RegExp(`^smtp://localhost:${server.port} took the mail for ops@example.com: 250 `),
    );
    expect(subjects(server)).toEqual(["[twine test] test"]);
    const json = await cluster.run("twined", "--test-alert", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ accepted: ["ops@example.com"] });
  });

  test("without alert-mail, or without a server, says which line or place and what to do", async () => {
    const server = await mailServer();
    const cluster = await clusterWith(server);
    const away = await cluster.run("twined", "--test-alert");
    expect(away.code).toBe(1);
    expect(away.err).toContain(
      `error: no SMTP server listens on localhost:${server.port}, the alert-smtp of ${cluster.confFile}`,
    );
    await cluster.writeConf(cluster.conf.replace(/^alert-.*\n/gm, ""));
    const unset = await cluster.run("twined", "--test-alert");
    expect(unset.code).toBe(1);
    expect(unset.err).toContain(`error: ${cluster.confFile} has no alert-mail line`);
    expect(unset.err).toContain("add a line: alert-mail NAME@DOMAIN");
  });
});
