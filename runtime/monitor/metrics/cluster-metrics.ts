// cluster-metrics.ts: a monitor's knowledge of the whole cluster, as metrics. Pure.
// The state is that of twine-status: never better than the view's own, and never OK while no monitor renews the lease.
import type { SourceProgress } from "../../core/reshard-progress.ts";
import type { StatusReport } from "../../status/report.ts";
import type { Family, Labels, Metric, Sample } from "./exposition.ts";

export interface ClusterFacts {
  readonly report: StatusReport;
  readonly version: string;
  /** As in /healthz. */
  readonly isHealthy: boolean;
  readonly failoverCount: number;
}

interface ClusterMetric extends Metric {
  readonly read: (facts: ClusterFacts) => Sample[];
}

const NO_LABELS: Labels = {};

function single(
  name: string,
  help: string,
  read: (facts: ClusterFacts) => number | boolean,
): ClusterMetric {
  const samples = (facts: ClusterFacts): Sample[] => [
    { labels: NO_LABELS, value: Number(read(facts)) },
  ];
  return { name, type: "gauge", labels: [], help, read: samples };
}

function secondsOf(time: string | null | undefined): number | undefined {
  return time === null || time === undefined ? undefined : Date.parse(time) / 1000;
}

/** Has no sample while the view has no backups, or `read` returns undefined. */
function ofBackup(
  name: string,
  help: string,
  read: (facts: ClusterFacts) => number | undefined,
): ClusterMetric {
  const samples = (facts: ClusterFacts): Sample[] => {
    const value = facts.report.view?.backup === undefined ? undefined : read(facts);
    return value === undefined ? [] : [{ labels: NO_LABELS, value }];
  };
  return { name, type: "gauge", labels: [], help, read: samples };
}

/** One sample for each partition whose keys are moved; none without a resharding. */
function ofSource(
  name: string,
  help: string,
  read: (source: SourceProgress) => number,
): ClusterMetric {
  const samples = ({ report }: ClusterFacts): Sample[] =>
    (report.reshardProgress?.sources ?? []).map((source) => ({
      labels: { partition: String(source.partition) },
      value: read(source),
    }));
  return { name, type: "gauge", labels: ["partition"], help, read: samples };
}

