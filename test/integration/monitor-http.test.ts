// What monitors tell over HTTP, on a real cluster: pages, metrics, and what happens when half of it is gone.
import { describe, expect, test } from "vitest";
import { MonitoredCluster } from "../support/monitored-cluster.ts";
import { readExposition, type ReadSample } from "../support/exposition-grammar.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

async function okCluster(): Promise<MonitoredCluster> {
  const cluster = await MonitoredCluster.create({
    partitions: 2,
    nodesPerPartition: 2,
    dataSettings: [],
  });
  cluster.startMonitors();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  return cluster;
}

const PAGES: readonly [path: string, type: string, text: RegExp][] = [
  ["/healthz", "application/json", /"ok":true/],
  ["/status.json", "application/json", /"state": "OK"/],
  ["/status.xml", "application/xml", /^<\?xml .*<status [^>]*state="OK"/s],
  ["/status.html", "text/html; charset=utf-8", /<title>test: OK<\/title>/],
  ["/status.txt", "text/plain; charset=utf-8", /^test.*OK/s],
  ["/metrics", "text/plain; version=0.0.4; charset=utf-8", /^twine_state\{state="OK"\} 1$/m],
];

type Metrics = ReadonlyMap<string, readonly ReadSample[]>;

async function metricsOf(cluster: MonitoredCluster, monitor: string, query = ""): Promise<Metrics> {
  const response = await cluster.fetch(monitor, `/metrics${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const families = readExposition(await response.text());
  return new Map([...families].map(([name, { samples }]) => [name, samples]));
}

function valueOf(metrics: Metrics, name: string, labels: Record<string, string> = {}): number {
  const found = (metrics.get(name) ?? []).filter((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  if (found.length !== 1) throw new Error(`${found.length} samples of ${name}`);
  return found[0]?.value ?? NaN;
}

describe.skipIf(isMissing("redis-server"))("a monitor's HTTP port", () => {
  test("every monitor serves every page, fresh and of its type, and as HEAD without its body", async () => {
    const cluster = await okCluster();
    for (const [path, type, text] of PAGES) {
      for (const monitor of ["m1", "m2", "m3"]) {
        const got = await cluster.fetch(monitor, path);
        expect([path, got.status, got.headers.get("content-type")]).toEqual([path, 200, type]);
        expect(got.headers.get("cache-control")).toBe("no-store");
        expect(await got.text()).toMatch(text);
      }
      const head = await cluster.fetch("m1", path, "HEAD");
      const seen = [head.status, head.headers.get("content-type"), await head.text()];
      expect([path, ...seen]).toEqual([path, 200, type, ""]);
    }
  });

  test("other paths and methods are refused with what there is, and a page lets nothing run", async () => {
    const cluster = await okCluster();
    const lost = await cluster.fetch("m1", "/nothing");
    expect([lost.status, await lost.text()]).toEqual([
      404,
      "there is no /nothing; there are /healthz, /status.json, /status.xml, /status.html, /status.txt, /metrics\n",
    ]);
    const posted = await cluster.fetch("m1", "/status.json", "POST");
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const page = await cluster.fetch("m1", "/status.html");
    expect(page.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; /,
    );
    expect(page.headers.get("x-content-type-options")).toBe("nosniff");
    expect((await cluster.fetch("m1", "/metrics?only=x")).status).toBe(400);
  });

  test("metrics follow a failover and a hung node, and count what every monitor saw", async () => {
    const cluster = await okCluster();
    const link = await cluster.node("p1-1").link();
    await link.call("SET", "k", "v");
    const before = await metricsOf(cluster, "m2");
    expect(valueOf(before, "twine_failovers_total")).toBe(0);
    expect(valueOf(before, "twine_epoch")).toBe(1);
    expect(valueOf(before, "redis_db_keys", { node: "p1-1", db: "db0" })).toBe(1);
    expect(valueOf(before, "redis_commands_total", { node: "p1-1", cmd: "set" })).toBe(1);
    expect(valueOf(before, "twine_node_up", { node: "p0-1", role: "master" })).toBe(1);
    expect(valueOf(before, "twine_node_in_sync", { node: "p0-2" })).toBe(1);
    expect(
      valueOf(before, "twine_register_latency_seconds", {
        node: "s1",
        operation: "read",
        le: "+Inf",
      }),
    ).toBeGreaterThan(0);
    expect((before.get("twine_alpha") ?? []).filter(({ value }) => value === 1)).toHaveLength(1);
    const only = await metricsOf(cluster, "m1", "?only=redis");
    expect([...only.keys()].filter((name) => !name.startsWith("redis_"))).toEqual([]);

    await cluster.node("p0-1").kill();
    await cluster.viewWhere("failed over", ({ partitions }) => partitions[0]?.master === "p0-2");
    for (const monitor of ["m1", "m2", "m3"]) {
      await until(`${monitor} has counted it`, async () => {
        const metrics = await metricsOf(cluster, monitor);
        return (
          valueOf(metrics, "twine_failovers_total") === 1 &&
          valueOf(metrics, "redis_up", { node: "p0-1" }) === 0 &&
          valueOf(metrics, "twine_node_up", { node: "p0-1" }) === 0 &&
          valueOf(metrics, "twine_partition_up", { partition: "0" }) === 1
        );
      });
    }

    // A paused server takes the question and says nothing: the scrape goes on without it.
    cluster.node("p1-2").signal("SIGSTOP");
    try {
      const hung = await metricsOf(cluster, "m3");
      expect(valueOf(hung, "redis_up", { node: "p1-2" })).toBe(0);
      expect(valueOf(hung, "redis_up", { node: "p1-1" })).toBe(1);
    } finally {
      cluster.node("p1-2").signal("SIGCONT");
    }
  });

  test("without a majority of the status nodes health and pages are 503 and still say what is known", async () => {
    const cluster = await okCluster();
    await cluster.node("s1").kill();
    await cluster.node("s2").kill();
    await until("the monitor says why it is unwell", async () => {
      const got = await cluster.fetch("m1", "/healthz");
      const { why } = (await got.json()) as { why: string };
      return got.status === 503 && why.includes("status nodes needed answer");
    });
    const page = await cluster.fetch("m1", "/status.json");
    expect(page.status).toBe(503);
    const { state, register } = (await page.json()) as { state: string; register: object };
    expect(state).not.toBe("OK");
    expect(register).toMatchObject({ statusNodes: 3, answered: ["s3"] });
    const metrics = await metricsOf(cluster, "m1");
    expect(valueOf(metrics, "twine_monitor_ok")).toBe(0);
    expect(valueOf(metrics, "twine_state", { state: "OK" })).toBe(0);
    expect(valueOf(metrics, "twine_status_nodes_answering")).toBe(1);
  });
});
