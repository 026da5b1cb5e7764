// example-reports.ts: the clusters that every format is tried on. Pure.
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import { FailureError, failureOf } from "../../../runtime/core/failure.ts";
import { ROUTER_DEFAULTS } from "../../../runtime/core/conf/router-directives.ts";
import type { ClusterConfig, ClusterNode } from "../../../runtime/core/cluster.ts";
import type { NodeView, PartitionView, View } from "../../../runtime/core/view.ts";
import type { StatusKnowledge } from "../../../runtime/status/knowledge.ts";
import { reportOf, type StatusReport } from "../../../runtime/status/report.ts";

const REFUSED = new FailureError("refused", "connect ECONNREFUSED 127.0.0.1:6402", {
  address: "127.0.0.1:6402",
});

export const SINCE = "2026-03-01T10:00:00.000Z";
const AT = { file: "twine.conf", line: 1, column: 1 };

/** A view in which the first node of every partition is master and the others are its replicas. */
export function exampleView(partitions = 2, perPartition = 3): View {
  const letters = partitions <= 26 ? "abcdefghijklmnopqrstuvwxyz" : "";
  const data = Array.from({ length: partitions * perPartition }, (_, at): NodeView => {
    const partition = Math.floor(at / perPartition);
    const port = 6666 + 1000 * (partition % 50) + (at % perPartition);
    return {
      name: letters === "" ? `n${partition}-${at % perPartition}` : `${letters[partition]}${port}`,
      kind: "data",
      host: "localhost",
      port,
      db: 0,
      partition,
      role: at % perPartition === 0 ? "master" : "replica",
      inSync: true,
      runId: "0123456789abcdef0123456789abcdef01234567",
      since: SINCE,
    };
  });
  return {
    cluster: "twine",
    state: "OK",
    epoch: 3,
    revision: 17,
    alpha: "m1",
    updatedAt: "2026-03-01T10:05:07.250Z",
    confDigest: "5d41402abc4b2a76",
    hashing: builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions }),
    partitions: Array.from({ length: partitions }, (_, index): PartitionView => {
      const names = data.filter((node) => node.partition === index).map((node) => node.name);
      return {
        index,
        master: names[0] ?? null,
        replicas: names.slice(1),
        dead: [],
        replicationId: "89abcdef0123456789abcdef0123456789abcdef",
        lastMaster: names[0] ?? null,
        needs: null,
      };
    }),
    nodes: [
      ...data,
      ...["s1", "s2", "s3"].map((name, at) => other("status", name, 6401 + at, 0)),
      ...["m1", "m2", "m3"].map((name, at) => other("monitor", name, 7601 + at, null)),
      other("router", "r1", 6400, null),
    ],
  };
}

function other(kind: NodeView["kind"], name: string, port: number, db: number | null): NodeView {
  const common = { name, kind, host: "localhost", port, db, partition: null };
  return { ...common, role: "up", inSync: true, runId: null, since: SINCE };
}

/** The twine.conf that such a view comes from. */
export function configOf(view: View): ClusterConfig {
  const nodes = view.nodes.map((node): ClusterNode => {
    const { kind, name, host, port } = node;
    const place = { name, host, port, at: AT };
    if (kind === "data") return { kind, ...place, partition: node.partition ?? 0, db: 0 };
    return kind === "status" ? { kind, ...place, db: 0 } : { kind, ...place };
  });
  return {
    file: "twine.conf",
    nodes,
    settings: {
      ...ROUTER_DEFAULTS,
      cluster: view.cluster,
      partitions: view.partitions.length,
      hash: { kind: "builtin", name: "crc32" },
      redis: [],
      downAfterMs: 1000,
      leaseMs: 500,
      ackReplicas: 0,
      ackTimeoutMs: 1000,
      readFrom: "master",
      holdForMs: 10_000,
      holdBytes: 64 * 1024 * 1024,
      retryUnknown: "reads",
      workers: 1,
      backupDirs: ["backups"],
      backupEveryMs: 3_600_000,
      backupKeep: { kind: "last", count: 24 },
      backupCompress: "none",
      backupArchive: "no",
      backupCutEveryMs: 10_000,
      alertMail: [],
      alertSmtp: "smtp://localhost:25",
      alertAfterMs: 30_000,
      httpHosts: [],
      supervisor: "none",
      monitEveryMs: 5_000,
      router: "twine",
      failover: "twine",
      monitPort: 2812,
    },
  };
}

export const ALL_ANSWER: Omit<StatusKnowledge, "view"> = {
  confirmations: 3,
  answered: ["s1", "s2", "s3"],
  silent: new Map(),
  emptied: [],
  alphaAlive: true,
};

export function reportOn(view: View, knowledge: Partial<StatusKnowledge> = {}): StatusReport {
  return reportOf(configOf(view), { ...ALL_ANSWER, view, ...knowledge });
}