const METRICS: readonly ClusterMetric[] = [
  {
    name: "twine_build_info",
    type: "gauge",
    labels: ["version"],
    help: "1, with this monitor's version as label",
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  {
    name: "twine_state",
    type: "gauge",
    labels: ["state"],
    help: "1 for the state that the cluster is in, 0 for the other two: OK, DEGRADED, HALT",
    read: ({ report }) =>
      ["OK", "DEGRADED", "HALT"].map((state) => ({
        labels: { state },
        value: Number(report.state === state),
      })),
  },
  single(
    "twine_epoch",
    "The epoch; it grows with every new alpha",
    ({ report }) => report.view?.epoch ?? 0,
  ),
  single(
    "twine_revision",
    "The revision of the view; it grows with every change",
    ({ report }) => report.view?.revision ?? 0,
  ),
  {
    name: "twine_alpha",
    type: "gauge",
    labels: ["monitor"],
    help: "1 for the monitor that leads this epoch, 0 for the others",
    read: ({ report }) =>
      report.nodes
        .filter(({ kind }) => kind === "monitor")
        .map(({ name }) => ({
          labels: { monitor: name },
          value: Number(report.view?.alpha === name),
        })),
  },
  single(
    "twine_alpha_alive",
    "1 while this monitor sees the alpha renew its lease, or holds it itself",
    ({ report }) => report.alphaAlive,
  ),
  single("twine_monitor_ok", "1 while this monitor does its work, as /healthz says", (facts) => {
    return facts.isHealthy;
  }),
  {
    name: "twine_failovers_total",
    type: "counter",
    labels: [],
    help:
      "Times that a partition's master became another node since this monitor started, " +
      "handovers included; every monitor counts them all",
    read: ({ failoverCount }) => [{ labels: NO_LABELS, value: failoverCount }],
  },
  {
    name: "twine_partition_up",
    type: "gauge",
    labels: ["partition"],
    help: "1 when the partition has a master in the view, else 0",
    read: ({ report }) =>
      report.partitions.map(({ index, master }) => ({
        labels: { partition: String(index) },
        value: Number(master !== null),
      })),
  },
  {
    name: "twine_node_up",
    type: "gauge",
    labels: ["node", "kind", "role", "partition"],
    help: "0 when the node is dead in the view, else 1; partition is empty for all but data nodes",
    read: ({ report }) =>
      report.nodes.map(({ name, kind, role, partition }) => ({
        labels: { node: name, kind, role, partition: partition === null ? "" : String(partition) },
        value: Number(role !== "dead"),
      })),
  },
  {
    name: "twine_node_in_sync",
    type: "gauge",
    labels: ["node", "partition"],
    help: "1 when the data node is master or holds what its master holds, else 0",
    read: ({ report }) =>
      report.nodes
        .filter(({ kind }) => kind === "data")
        .map(({ name, partition, role, inSync }) => ({
          labels: { node: name, partition: String(partition ?? "") },
          value: Number(role !== "dead" && inSync),
        })),
  },
  ofBackup(
    "twine_backup_timestamp_seconds",
    "When the newest backup was begun, Unix time",
    (facts) => {
      const lastAt = facts.report.view?.backup?.lastAt ?? null;
      return lastAt === null ? undefined : Date.parse(lastAt) / 1000;
    },
  ),
  ofBackup("twine_backup_age_seconds", "Seconds since the newest backup was begun", (facts) => {
    const { backupAgeMs } = facts.report;
    return backupAgeMs === null ? undefined : backupAgeMs / 1000;
  }),
  ofBackup(
    "twine_backup_overdue",
    "1 while the newest backup is older than three times backup-every, else 0",
    ({ report }) => Number(report.view?.backup?.isOverdue === true),
  ),
  ofBackup(
    "twine_archive_lag_seconds",
    "How far the archive is behind the masters, by their offsets, rounded up to one digit; 0: less than 2 s",
    ({ report }) => report.view?.backup?.archive?.lagSeconds,
  ),
  ofBackup(
    "twine_archive_lag_bytes",
    "Bytes of all masters that the archive has not stored; 0 while it is less than 2 s behind",
    ({ report }) => report.view?.backup?.archive?.lagBytes,
  ),
  ofBackup(
    "twine_archive_cut_timestamp_seconds",
    "A moment of the whole cluster that the archive holds, at most a minute before its newest one, Unix time",
    ({ report }) => secondsOf(report.view?.backup?.archive?.lastCutAt),
  ),
  ofBackup(
    "twine_archive_gap_timestamp_seconds",
    "When the newest gap in the archive ended, Unix time; absent: there is none",
    ({ report }) => secondsOf(report.view?.backup?.archive?.gapAt),
  ),
  ofBackup(
    "twine_archive_failing",
    "1 while the archive fails, is late, or needs another backup, else 0; twine-status says why",
    ({ report }) => {
      const archive = report.view?.backup?.archive;
      if (archive === undefined) return undefined;
      const { failed, noBase, isLate = false } = archive;
      return Number(failed !== undefined || noBase !== undefined || isLate);
    },
  ),
  ofBackup(
    "twine_backup_rehearsal_timestamp_seconds",
    "When a backup was last restored into a scratch cluster and found good, Unix time",
    ({ report }) => {
      const lastAt = report.view?.backup?.rehearsal?.lastAt ?? null;
      return lastAt === null ? undefined : Date.parse(lastAt) / 1000;
    },
  ),
  ofBackup(
    "twine_backup_rehearsal_failing",
    "1 while the last rehearsal of a backup has failed, else 0; without a sample when there are none",
    ({ report }) => {
      const rehearsal = report.view?.backup?.rehearsal;
      return rehearsal === undefined ? undefined : Number(rehearsal.failed !== undefined);
    },
  ),
  ofBackup(
    "twine_backup_failing",
    "1 while the last attempt at a backup or some backup-dir has failed, else 0; twine-status says why",
    ({ report }) => Number(report.view?.backup?.failed !== undefined),
  ),
  {
    name: "twine_reshard_phase",
    type: "gauge",
    labels: ["phase"],
    help: "1 for the phase of the resharding under way; no sample without one",
    read: ({ report }) => {
      const phase = report.view?.reshard?.phase;
      return phase === undefined ? [] : [{ labels: { phase }, value: 1 }];
    },
  },
  ofSource(
    "twine_reshard_keys",
    "Keys of this partition when twine-reshard began to copy them",
    ({ keysTotal }) => keysTotal,
  ),
  ofSource("twine_reshard_copied_keys", "Keys of its RDB that were copied", ({ keys }) => keys),
  ofSource("twine_reshard_copied_bytes", "Bytes of its RDB that were copied", ({ bytes }) => bytes),
  ofSource(
    "twine_reshard_lag_bytes",
    "How far the copy is behind the partition's master",
    ({ lagBytes }) => lagBytes,
  ),
  {
    name: "twine_reshard_longest_hold_seconds",
    type: "gauge",
    labels: [],
    help: "The longest hold of a switch, also of one that was undone; no sample before the first",
    read: ({ report }) => {
      const longestMs = report.reshardProgress?.longestHoldMs ?? null;
      return longestMs === null ? [] : [{ labels: NO_LABELS, value: longestMs / 1000 }];
    },
  },
  single(
    "twine_status_nodes",
    "Status nodes that twine.conf names",
    ({ report }) => report.statusCount,
  ),
  single(
    "twine_status_nodes_answering",
    "Status nodes that answered this monitor just now",
    ({ report }) => report.answered.length,
  ),
];

/** Every metric of the cluster, as docs/metrics.md lists them. */
export const CLUSTER_METRICS: readonly Metric[] = METRICS;

/** One family per metric, in the order of CLUSTER_METRICS. */
export function clusterFamilies(facts: ClusterFacts): Family[] {
  return METRICS.map((metric) => ({ metric, samples: metric.read(facts) }));
}
