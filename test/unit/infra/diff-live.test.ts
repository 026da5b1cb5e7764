// diff-live.test.ts: what runs beside what the plan says, decided without a server.
import { describe, expect, test } from "vitest";
import { diffLive, type Live, type LiveService } from "../../../infra/plan/diff-live.ts";
import type { PlannedCluster } from "../../../infra/plan/diff-plans.ts";
import { planCluster } from "../../../infra/plan/plan-cluster.ts";
import type { NodeView, View } from "../../../runtime/core/view.ts";
import { configOf } from "../../golden/render-cases.ts";

const config = configOf(
  [
    "a1=data 0 db1 6666 0",
    "a2=data 0 db2 6666 0",
    "s1=status db1 6400 0",
    "m1=monitor db1 7600",
  ].join("\n"),
);
const planned: PlannedCluster = {
  config,
  plan: planCluster(config, { confPath: "/srv/twine.conf", hasPassword: true }),
};

function nodeView(name: string, change: Partial<NodeView> = {}): NodeView {
  const node = config.nodes.find((one) => one.name === name);
  return {
    name,
    kind: node?.kind ?? "data",
    host: node?.host ?? "db3",
    port: node?.port ?? 6666,
    db: null,
    partition: node?.kind === "data" ? 0 : null,
    role: node?.kind === "data" ? (name === "a1" ? "master" : "replica") : "up",
    inSync: true,
    runId: null,
    since: "2026-01-01T00:00:00Z",
    ...(node?.kind === "data" ? { version: "redis 7.0.15" } : {}),
    ...change,
  };
}

function viewOf(
  changes: Readonly<Record<string, Partial<NodeView>>> = {},
  more: NodeView[] = [],
): View {
  const partition = {
    index: 0,
    master: "a1",
    replicas: ["a2"],
    dead: [],
    replicationId: null,
    lastMaster: "a1",
    needs: null,
  };
  return {
    cluster: "twine",
    state: "OK",
    epoch: 1,
    revision: 1,
    alpha: "m1",
    updatedAt: "2026-01-01T00:00:00Z",
    confDigest: "x",
    partitions: [partition],
    nodes: [...config.nodes.map(({ name }) => nodeView(name, changes[name])), ...more],
  };
}

const UP: readonly LiveService[] = config.nodes.map(({ name, kind }) => ({
  name,
  answer: "up",
  ...(kind === "data" ? { role: name === "a1" ? "master" : "replica", settings: [] } : {}),
}));

function live(change: Partial<Live> = {}): Live {
  return { view: viewOf(), viewProblem: null, services: UP, files: [], ...change };
}

function texts(change: Partial<Live>): string[] {
  return diffLive(planned, live(change)).map(({ text }) => text);
}

describe("what runs, beside the plan", () => {
  test("nothing is said when all is as planned", () => {
    expect(diffLive(planned, live())).toEqual([]);
  });

  test("a role that is not the view's; a dead node; one that is not in sync; one that the view lacks", () => {
    const wrong = UP.map((one) => (one.name === "a2" ? { ...one, role: "master" as const } : one));
    expect(texts({ services: wrong })).toEqual([
      "data node a2 on db2:6666 is master, and the view says replica",
    ]);
    expect(texts({ view: viewOf({ a2: { role: "dead" } }) })).toEqual([
      "data node a2 on db2:6666 is dead in the view",
    ]);
    expect(texts({ view: viewOf({ a2: { inSync: false } }) })).toEqual([
      "data node a2 on db2:6666 is not in sync",
    ]);
    const view = viewOf();
    const without = { ...view, nodes: view.nodes.filter(({ name }) => name !== "a2") };
    expect(texts({ view: without })).toEqual(["data node a2 on db2:6666 is not in the view yet"]);
  });

  test("a partition without a master names what it needs", () => {
    const view = viewOf();
    const partitions = view.partitions.map((one) => ({
      ...one,
      master: null,
      needs: "twine-start a1",
    }));
    expect(diffLive(planned, live({ view: { ...view, partitions } }))).toEqual([
      {
        kind: "role",
        subject: "0",
        text: "partition 0 has no master",
        remedy: "twine-start a1",
      },
    ]);
  });

  test("a node that twine.conf names no more, and a monitor with another file", () => {
    expect(texts({ view: viewOf({ m1: { otherConf: true } }, [nodeView("z9")]) })).toEqual([
      "monitor m1 on db1:7600 holds another twine.conf than the adopted one",
      "data node z9 on db3:6666 is part of the running cluster, and this twine.conf does not name it",
    ]);
  });

  test("versions: mixed ones, and another than the one that is installed", () => {
    const view = viewOf({ a2: { version: "redis 7.2.4" } });
    const installed = { version: "redis 7.2.4", hosts: ["db1"] };
    expect(texts({ view, installed })).toEqual([
      "the data nodes run different versions: redis 7.0.15 (a1), redis 7.2.4 (a2)",
      "data node a1 on db1:6666 runs redis 7.0.15; redis 7.2.4 is installed there",
    ]);
    // What is installed here says nothing of another host.
    expect(texts({ installed: { version: "redis 7.2.4", hosts: ["db9"] } })).toEqual([]);
  });

  test("without a view the nodes' answers still count, and roles do not", () => {
    const services = UP.map((one) =>
      one.name === "m1" ? { ...one, answer: "absent" as const } : one,
    );
    expect(texts({ view: null, viewProblem: "0 of 1 status nodes answered", services })).toEqual([
      "0 of 1 status nodes answered",
      "monitor m1 on db1:7600 does not answer",
    ]);
  });
});
