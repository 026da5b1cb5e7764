import { describe, expect, onTestFinished, test } from "vitest";
import type { PartitionView, View } from "../../runtime/core/view.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { followView } from "../../runtime/register/follow.ts";
import { openSharedHashes, type SharedHashes } from "../../runtime/register/shared-hashes.ts";
import type { Proposer } from "../../runtime/register/register.ts";
import type { ViewSource } from "../../runtime/register/view-source.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes, type StatusNodes } from "../support/status-nodes.ts";

/** While clients wait for its end, the body is read together with the state. */
const HANDED_OVER: PartitionView = {
  ...{ index: 0, master: "a1", replicas: ["a2"], dead: [], replicationId: null, needs: null },
  ...{ lastMaster: "a1", handover: { from: "a1", to: "a2", phase: "pause" } },
};

function bodyOf(revision: number, partitions: readonly PartitionView[] = []): string {
  const view: View = {
    cluster: "twine",
    state: "HALT",
    epoch: 1,
    revision,
    alpha: "m1",
    updatedAt: "2026-01-01T00:00:00.000Z",
    confDigest: "",
    partitions,
    nodes: [],
  };
  return JSON.stringify(view);
}

const publish = (proposer: Proposer, revision: number, ...partitions: PartitionView[]) =>
  proposer.write({ body: bodyOf(revision, partitions), epoch: 1, revision });

async function leading(nodes: StatusNodes): Promise<Proposer> {
  const proposer = nodes.proposer("m1");
  expect(await proposer.prepare()).toMatchObject({ kind: "prepared" });
  return proposer;
}

function follow(nodes: StatusNodes): ViewSource {
  const source = followView({ ...nodes.ports, log: silentLog });
  onTestFinished(() => source.close());
  return source;
}

function hashesOf(nodes: StatusNodes): SharedHashes {
  const hashes = openSharedHashes({ ...nodes.ports, user: "monitor" });
  onTestFinished(() => hashes.close());
  return hashes;
}

