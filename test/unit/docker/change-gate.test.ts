// Which changes of twine.conf `pulumi up` refuses, in its own words.
import { describe, expect, test } from "vitest";
import { refusedSince, versionIn } from "../../../infra/docker/live/change-gate.ts";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import type { PlanOptions } from "../../../infra/plan/plan.ts";
import { configOf } from "../../golden/render-cases.ts";

const NODES = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "b1=data 1 db2 7666 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
  "r1=router db1 6400",
].join("\n");
const SAME = { before: "redis:7.2-bookworm", now: "redis:7.2-bookworm" };

function refused(
  edit: (text: string) => string,
  { images = SAME, placement = "containers" } = {},
): { readonly told: string; readonly mayForce: boolean }[] {
  const options = { confPath: "", hasPassword: true, placement } as PlanOptions;
  const config = configOf(edit(NODES));
  const now = { config, plan: planCluster(config, options) };
  return refusedSince(NODES, { now, options, images }).map(({ problem, lost }) => ({
    told: `${problem.message} ${problem.remedy ?? ""}`,
    mayForce: lost !== undefined,
  }));
}

describe("pulumi up", () => {
  test("makes what loses nothing", () => {
    expect(refused((text) => text)).toEqual([]);
    expect(refused((text) => `${text}\na3=data 0 db1 6668 0\nredis maxmemory 1gb`)).toEqual([]);
    expect(refused((text) => text.replace(/a2=.*\n/, ""))).toEqual([]);
    expect(refused((text) => text, { images: { ...SAME, now: "redis@sha256:0123" } })).toHaveLength(
      1,
    );
  });

  test("refuses to move a partition's only node, unless it keeps its volume on the one engine", () => {
    const edit = (text: string): string => text.replace("b1=data 1 db2", "b1=data 1 db1");
    expect(refused(edit)).toMatchObject([{ mayForce: true }]);
    expect(refused(edit, { placement: "pods" })).toEqual([]);
  });

  test("refuses another hash: force does not help", () => {
    const [one] = refused((text) => `${text}\nhash crc16`);
    expect(one?.mayForce).toBe(false);
  });

  test("refuses to restart the only node of a partition, and says which command goes on", () => {
    const [one, more] = refused((text) => `${text}\nredis tcp-backlog 100`);
    expect(one?.told).toMatch(/b1 must restart, and it is the only node.*run pulumi up/);
    expect(one?.mayForce).toBe(true);
    expect(more).toBeUndefined();
  });

  test("refuses an older Redis, by the names of the images", () => {
    const images = { before: "redis:7.4.1", now: "registry.example.com/redis:7.2-bookworm" };
    const told = refused((text) => text, { images });
    expect(told.at(-1)?.told).toMatch(
      /redis 7\.4\.1 runs, and redis 7\.2\.0 is in twine:redisImage/,
    );
    expect(told.at(-1)?.mayForce).toBe(false);
  });
});

test("a version is read out of an image's name where it stands there", () => {
  expect(versionIn("redis:7.2-bookworm")).toBe("redis 7.2.0");
  expect(versionIn("valkey/valkey:8.1.3-alpine")).toBe("valkey 8.1.3");
  expect(versionIn("redis@sha256:0123")).toBeUndefined();
  expect(versionIn("redis:7")).toBeUndefined();
  expect(versionIn("myredis:7.2")).toBeUndefined();
});
