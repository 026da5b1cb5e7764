// sentinel-views.ts: a twine.conf with Sentinel ports and the views of it that the Sentinel tests walk through.
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { stateOf, type NodeRole, type View } from "../../../runtime/core/view.ts";
import { agesAfter } from "../../../runtime/monitor/sentinel/ages.ts";
import type { AnswerSource } from "../../../runtime/monitor/sentinel/answers.ts";
import { pictureOf, type Picture } from "../../../runtime/monitor/sentinel/picture.ts";
import { configOf } from "./situations.ts";

export const SENTINEL_CONF: ClusterConfig = configOf(`
a1=data 0 localhost 7001 0
a2=data 0 localhost 7002 0
a3=data 0 localhost 7003 0
b1=data 1 db1 7001 3
b2=data 1 db2 7001 3
s1=status localhost 7101 0
m1=monitor localhost 7201 7301
m2=monitor localhost 7202 7302
m3=monitor localhost 7203 7303
r1=router localhost 7401
r2=router localhost 7402
`);

export interface Roles {
  /** Node -> role; a replica is in sync unless named `syncing`. All unnamed are up. */
  readonly roles?: Readonly<Record<string, NodeRole | "syncing">>;
  /** Partition -> master; without one there is none, and `last` is the last. */
  readonly masters?: readonly (string | null)[];
  readonly promoting?: string;
  readonly runIds?: Readonly<Record<string, string>>;
  readonly epoch?: number;
}

/** Unless told otherwise a1 and b1 are masters and everybody is well. */
export function viewOf({ roles = {}, masters = ["a1", "b1"], ...more }: Roles = {}): View {
  const nodes = SENTINEL_CONF.nodes.map((node) => {
    const isData = node.kind === "data";
    const usual = !isData ? "up" : masters.includes(node.name) ? "master" : "replica";
    const said = roles[node.name] ?? usual;
    return {
      name: node.name,
      kind: node.kind,
      host: node.host,
      port: node.port,
      db: "db" in node ? node.db : null,
      partition: isData ? node.partition : null,
      role: said === "syncing" ? ("replica" as const) : said,
      inSync: said !== "syncing" && said !== "dead",
      runId: isData ? (more.runIds?.[node.name] ?? `run-${node.name}`) : null,
      since: "",
    };
  });
  const partitions = masters.map((master, index) => {
    const own = nodes.filter(({ partition }) => partition === index);
    const named = (role: NodeRole): string[] =>
      own.filter((node) => node.role === role).map(({ name }) => name);
    return {
      index,
      master,
      replicas: named("replica"),
      dead: named("dead"),
      replicationId: null,
      lastMaster: master ?? (index === 0 ? "a1" : "b1"),
      needs: null,
      promoting: index === 0 ? (more.promoting ?? null) : null,
    };
  });
  return {
    cluster: "twine",
    state: stateOf({ partitions, nodes }),
    epoch: more.epoch ?? 4,
    revision: 1,
    alpha: "m1",
    updatedAt: "",
    confDigest: "",
    partitions,
    nodes,
  };
}

export function pictureAt(view: View | undefined, isConfirmed = true): Picture {
  return pictureOf({ config: SENTINEL_CONF, self: "m1", view, isConfirmed });
}

/** What m1 knows when it has seen `picture` for five seconds. */
export function sourceOf(picture: Picture): AnswerSource {
  return {
    picture,
    ages: agesAfter(new Map(), picture, 0),
    nowMs: 5000,
    offsets: new Map([["a2", 77]]),
    port: 7301,
    clients: 2,
    uptimeMs: 61_000,
  };
}
