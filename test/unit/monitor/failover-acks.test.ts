import { describe, expect, test } from "vitest";
import {
  CONF,
  crashed,
  detached,
  hung,
  infoOf,
  masterInfo,
  ONE_ACK,
  replicaOf,
  servedScene,
} from "./situations.ts";

describe("with ack-replicas k, R-k+1 of the R replicas must count", () => {
  test("two of two for k = 1: one alone may lack what the other acknowledged", () => {
    const scene = crashed(ONE_ACK).see("a2", "silent").see("a3", detached(120)).step(5);
    expect(scene.partition.promoting).toBeNull();
    scene.step(2000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toBe(
      "a1 back with its data: it was the last master, or 2 of a2, a3 without a restart since they were in sync (ack-replicas 1); or accept the loss of what the others held: twine-failover --accept-loss a3",
    );
    scene.see("a2", detached(130)).step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("one of two for k = 2", () => {
    const scene = crashed(`${CONF}ack-replicas 2\n`).see("a2", "refused");
    scene.see("a3", detached(120)).step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("the furthest wins though it was behind when the master was lost", () => {
    const scene = servedScene(ONE_ACK);
    scene.see("a3", replicaOf("a1", { offset: 105, isLinkUp: false, keys: 9 })).step();
    expect(scene.inSync("a3")).toBe(false);
    scene.see("a1", "refused").step();
    expect(scene.partition.failover?.replicas[1]).toMatchObject({ runId: "run", inSync: false });
    scene.see("a2", detached(110)).see("a3", detached(112)).step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("one that restarted does not count, whatever it says that it has", () => {
    const scene = crashed(ONE_ACK);
    scene
      .see("a2", detached(500, { runId: "again" }))
      .see("a3", detached(120))
      .step(5)
      .step(2000);
    expect(scene.partition.promoting).toBeNull();
  });

  test("what one took as master made by hand makes it no further; on a tie one without such writes is taken", () => {
    const byHand = { replicationId: "h9", replicationId2: "h1", secondOffset: 121 };
    for (const [own, offset, candidate] of [
      ["a2", 140, "a3"],
      ["a3", 140, "a2"],
      ["a2", 120, "a3"],
      // It is the only one that holds what was acknowledged: what it took by hand comes with it.
      ["a2", 119, "a2"],
    ] as const) {
      const other = own === "a2" ? "a3" : "a2";
      const scene = crashed(ONE_ACK).see(own, detached(500, byHand)).see(other, detached(offset));
      expect([own, offset, scene.step(5).partition.promoting]).toEqual([own, offset, candidate]);
    }
  });

  test("the furthest with a broken disk counts, and is not passed over for one with less", () => {
    const scene = crashed(ONE_ACK).see("a2", detached(130, { isDiskWell: false }));
    scene.see("a3", detached(120)).step(5).step(2000);
    expect(scene.partition.promoting).toBeNull();
    scene.see("a3", detached(130)).step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("a last master that came back by RDB is not enough before every node is back", () => {
    const scene = crashed(ONE_ACK).see("a2", "refused").see("a3", detached(110));
    scene.see("a1", infoOf({ runId: "m", replicationId: "h1", offset: 110, keys: 9 })).step(5);
    scene.step(2000);
    expect(scene.partition.promoting).toBeNull();
    scene.see("a2", infoOf({ runId: "n", replicationId: "h1", offset: 115, keys: 9 })).step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("a last master that came back by RDB does not outweigh one that can't be compared with it", () => {
    const scene = crashed(ONE_ACK).seeAll(
      detached(500, { replicationId: "h0", runId: "n" }),
      "a2",
      "a3",
    );
    scene.see("a1", infoOf({ runId: "m", replicationId: "h1", offset: 20, keys: 4 })).step(5);
    scene.step(2000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain(
      "a decision: what a2, a3 hold can't be compared with what a1 came back with",
    );
  });

  test("a last master that came back by AOF is not enough before every node is back", () => {
    const scene = crashed(ONE_ACK).see("a2", "refused");
    scene.see("a3", detached(110, { runId: "n" }));
    scene
      .see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 }))
      .step(5)
      .step(2000);
    expect(scene.partition.promoting).toBeNull();
    scene.see("a2", infoOf({ runId: "n", replicationId: "n", keys: 9 })).step(5);
    expect(scene.partition.promoting).toBe("a1");
  });

  test.each([
    ["was promoted half way", detached(110, { replicationId: "h1b" })],
    ["woke up as a former master", infoOf({ replicationId: "h0", offset: 500, keys: 9 })],
  ])(
    "a last master that came back by AOF with less than one that %s is not taken",
    (_what, info) => {
      const scene = crashed(ONE_ACK).seeAll(info, "a2", "a3");
      scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 4, offset: 1 })).step(5);
      expect(scene.step(2000).partition.promoting).toBeNull();
    },
  );

  test("a last master that came back by AOF with less than another has is not taken", () => {
    const scene = crashed(ONE_ACK);
    scene.seeAll(infoOf({ runId: "n", replicationId: "n", keys: 9, offset: 1 }), "a2", "a3");
    scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 4, offset: 1 })).step(5);
    expect(scene.step(2000).partition.promoting).toBeNull();
  });

  test("a former master counts as a replica only when it has been in sync as one", () => {
    const scene = hung(ONE_ACK).seeAll(detached(), "a2", "a3").step(5);
    scene.see("a2", masterInfo({ replicationId: "h2", offset: 110 })).step(5);
    scene.see("a1", infoOf({ replicationId: "h2", offset: 110 })).step(5);
    scene.see("a2", "refused").step(5);
    expect(scene.partition.failover?.replicas).toEqual([
      { name: "a1", runId: null, inSync: false },
      { name: "a3", runId: "run", inSync: false },
    ]);
  });
});

describe("a replica that was emptied by a full sync that broke off", () => {
  const emptied = detached(1, { isEmptied: true, keys: 4 });
  const back = infoOf({ runId: "m", replicationId: "m", keys: 9, offset: 1 });

  test("keeps a restarted last master waiting for a person with ack-replicas: it may have held a write", () => {
    const scene = crashed(ONE_ACK).see("a2", detached(110)).see("a3", emptied);
    scene.see("a1", back).step(5).step(2000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain(
      "a decision: a full sync that broke off has emptied a3, and a1 has restarted (keys: a1 9, a2 ",
    );
  });

  test("the last master is named to that person when it came back with the most keys, else who has most", () => {
    const scene = crashed(ONE_ACK)
      .see("a2", detached(110, { keys: 8 }))
      .see("a3", emptied);
    scene.see("a1", back).step(5).step(2000);
    expect(scene.partition.needs).toContain("--accept-loss a1");
    scene.see("a1", { ...back, keys: 7 }).step(5);
    expect(scene.partition.needs).toContain("--accept-loss a2");
  });

  test.each([
    ["never had more than a last master that came back by RDB: that one is promoted", 110, "a1"],
    ["may have had more: a person decides, and is told of which node", 111, null],
    ["says nothing of what it had: the same", undefined, null],
  ])("%s", (_what, keptOffset, promoting) => {
    const kept = keptOffset === undefined ? {} : { keptOffset };
    const scene = crashed(ONE_ACK).see("a2", detached(105, { runId: "n" }));
    scene.see("a3", detached(1, { runId: "n", isEmptied: true, keys: 4, ...kept }));
    scene.see("a1", infoOf({ runId: "m", replicationId: "h1", offset: 110, keys: 9 })).step(5);
    scene.step(2000);
    expect(scene.partition.promoting).toBe(promoting);
    if (promoting !== null) return;
    expect(scene.partition.needs).toContain(
      "a decision: what a3 holds can't be compared with what a1 came back with",
    );
  });

  test("on another history, how far it was says nothing", () => {
    const stranger = { replicationId: "h0", runId: "n", isEmptied: true, keptOffset: 5, keys: 4 };
    const scene = crashed(ONE_ACK).seeAll(detached(1, stranger), "a2", "a3");
    scene.see("a1", infoOf({ runId: "m", replicationId: "h1", offset: 110, keys: 9 })).step(5);
    expect(scene.step(2000).partition.promoting).toBeNull();
  });

  test("keeps nobody waiting without: it will never have its data again", () => {
    const fewer = { ...back, keys: 8 };
    const scene = crashed(CONF).seeAll(emptied, "a2", "a3").see("a1", fewer).step(5);
    expect(scene.partition.promoting).toBe("a1");
  });
});