/** The view with some data nodes dead: replicas leave, a dead master leaves its partition without one. */
export function withDead(view: View, ...names: string[]): View {
  const partitions = view.partitions.map((partition) => ({
    ...partition,
    master: partition.master !== null && names.includes(partition.master) ? null : partition.master,
    replicas: partition.replicas.filter((name) => !names.includes(name)),
    dead: [partition.master ?? "", ...partition.replicas].filter((name) => names.includes(name)),
  }));
  const nodes = view.nodes.map((node): NodeView =>
    names.includes(node.name) ? { ...node, role: "dead", inSync: false } : node,
  );
  const isHalt = partitions.some((partition) => partition.master === null);
  return { ...view, state: isHalt ? "HALT" : "DEGRADED", partitions, nodes };
}

/** Two partitions; all of partition 1 is dead and needs somebody's word. `needs` tries every escaping. */
export const NEEDS =
  'a node that holds its data: b7666 was master last & came back <empty>; "twine-failover --accept-loss b7667" gives it up';

export function haltWithNeeds(): StatusReport {
  const view = withDead(exampleView(), "b7666", "b7667", "b7668");
  const partitions = view.partitions.map((partition) =>
    partition.index === 1 ? { ...partition, needs: NEEDS } : partition,
  );
  return reportOn({ ...view, partitions });
}

/** Partition 0 hands over, data of a6667 was rescued twice, a6668 keeps its own, and b7668 leaves the cluster. */
export function inMotion(): StatusReport {
  const view = exampleView();
  const handover = { from: "a6666", to: "a6667", phase: "pause" } as const;
  const run = { runId: "run", at: SINCE };
  const changes: Record<string, Partial<NodeView>> = {
    a6667: {
      rescue: {
        ...run,
        kind: "saved",
        place: "m1:/rescue/a6667-3-17.rdb",
        why: "",
        upTo: { replicationId: "8a1c", offset: 4711 },
      },
      earlierRescues: [{ ...run, kind: "saved", place: "m2:/rescue/a6667-2-9.rdb", why: "" }],
    },
    a6668: { rescue: { ...run, kind: "kept", place: null, why: "the disk is full" } },
    b7668: { retiring: true },
  };
  return reportOn({
    ...view,
    partitions: view.partitions.map((partition) =>
      partition.index === 0 ? { ...partition, handover } : partition,
    ),
    nodes: view.nodes.map((node) => ({ ...node, ...changes[node.name] })),
  });
}

/** The keys of two partitions are moved; a switch was undone. */
export function reshardingReport(): StatusReport {
  const view = exampleView();
  const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc16" }, partitions: 3 });
  const failed = "the master of partition 0 died";
  const by = "process 7 on db1";
  const reshard = { token: "t", by, since: SINCE, phase: "copying", conf: "", hashing, failed };
  const source = { bytes: 2048, keysTotal: 1000 };
  return reportOn(
    { ...view, reshard: { ...reshard, phase: "copying" } },
    {
      reshardProgress: {
        step: "following",
        sources: [
          { ...source, partition: 0, keys: 1000, lagBytes: 70 },
          { ...source, partition: 1, keys: 250, lagBytes: 0 },
        ],
        longestHoldMs: 130,
      },
    },
  );
}

export const REPORTS: Readonly<Record<string, () => StatusReport>> = {
  "a handover, rescues and a node that leaves": inMotion,
  "a resharding": reshardingReport,
  "a fresh cluster that is OK": () => reportOn(exampleView()),
  "a replica that is dead and another behind": () => {
    const view = withDead(exampleView(), "a6667");
    const nodes = view.nodes.map((node) =>
      node.name === "b7668" ? { ...node, inSync: false } : node,
    );
    return reportOn({ ...view, nodes });
  },
  "a partition that needs a decision": haltWithNeeds,
  "64 partitions": () => reportOn(exampleView(64, 2)),
  "no alpha and a silent status node": () =>
    reportOn(exampleView(), {
      alphaAlive: false,
      confirmations: 2,
      answered: ["s1", "s3"],
      silent: new Map([["s2", failureOf("s2", REFUSED)]]),
    }),
  "no view yet": () =>
    reportOf(configOf(exampleView()), {
      ...ALL_ANSWER,
      view: null,
      confirmations: 0,
      alphaAlive: false,
    }),
  "words that hurt": () => {
    const view = withDead(exampleView(), "b7666");
    const host = `db<1>&"'`;
    const nodes = view.nodes.map((node) => (node.kind === "router" ? { ...node, host } : node));
    const partitions = view.partitions.map((partition) =>
      partition.master === null
        ? { ...partition, needs: "]]> <script>alert(1)</script> \u0000\u001b[31m\ud800 end" }
        : partition,
    );
    return reportOn({ ...view, nodes, partitions });
  },
};