describe.skipIf(isMissing("redis-server"))("following the view on real status nodes", () => {
  test.each([
    ["", []],
    [", while a master hands over too", [HANDED_OVER]],
  ])("sees the published views one after another, and never goes back%s", async (_when, held) => {
    const nodes = await startStatusNodes(3);
    const source = follow(nodes);
    const seen: number[] = [];
    source.onChange(() => seen.push(source.current()?.revision ?? 0));
    const proposer = await leading(nodes);
    expect(source.current()).toBeUndefined();
    expect(source.isConfirmed()).toBe(false);
    for (let revision = 1; revision <= 20; revision++) {
      expect(await publish(proposer, revision, ...held)).toMatchObject({ kind: "chosen" });
      await until("the view is followed", () => source.current()?.revision === revision);
    }
    await until("the last view is confirmed", () => source.isConfirmed());
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  test("hears of a view by the channel, long before it would ask again", async () => {
    // Method: with a lease of ten minutes nothing is asked again for two.
    const nodes = await startStatusNodes(3, { leaseMs: 600_000 });
    const proposer = await leading(nodes);
    expect(await publish(proposer, 1)).toMatchObject({ kind: "chosen" });
    const source = follow(nodes);
    await until("the first view is seen", () => source.current()?.revision === 1);
    expect(await publish(proposer, 2)).toMatchObject({ kind: "chosen" });
    await until("the second view is heard of", () => source.current()?.revision === 2);
  });

  test("is unconfirmed while a majority is paused, and confirmed again when it wakes", async () => {
    const nodes = await startStatusNodes(3);
    const proposer = await leading(nodes);
    await publish(proposer, 1);
    const source = follow(nodes);
    await until("the view is confirmed", () => source.isConfirmed());
    const changes: boolean[] = [];
    source.onChange(() => changes.push(source.isConfirmed()));
    nodes.servers[0]?.signal("SIGSTOP");
    nodes.servers[1]?.signal("SIGSTOP");
    await until("the view is no longer confirmed", () => !source.isConfirmed());
    expect(source.current()?.revision).toBe(1);
    nodes.servers[0]?.signal("SIGCONT");
    nodes.servers[1]?.signal("SIGCONT");
    await until("the view is confirmed again", () => source.isConfirmed());
    await until("its listener knows", () => changes.at(-1) === true);
    expect(changes).toContain(false);
  });

  test("goes on with a dead status node, and after a restart of all", async () => {
    const nodes = await startStatusNodes(3);
    const proposer = await leading(nodes);
    await nodes.servers[2]?.kill();
    // A first start needs all: this is not one, they were stamped before.
    expect(await publish(proposer, 1)).toMatchObject({ kind: "chosen" });
    const source = follow(nodes);
    await until("the view is confirmed by two", () => source.isConfirmed());
    await Promise.all(nodes.servers.map((server) => server.kill()));
    await until("the view is no longer confirmed", () => !source.isConfirmed());
    await Promise.all(nodes.servers.map((server) => server.start()));
    await until("the view is confirmed after the restart", () => source.isConfirmed());
    const next = nodes.proposer("m2");
    await until("another monitor takes over", async () => {
      return (await next.prepare()).kind === "prepared";
    });
    expect(await publish(next, 2)).toMatchObject({ kind: "chosen" });
    await until("its view is followed", () => source.current()?.revision === 2);
  });

  test("passes over a body that is no view, and takes the next", async () => {
    const nodes = await startStatusNodes(1);
    const proposer = await leading(nodes);
    await proposer.write({ body: "{not a view", epoch: 1, revision: 1 });
    const source = follow(nodes);
    const complaints: string[] = [];
    const log = { ...silentLog, error: (message: string) => complaints.push(message) };
    const loud = followView({ ...nodes.ports, log });
    onTestFinished(() => loud.close());
    await until("it is complained about", () => complaints.length > 0);
    await publish(proposer, 2);
    await until("the next one is taken", () => source.current()?.revision === 2);
    expect(complaints).toEqual(["the published view can't be read"]);
  });
});

describe.skipIf(isMissing("redis-server"))("the shared hashes on real status nodes", () => {
  const seen = (sequence: number): string =>
    JSON.stringify({ sequence: String(sequence), confDigest: "d", suspects: [] });
  const offset = (value: number): string =>
    JSON.stringify({ replicationId: "r", offset: value, keys: 1 });
  const asked = {
    id: "r1",
    body: { kind: "accept-loss", node: "a1" },
    state: "asked",
    message: "",
  } as const;

  test("keeps what each monitor wrote last, whichever node was away meanwhile", async () => {
    const nodes = await startStatusNodes(3);
    const [m1, m2] = [hashesOf(nodes), hashesOf(nodes)];
    await m1.writeObserved("m1", seen(1));
    await m2.writeObserved("m2", seen(2));
    await nodes.servers[0]?.kill();
    await m1.writeObserved("m1", seen(3));
    await nodes.servers[0]?.start();
    const newest = new Map([
      ["m1", seen(3)],
      ["m2", seen(2)],
    ]);
    const reader = hashesOf(nodes);
    expect(await reader.readObserved()).toEqual(newest);
    // A monitor that starts again goes on from there.
    const again = hashesOf(nodes);
    await again.writeObserved("m1", seen(4));
    expect((await reader.readObserved()).get("m1")).toBe(seen(4));
  });

  test("keeps offsets of nodes that the newest record does not name", async () => {
    const nodes = await startStatusNodes(3);
    const hashes = hashesOf(nodes);
    const first = new Map(Object.entries({ a1: offset(1), a2: offset(2) }));
    await hashes.writeOffsets(1, first);
    await hashesOf(nodes).writeOffsets(2, new Map([["a1", offset(3)]]));
    const expected = new Map(Object.entries({ a1: offset(3), a2: offset(2) }));
    expect(await hashes.readOffsets()).toEqual(expected);
  });

  test("a node that was away while a request was answered does not ask it again", async () => {
    const nodes = await startStatusNodes(3);
    const [tool, alpha] = [hashesOf(nodes), hashesOf(nodes)];
    await tool.askRequest(asked);
    expect(await alpha.readRequests()).toEqual([asked]);
    await nodes.servers[0]?.kill();
    const answer = { ...asked, state: "done", message: "a1 is master" } as const;
    await alpha.answerRequest(answer);
    expect(await tool.readRequests()).toEqual([answer]);
    await nodes.servers[0]?.start();
    const link = await nodes.servers[0]?.link();
    await until("the answer replaces the question there", async () => {
      expect(await alpha.readRequests()).toEqual([answer]);
      return (await link?.call("HGET", "twine:request", "r1")) === JSON.stringify(answer);
    });
  });

  test("says so when no status node answers", async () => {
    const nodes = await startStatusNodes(1);
    const hashes = hashesOf(nodes);
    await nodes.servers[0]?.kill();
    await expect(hashes.readRequests()).rejects.toThrow(
      /no status node of 1 answered \(s1: .*REFUSED/,
    );
    await expect(hashes.writeObserved("m1", seen(1))).rejects.toThrow(/no status node/);
    await nodes.servers[0]?.start();
    await until("the shared hashes work again", () =>
      hashes.writeObserved("m1", seen(1)).then(
        () => true,
        () => false,
      ),
    );
  });
});
