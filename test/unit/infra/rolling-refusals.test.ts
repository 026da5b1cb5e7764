// What a node needs, and which changes are refused, with what would be lost.
import { describe, expect, test } from "vitest";
import { diffPlans } from "../../../infra/plan/diff-plans.ts";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import type { RollingNode } from "../../../infra/plan/rolling/decide-steps.ts";
import { needOf } from "../../../infra/plan/rolling/node-needs.ts";
import { isDowngrade, refusalsOf, type Refusal } from "../../../infra/plan/rolling/refusals.ts";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { configOf } from "../../golden/render-cases.ts";

const NODES = [
  "a1=data 0 h1 6001 0",
  "a2=data 0 h2 6001 0",
  "a3=data 0 h3 6001 0",
  "s1=status h1 6401 0",
  "s2=status h2 6401 0",
  "s3=status h3 6401 0",
  "m1=monitor h1 7601",
];

function conf(...lines: readonly string[]): ClusterConfig {
  return configOf(lines.join("\n"));
}

function refusals(
  after: ClusterConfig,
  nodes: readonly RollingNode[] = [],
  before = conf(...NODES),
): Refusal[] {
  const planned = (config: ClusterConfig) => ({
    config,
    plan: planCluster(config, { confPath: "/srv/twine.conf", hasPassword: true }),
  });
  const { changes } = diffPlans(planned(before), planned(after));
  return refusalsOf({ before, after, changes, nodes, versions: [] });
}

const codes = (found: readonly Refusal[]): string[] => found.map(({ problem }) => problem.code);

function edited(from: string, to: string): ClusterConfig {
  return configOf(NODES.join("\n").replace(from, to));
}

describe("what a node needs", () => {
  const facts = { isRunning: true, settings: [], reasons: [] };
  const differs = (setting: string, wanted: string) => ({ setting, wanted, actual: "other" });

  test("nothing, a start, a setting while it runs, a restart", () => {
    expect(needOf(facts)).toBeUndefined();
    expect(needOf({ ...facts, isRunning: false })).toEqual({ kind: "start" });
    const memory = differs("maxmemory", "1gb");
    expect(needOf({ ...facts, settings: [memory] })).toEqual({ kind: "set", settings: [memory] });
    const backlog = differs("tcp-backlog", "128");
    expect(needOf({ ...facts, settings: [memory, backlog] })).toEqual({
      kind: "restart",
      why: ["tcp-backlog is taken at the start"],
    });
    expect(needOf({ ...facts, reasons: ["users.acl differs"] })?.kind).toBe("restart");
  });

  test("the append only file before a restart, with what can be set", () => {
    const settings = [
      differs("maxmemory", "1gb"),
      differs("appendonly", "yes"),
      differs("tcp-backlog", "9"),
    ];
    expect(needOf({ ...facts, settings })).toEqual({
      kind: "aof",
      isOn: true,
      settings: [differs("maxmemory", "1gb")],
    });
  });
});

describe("what is refused", () => {
  test("nothing of an ordinary edit", () => {
    expect(refusals(conf(...NODES, "redis appendonly yes", "redis maxmemory 1gb"))).toEqual([]);
    expect(refusals(conf(...NODES, "a4=data 0 h1 6002 0"))).toEqual([]);
    expect(refusals(edited("a3=data 0 h3 6001 0\n", ""))).toEqual([]);
    expect(refusals(edited("a3=data 0 h3 6001", "a3=data 0 h1 6002"))).toEqual([]);
  });

  test("another hash, and no way to force it", () => {
    const [refusal] = refusals(conf(...NODES, "hash crc16"));
    expect(refusal?.problem).toMatchObject({ code: "CHANGE_REFUSED" });
    expect(refusal?.lost).toBeUndefined();
  });

  test("all nodes of a partition at other places, unless somebody accepts the risk", () => {
    const moved = configOf(
      NODES.join("\n")
        .replace(/(a\d=data 0 h\d) 6001/g, "$1 6002")
        .replace("h1 6002", "h4 6002"),
    );
    const [found, ...others] = refusals(moved);
    expect(found?.problem.code).toBe("MOVES_TOGETHER");
    expect(found?.lost).toContain("every key of partition 0");
    expect(others).toEqual([]);
  });

  test("a partition of which no node stays is one refusal, however many leave, and its remedy is not refused", () => {
    const old = NODES.slice(0, 3);
    const fresh = old.map((line) => line.replace("a", "b").replace("6001", "7001"));
    const [found, ...others] = refusals(conf(...fresh, ...NODES.slice(3)));
    expect(found?.problem).toMatchObject({
      code: "CHANGE_REFUSED",
      message:
        "a1, a2, a3 of partition 0 leave their places, and no other node with its data stays",
    });
    expect(found?.lost).toContain("every key of partition 0");
    expect(others).toEqual([]);
    expect(refusals(conf(...NODES, ...fresh))).toEqual([]);
    const elsewhere = refusals(configOf(NODES.join("\n").replace(/(a\d=data 0) h/g, "$1 i")));
    expect(codes(elsewhere)).toEqual(["CHANGE_REFUSED"]);
  });

  test("fewer partitions: what it says is that keys change partition, not what each node does", () => {
    const two = [...NODES, "b1=data 1 h1 6002 0", "b2=data 1 h2 6002 0", "partitions 2"];
    const found = refusals(conf(...NODES, "partitions 1"), [], conf(...two));
    expect(found.map(({ problem }) => problem.message)).toEqual([
      expect.stringContaining("partitions: 2 -> 1: keys change partition"),
    ]);
  });

  test("two status nodes at once; one of them is fine", () => {
    expect(codes(refusals(edited("s3=status h3 6401 0\n", "")))).toEqual([]);
    expect(codes(refusals(edited("s3=status h3 6401", "s3=status h4 6401")))).toEqual([
      "STATUS_NODES_TOGETHER",
    ]);
  });

  test("a restart of the only node, or of one without which nobody acknowledges", () => {
    const restart = { name: "a1", partition: 0, need: { kind: "restart", why: [] } } as const;
    expect(codes(refusals(conf(...NODES), [restart]))).toEqual([]);
    const strict = conf(...NODES, "ack-replicas 2");
    expect(refusals(strict, [restart])).toMatchObject([
      {
        problem: { code: "TOO_FEW_REPLICAS" },
        lost: "writes to partition 0 are refused while one of its nodes restarts",
      },
    ]);
  });

  test("an older server", () => {
    expect(isDowngrade("redis 7.2.4", "redis 7.0.15")).toBe(true);
    expect(isDowngrade("redis 7.0.15", "redis 7.0.11")).toBe(false);
    expect(isDowngrade("redis 7.0.15", "valkey 8.1.8")).toBe(false);
    expect(isDowngrade("redis 8.2.3", "valkey 9.1.2")).toBe(true);
    expect(isDowngrade("valkey 9.1.2", "redis 8.2.3")).toBe(true);
    expect(isDowngrade("strange", "redis 7.0.15")).toBe(false);
    const versions = [{ name: "a1", running: "redis 8.2.3", installed: "redis 7.0.15" }];
    const config = conf(...NODES);
    const judged = { before: undefined, after: config, changes: [], nodes: [], versions };
    expect(refusalsOf(judged)).toMatchObject([{ problem: { code: "SERVER_OLDER" } }]);
  });
});
