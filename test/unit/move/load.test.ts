// load.test.ts: the pure parts of twine-load: what is named, which copy of a key counts, what a history still has, the checkpoint.
import { describe, expect, test } from "vitest";
import { TwineError } from "../../../runtime/core/errors.ts";
import { loadFailure } from "../../../runtime/move/load/load-text.ts";
import { checkpointText, parseCheckpoint } from "../../../runtime/move/load/checkpoint.ts";
import { continues, has, replicasAt } from "../../../runtime/move/load/history.ts";
import { sequelOf } from "../../../runtime/move/load/load-errors.ts";
import { readPool } from "../../../runtime/move/load/read-pool.ts";
import {
  countsAt,
  decideScattered,
  type ScatteredKey,
} from "../../../runtime/move/load/scattered-keys.ts";
import { parseSource } from "../../../runtime/move/load/source-place.ts";
import { NodeError } from "../../../runtime/replication/node-error.ts";

function codeOf(task: () => unknown): string {
  try {
    task();
  } catch (error) {
    return error instanceof TwineError ? error.code : String(error);
  }
  return "none";
}

test("sources are read, and what is none is refused", () => {
  expect(parseSource("redis://db1")).toEqual({
    ...{ kind: "redis", address: { host: "db1", port: 6379 }, db: 0, isTls: false },
  });
  expect(parseSource("rediss://[::1]:7000/3")).toEqual({
    ...{ kind: "redis", address: { host: "::1", port: 7000 }, db: 3, isTls: true },
  });
  expect(parseSource("sentinel://db1/main")).toEqual({
    ...{ kind: "sentinel", address: { host: "db1", port: 26_379 }, master: "main" },
  });
  expect(parseSource("cluster://db1:7000/")).toEqual({
    ...{ kind: "cluster", address: { host: "db1", port: 7000 } },
  });
  expect(parseSource("etc/nutcracker.yml")).toEqual({
    ...{ kind: "nutcracker", file: "etc/nutcracker.yml" },
  });
  for (const bad of [
    ...["", "redis://", "redis://db1:0", "redis://db1/x", "redis://db1:99999999", "http://db1"],
    ...["sentinel://db1", "cluster://db1/3", "redis://db1/123456"],
  ]) {
    expect([bad, codeOf(() => parseSource(bad))]).toEqual([bad, "USAGE"]);
  }
  expect(codeOf(() => parseSource("redis://:secret@db1"))).toBe("URL_SECRET");
});

describe("keys on several servers", () => {
  const key = (name: string, ...shards: number[]): ScatteredKey => {
    return { key: Buffer.from(name), shards };
  };
  /** By the first letter. */
  const homeOf = (bytes: Uint8Array): number => (bytes[0] === 97 ? 0 : bytes[0] === 98 ? 1 : 2);
  const names = ["s0", "s1", "s2"];
  const found = [key("a twice", 0, 2), key("b twice", 0, 1), key("a lost", 1)];
  const owner = (rule: "home" | "first" | "last", name: string): number[] => {
    const { owners } = decideScattered(found, rule, homeOf, names);
    return [0, 1, 2].filter((shard) => countsAt(Buffer.from(name), shard, owners, homeOf));
  };

  test("each rule lets exactly one copy of each key count", () => {
    expect(["a twice", "b twice", "a lost", "c"].map((name) => owner("home", name))).toEqual([
      ...[[0], [1], [0], [2]],
    ]);
    expect(["a twice", "b twice", "a lost", "c"].map((name) => owner("first", name))).toEqual([
      ...[[0], [0], [1], [2]],
    ]);
    expect(["a twice", "b twice", "a lost", "c"].map((name) => owner("last", name))).toEqual([
      ...[[2], [1], [1], [2]],
    ]);
  });

  test("fail names how many and examples; without such keys it is no error", () => {
    expect(() => decideScattered(found, "fail", homeOf, names)).toThrow(
      /2 keys are on more than one server, and 1 only .*"a twice" on s0 and s2/,
    );
    expect(decideScattered([], "fail", homeOf, names)).toMatchObject({ twice: 0, misplaced: 0 });
  });

  test("where no function places keys, a key on one server is no duplicate, and its copy counts", () => {
    const { owners, twice, misplaced } = decideScattered(
      [key("x", 1), key("y", 0, 2)],
      "last",
      undefined,
      names,
    );
    expect([twice, misplaced]).toEqual([1, 0]);
    const counting = (name: string) =>
      [0, 1, 2].filter((shard) => countsAt(Buffer.from(name), shard, owners, undefined));
    expect([counting("x"), counting("y"), counting("later")]).toEqual([[1], [2], []]);
  });
});

