import { describe, expect, test } from "vitest";
import { compareBallots } from "../../../runtime/register/ballot.ts";
import { memoryAcceptor, type MemoryAcceptor } from "../../../runtime/register/memory-acceptor.ts";
import { createProposer } from "../../../runtime/register/proposer.ts";
import { hasHeartbeatAdvanced, readRegister } from "../../../runtime/register/read.ts";
import type { Acceptor, Proposer } from "../../../runtime/register/register.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const nodesNamed = (...names: string[]): MemoryAcceptor[] =>
  names.map((name) => memoryAcceptor(name));
const proposerOf = (name: string, acceptors: readonly Acceptor[]): Proposer =>
  createProposer({ name, cluster: "twine", acceptors, random: seededRandom(name.length) });
const draft = (body: string, revision: number) => ({ body, epoch: 1, revision });
/** Until everything that can go on has gone on, such as a seed that nobody waits for. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function leading(name: string, nodes: readonly Acceptor[]): Promise<Proposer> {
  const proposer = proposerOf(name, nodes);
  expect(await proposer.prepare()).toEqual({ kind: "prepared", value: null, ballot: null });
  expect(await proposer.write(draft("one", 1))).toMatchObject({ kind: "chosen" });
  return proposer;
}

describe("the standing promise", () => {
  test("carries write after write and beat after beat, and each beat advances the heartbeat", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    expect(await proposer.beat()).toMatchObject({ value: { body: "one", heartbeat: 2 } });
    expect(await proposer.write(draft("two", 2))).toMatchObject({ value: { heartbeat: 3 } });
    expect(await proposer.beat()).toMatchObject({ kind: "chosen", value: { body: "two" } });
    for (const node of nodes) expect(node.peek().accepted?.value.heartbeat).toBe(4);
  });

  test("is lost to a higher prepare, and the next ballot exceeds the one that took it", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const first = await leading("m1", nodes);
    const second = proposerOf("m2", nodes);
    // m2 starts at 1, is refused once, and then knows how high it has to go.
    expect(await second.prepare()).toMatchObject({ kind: "conflict" });
    expect(await second.prepare()).toMatchObject({ kind: "prepared", value: { body: "one" } });
    expect(await first.beat()).toMatchObject({ kind: "conflict", promised: { proposer: "m2" } });
    expect(await first.beat()).toMatchObject({ kind: "no-majority" });
    expect(await first.prepare()).toMatchObject({ kind: "prepared" });
    expect(await second.beat()).toMatchObject({ kind: "conflict", promised: { proposer: "m1" } });
  });

  test("a beat of a minority and a later one of a majority may have one heartbeat, and never one ballot", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const [s1, s2, s3] = nodes;
    const proposer = await leading("m1", nodes);
    for (const node of [s1, s3]) node?.setDown(true);
    expect(await proposer.beat()).toMatchObject({ kind: "no-majority" });
    const seen = await readRegister(nodes);
    for (const node of [s1, s3]) node?.setDown(false);
    // This prepare does not see the beat that s2 alone accepted.
    s2?.setDown(true);
    expect(await proposer.prepare()).toMatchObject({ value: { heartbeat: 1 } });
    expect(await proposer.beat()).toMatchObject({ kind: "chosen", value: { heartbeat: 2 } });
    s2?.setDown(false);
    expect(s2?.peek().accepted?.value.heartbeat).toBe(2);
    // Who watched the first one sees that the lease was renewed.
    expect(hasHeartbeatAdvanced(seen, await readRegister(nodes))).toBe(true);
    const watcher = proposerOf("m2", nodes);
    await watcher.prepare();
    const prepared = await watcher.prepare();
    expect(prepared.kind === "prepared" && compareBallots(prepared.ballot, seen.ballot) > 0).toBe(
      true,
    );
  });

  test("is forgotten by releasePromise", async () => {
    const proposer = await leading("m1", nodesNamed("s1"));
    proposer.releasePromise();
    expect(await proposer.beat()).toMatchObject({
      kind: "no-majority",
      reasons: ["no promise stands: prepare first"],
    });
  });

  test("a refusal by a minority does not unchoose, and the refusing node is won back", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    await nodes[2]?.prepare({ ballot: { count: 50, proposer: "m2" } });
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
    await settled();
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
    await settled();
    expect(nodes[2]?.peek().accepted?.value.heartbeat).toBe(4);
  });

  test("a body must be newer than the one it replaces", async () => {
    const proposer = await leading("m1", nodesNamed("s1"));
    await expect(proposer.write(draft("again", 1))).rejects.toThrow(/higher revision/);
  });
});

describe("a majority", () => {
  test("is enough, and a node that missed the body gets it with the next beat", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    nodes[2]?.setDown(true);
    expect(await proposer.write(draft("two", 2))).toMatchObject({ kind: "chosen" });
    nodes[2]?.setDown(false);
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
    await settled();
    expect(nodes[2]?.peek().accepted?.value).toMatchObject({ body: "two", heartbeat: 3 });
  });

  test("is one of all status nodes: a minority chooses nothing and says who is missing", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    nodes[0]?.setDown(true);
    nodes[1]?.setDown(true);
    expect(await proposer.write(draft("two", 2))).toMatchObject({
      kind: "no-majority",
      reasons: ["status node s1 can't be reached: s1 is down", expect.stringContaining("s2")],
    });
    expect(await proposer.prepare()).toMatchObject({ kind: "no-majority" });
    nodes[2]?.setDown(true);
    for (const node of nodes.slice(0, 2)) node.setDown(false);
    // What the minority accepted was never chosen, and a majority without it goes on from before.
    expect(await proposer.prepare()).toMatchObject({ kind: "prepared", value: { body: "one" } });
  });

  test("does not wait for a node that never answers", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const never: Acceptor = {
      ...memoryAcceptor("s3"),
      accept: () => new Promise(() => undefined),
    };
    const proposer = proposerOf("m1", [...nodes.slice(0, 2), never]);
    await proposer.prepare();
    expect(await proposer.write(draft("one", 1))).toMatchObject({ kind: "chosen" });
  });
});

describe("who votes", () => {
  test("a first start needs every status node once", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    nodes[1]?.setDown(true);
    const proposer = proposerOf("m1", nodes);
    expect(await proposer.prepare()).toEqual({
      kind: "no-majority",
      reasons: [
        "status node s1 is empty; it votes once a majority agrees without it",
        "status node s2 can't be reached: s2 is down",
        "status node s3 is empty; it votes once a majority agrees without it",
        "first start needs every status node once: start those that are missing",
      ],
    });
    nodes[1]?.setDown(false);
    expect(await proposer.prepare()).toEqual({ kind: "prepared", value: null, ballot: null });
    nodes[1]?.setDown(true);
    // Stamped is not enough: until there is a value, the missing one might be hiding the first.
    expect(await proposer.prepare()).toMatchObject({ kind: "no-majority" });
  });

  test("an emptied node votes again after a majority agreed without it", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    nodes[0]?.empty();
    for (let count = 0; count < 3; count++) {
      expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
      await settled();
    }
    expect(nodes[0]?.peek().accepted?.value).toMatchObject({ body: "one" });
    nodes[1]?.setDown(true);
    expect(await proposer.beat()).toMatchObject({ kind: "chosen" });
  });

  test("an emptied node is not seeded while a majority without it can't be had", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    nodes[0]?.empty();
    nodes[1]?.setDown(true);
    expect(await proposer.beat()).toMatchObject({ kind: "no-majority" });
    expect(await proposer.prepare()).toMatchObject({ kind: "no-majority" });
    expect(nodes[0]?.peek().stamp).toBeNull();
    nodes[1]?.setDown(false);
    expect(await proposer.prepare()).toMatchObject({ kind: "prepared" });
  });

  test("when a majority was emptied at once, nothing is chosen and the remedy is named", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    const proposer = await leading("m1", nodes);
    nodes[0]?.empty();
    nodes[1]?.empty();
    expect(await proposer.prepare()).toEqual({
      kind: "no-majority",
      reasons: [
        "status node s1 is empty; it votes once a majority agrees without it",
        "status node s2 is empty; it votes once a majority agrees without it",
        expect.stringMatching(/empty their data folders.*Don't restore older copies/),
      ],
    });
  });

  test("another cluster's status node is refused by name, and never written to", async () => {
    const nodes = nodesNamed("s1", "s2", "s3");
    await leading("m1", nodes);
    const before = nodes.map((node) => node.peek());
    const other = createProposer({
      name: "x1",
      cluster: "other",
      acceptors: nodes.map((node) => node.asCluster("other")),
      random: seededRandom(1),
    });
    const prepared = await other.prepare();
    expect(prepared).toMatchObject({ kind: "no-majority" });
    expect(prepared.kind === "no-majority" && prepared.reasons[0]).toBe(
      'status node s1 belongs to cluster "twine", not to "other": ' +
        "give it status nodes of its own, or correct the cluster line of twine.conf",
    );
    expect(nodes.map((node) => node.peek())).toEqual(before);
  });

  test("the promise of a former life does not count", async () => {
    // Method: the interleaving that seeding.ts opens with. Node a promises m2's ballot and is emptied; m1 has it seeded
    // and goes on; only then m2's prepare reaches b. With a's forgotten promise counted, m2 would choose on b and c
    // without having heard of what m1 chose on a and c meanwhile.
    const [a, b, c] = nodesNamed("a", "b", "c") as [MemoryAcceptor, MemoryAcceptor, MemoryAcceptor];
    const m1 = await leading("m1", [a, b, c]);
    const lost = () => Promise.reject(new Error("lost"));
    let reach = { a: lost as Acceptor["prepare"], b: lost as Acceptor["prepare"] };
    const m2 = proposerOf("m2", [
      { ...a, prepare: (request) => reach.a(request) },
      { ...b, prepare: (request) => reach.b(request) },
      { ...c, prepare: lost },
    ]);
    // Attempts that reach nobody take m2's ballots far above m1's.
    for (let count = 0; count < 20; count++) await m2.prepare();
    let letThrough = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letThrough = resolve));
    reach = {
      a: (request) => a.prepare(request),
      b: (request) => gate.then(() => b.prepare(request)),
    };
    const contending = m2.prepare();
    await settled();
    expect(a.peek().promised).toMatchObject({ proposer: "m2" });
    a.empty();
    for (let count = 0; count < 4; count++) {
      expect(await m1.beat()).toMatchObject({ kind: "chosen" });
      await settled();
    }
    b.setDown(true);
    expect(await m1.write(draft("two", 2))).toMatchObject({ kind: "chosen" });
    b.setDown(false);
    letThrough();
    expect(await contending).toMatchObject({ kind: "no-majority" });
    expect(b.peek().promised).toMatchObject({ proposer: "m2" });
  });
});

test("a reader knows nothing chosen from one node alone, nor from one body under different ballots", async () => {
  // Method: the interleaving that read.ts opens with, sent by hand.
  const nodes = nodesNamed("s1", "s2", "s3");
  const members = { s1: "life1", s2: "life2", s3: "life3" };
  for (const [index, node] of nodes.entries()) {
    await node.seed({ incarnation: `life${index + 1}`, replaces: null, accepted: null });
  }
  const accept = (node: MemoryAcceptor | undefined, count: number, bodyCount: number) =>
    node?.accept({
      ballot: { count, proposer: "m1" },
      bodyBallot: { count: bodyCount, proposer: "m1" },
      next: { count: count + 1, proposer: "m1" },
      heartbeat: count,
      epoch: 1,
      revision: bodyCount,
      body: `body ${bodyCount}`,
      chosen: null,
      members,
    });
  await accept(nodes[0], 1, 1);
  expect(await readRegister(nodes)).toMatchObject({ value: null, confirmations: 0 });
  await accept(nodes[1], 3, 3);
  await accept(nodes[2], 5, 1);
  expect(await readRegister(nodes)).toMatchObject({ value: null });
  // Under one ballot a majority does prove it.
  await accept(nodes[0], 7, 3);
  await accept(nodes[1], 7, 3);
  expect(await readRegister(nodes)).toMatchObject({ value: { body: "body 3" }, confirmations: 2 });
  nodes[0]?.setDown(true);
  expect((await readRegister(nodes)).silent.get("s1")).toMatchObject({
    cause: { message: "s1 is down" },
  });
});
