// The register on real status nodes: three and five redis-servers, killed, stopped, emptied and raced for.
import { describe, expect, test } from "vitest";
import { readRegister } from "../../runtime/register/read.ts";
import type { Proposer } from "../../runtime/register/register.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes, type StatusNodes } from "../support/status-nodes.ts";

const REASONS_FOREIGN: readonly string[] = ["s1", "s2", "s3"].map(
  (name) =>
    `status node ${name} belongs to cluster "twine", not to "other": ` +
    "give it status nodes of its own, or correct the cluster line of twine.conf",
);
const draft = (body: string, revision: number) => ({ body, epoch: 1, revision });

/** Prepares, again while refused or while links come back. */
async function prepareWithin(proposer: Proposer): Promise<string | null | undefined> {
  let body: string | null | undefined;
  await until("a proposer is prepared", async () => {
    const prepared = await proposer.prepare();
    if (prepared.kind !== "prepared") return false;
    body = prepared.value?.body;
    return true;
  });
  return body;
}

async function leading(nodes: StatusNodes, name = "m1"): Promise<Proposer> {
  const proposer = nodes.proposer(name);
  await prepareWithin(proposer);
  expect(await proposer.write(draft("one", 1))).toMatchObject({ kind: "chosen" });
  return proposer;
}

describe.skipIf(isMissing("redis-server"))("the register on real status nodes", () => {
  test.for([3, 5])("survives kill -9 and restart of all %i status nodes", async (count) => {
    const nodes = await startStatusNodes(count);
    const proposer = await leading(nodes);
    expect(await proposer.write(draft("two", 2))).toMatchObject({ kind: "chosen" });
    await Promise.all(nodes.servers.map((server) => server.kill()));
    expect(await proposer.beat()).toMatchObject({ kind: "no-majority" });
    await Promise.all(nodes.servers.map((server) => server.start()));
    expect(await prepareWithin(nodes.proposer("m2"))).toBe("two");
    expect(await readRegister(nodes.acceptors())).toMatchObject({ value: { body: "two" } });
  });

  test.for([3, 5])(
    "chooses without any minority of %i, and nothing with one alone",
    async (count) => {
      const nodes = await startStatusNodes(count);
      const proposer = await leading(nodes);
      const minority = nodes.servers.slice(0, Math.floor((count - 1) / 2));
      await Promise.all(minority.map((server) => server.kill()));
      expect(await proposer.write(draft("two", 2))).toMatchObject({ kind: "chosen" });
      await nodes.servers[count - 1]?.kill();
      const failed = await proposer.write(draft("three", 3));
      expect(failed).toMatchObject({ kind: "no-majority" });
      expect(failed.kind === "no-majority" && failed.reasons).toHaveLength(minority.length + 1);
      expect(await proposer.prepare()).toMatchObject({ kind: "no-majority" });
      await Promise.all(minority.map((server) => server.start()));
      // "three" may be found or not; what was chosen is in either.
      expect(["two", "three"]).toContain(await prepareWithin(proposer));
    },
  );

  test("a paused status node delays nobody, and has the newest body soon after it wakes", async () => {
    const nodes = await startStatusNodes(3, { leaseMs: 2000 });
    const proposer = await leading(nodes);
    nodes.servers[2]?.signal("SIGSTOP");
    for (let revision = 2; revision < 30; revision++) {
      const body = revision === 29 ? "last" : "x";
      expect(await proposer.write(draft(body, revision))).toMatchObject({ kind: "chosen" });
    }
    nodes.servers[2]?.signal("SIGCONT");
    const [, , third] = nodes.acceptors();
    await until("the paused node holds the last body", async () => {
      expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
      return (await third?.read(true))?.accepted?.value.body === "last";
    });
  });

  test("two monitors that race write one history", async () => {
    const nodes = await startStatusNodes(3);
    const written: { revision: number; heartbeat: number; body: string }[] = [];
    const race = async (name: string): Promise<void> => {
      const proposer = nodes.proposer(name);
      let wins = 0;
      for (let attempt = 0; attempt < 400 && wins < 12; attempt++) {
        const prepared = await proposer.prepare();
        if (prepared.kind !== "prepared") continue;
        const before = prepared.value ?? { body: "", epoch: 1, revision: 0 };
        const revision = before.revision + 1;
        const body = `${before.body ?? ""}/${name}.${wins}`;
        const chosen = await proposer.write({ body, epoch: before.epoch, revision });
        if (chosen.kind !== "chosen") continue;
        written.push({ revision, heartbeat: chosen.value.heartbeat, body });
        wins++;
      }
    };
    await Promise.all([race("m1"), race("m2"), race("m3")]);
    const history = written.toSorted((a, b) => a.heartbeat - b.heartbeat);
    expect(new Set(history.map(({ heartbeat }) => heartbeat)).size).toBe(history.length);
    for (const [index, { body, revision }] of history.entries()) {
      const before = history[index - 1];
      expect(body.startsWith(before?.body ?? "")).toBe(true);
      expect(revision).toBeGreaterThan(before?.revision ?? 0);
    }
    expect(history.length).toBeGreaterThanOrEqual(12);
  });

  test("an emptied status node is seeded again and carries the register on", async () => {
    const nodes = await startStatusNodes(3);
    const proposer = await leading(nodes);
    const link = await nodes.servers[0]?.link();
    await link?.call("FLUSHALL");
    const [first] = nodes.acceptors();
    await until("the emptied node holds the body again", async () => {
      expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
      return (await first?.read(true))?.accepted?.value.body === "one";
    });
    await nodes.servers[1]?.kill();
    expect(await proposer.write(draft("two", 2))).toMatchObject({ kind: "chosen" });
  });

  test("a first start names the status node that is missing", async () => {
    const nodes = await startStatusNodes(3);
    await nodes.servers[1]?.kill();
    const proposer = nodes.proposer("m1");
    const prepared = await proposer.prepare();
    expect(prepared).toMatchObject({
      kind: "no-majority",
      reasons: [
        "status node s1 is empty; it votes once a majority agrees without it",
        expect.stringMatching(
          /^status node s2 can't be reached: connect ECONNREFUSED 127\.0\.0\.1:\d+/,
        ),
        "status node s3 is empty; it votes once a majority agrees without it",
        "first start needs every status node once: start those that are missing",
      ],
    });
    await nodes.servers[1]?.start();
    expect(await prepareWithin(proposer)).toBeUndefined();
  });

  test("two clusters that name the same status nodes are told apart", async () => {
    const nodes = await startStatusNodes(3);
    const proposer = await leading(nodes);
    const other = nodes.as("other");
    expect(await other.proposer("x1").prepare()).toMatchObject({
      kind: "no-majority",
      reasons: REASONS_FOREIGN,
    });
    const reading = await readRegister(other.acceptors(), "other");
    expect(reading).toMatchObject({ value: null, answered: [] });
    expect(reading.silent.get("s1")).toMatchObject({
      kind: "foreign",
      cause: { message: 'belongs to cluster "twine", not to "other"' },
    });
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
  });
});