describe("histories", () => {
  const OLD = "a".repeat(40);
  const NEW = "b".repeat(40);
  const fields = new Map([
    ["master_replid", NEW],
    ["master_replid2", OLD],
    ["second_repl_offset", "1001"],
    ["master_repl_offset", "1500"],
    ["slave0", "ip=10.0.0.1,port=6379,state=online,offset=1400,lag=0"],
    ["slave1", "ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0"],
  ]);

  test("a promoted server continues the old history exactly up to its promotion", () => {
    expect(continues(fields, { replicationId: OLD, offset: 1000 })).toBe(true);
    expect(continues(fields, { replicationId: OLD, offset: 1001 })).toBe(false);
    expect(continues(fields, { replicationId: "c".repeat(40), offset: 1 })).toBe(false);
    expect(has(fields, { replicationId: NEW, offset: 1500 })).toBe(true);
    expect(has(fields, { replicationId: NEW, offset: 1501 })).toBe(false);
  });

  test("replicas count when they are online and have reached the offset", () => {
    expect([replicasAt(fields, 1400), replicasAt(fields, 1401)]).toEqual([1, 0]);
  });
});

describe("the checkpoint", () => {
  const of = { source: "redis://db1", cluster: "c" };
  const written = {
    ...{ format: 1, ...of, layout: "[]", phase: "following" as const, wasEmpty: true },
    marks: {
      sources: [{ replicationId: "a", offset: 7, db: -1, offsetMax: 9 }],
      targets: [{ replicationId: "b", offset: 8 }],
    },
  };

  test("it is read as it was written, but for what only its process knew", () => {
    const read = parseCheckpoint(checkpointText(written), "f", of);
    expect(read.marks?.sources).toEqual([{ replicationId: "a", offset: 7, db: -1 }]);
    expect(read).toMatchObject({ phase: "following", wasEmpty: true, layout: "[]" });
  });

  test.each(["", "{", "[]", '{"format":1}', checkpointText({ ...written, format: 2 })])(
    "%j is none",
    (text) => {
      expect(codeOf(() => parseCheckpoint(text, "f", of))).toBe("CHECKPOINT_BAD");
    },
  );

  test("that of another source or cluster is refused", () => {
    const text = checkpointText(written);
    for (const other of [
      { ...of, source: "x" },
      { ...of, cluster: "x" },
    ]) {
      expect(codeOf(() => parseCheckpoint(text, "f", other))).toBe("CHECKPOINT_BAD");
    }
  });
});

test("a pool with distribution: random has servers in twemproxy's order and no function", () => {
  const pool = (distribution: string): string =>
    `alpha:\n  listen: 127.0.0.1:1\n  redis: true\n  hash: murmur\n  distribution: ${distribution}\n  servers:\n   - 127.0.0.1:7001:1 b\n   - 127.0.0.1:7002:1 a\n`;
  const random = readPool(pool("random"), "n.yml", undefined);
  expect([random.homeOf, random.shards.map(({ name }) => name)]).toEqual([undefined, ["a", "b"]]);
  const ketama = readPool(pool("ketama"), "n.yml", undefined);
  expect(ketama.homeOf?.(Buffer.from("key"))).toBeOneOf([0, 1]);
  expect(codeOf(() => readPool(pool("rand"), "n.yml", undefined))).toBe("DISTRIBUTION_UNKNOWN");
});

test("what can be mended is tried again; a wrong password and a full node are not", () => {
  expect(sequelOf(new NodeError("closed", ""))).toBe("again");
  expect(sequelOf(new NodeError("denied", ""))).toBe("over");
  expect(sequelOf(new TwineError({ code: "MOVE_RESTART", message: "" }))).toBe("anew");
  expect(sequelOf(new TwineError({ code: "LOAD_TARGET_FULL", message: "" }))).toBe("over");
  expect(sequelOf(new TypeError("ours"))).toBe("over");
});

test("after the switch no remedy says that the cluster is to be emptied", () => {
  const gone = new NodeError("closed", "127.0.0.1:1 closed the connection");
  const said = (isSwitched: boolean): string => {
    const error = loadFailure("redis://db1", gone, { checkpoint: undefined, isSwitched });
    return (error as TwineError).remedy ?? "";
  };
  expect(said(false)).toContain("FLUSHALL");
  expect(said(true)).toMatch(/leave its keys as they are/);
  expect(said(true)).not.toContain("FLUSHALL");
});
