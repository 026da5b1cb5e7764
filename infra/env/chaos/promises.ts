// promises.ts: compares the results of a chaos run with the guarantees of twine.conf's settings. Pure.
import type { ClusterConfig, NodeKind } from "../../../runtime/core/cluster.ts";
import { printDuration } from "../../../runtime/core/conf/durations.ts";
import type { Cut, Fault } from "./schedule.ts";

/** The results of one fault. */
export interface FaultReport {
  readonly kind: Fault["kind"];
  /** Of a cut. */
  readonly cut?: Cut;
  readonly node: string;
  readonly nodeKind: NodeKind;
  /** The node was its partition's master when the fault began. */
  readonly wasMaster: boolean;
  /** Since the start of the run. */
  readonly atMs: number;
  readonly forMs: number;
  /** From the fault's end until every monitor reported OK; null: not within the limit. */
  readonly okAfterMs: number | null;
  /** The longest time in which one client had no completely acknowledged batch. */
  readonly longestGapMs: number;
  /** Error code -> commands. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface ChaosMeasure {
  readonly faults: readonly FaultReport[];
  readonly acknowledged: number;
  readonly lost: number;
  readonly staleReads: number;
  readonly unread: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly longestGapMs: number;
}

/** kept: null when the settings guarantee nothing of this kind. */
export interface Verdict {
  readonly name: "lost" | "stale" | "errors" | "recovery";
  /** The line of twine.conf that defines it. */
  readonly setting: string;
  readonly promise: string;
  readonly measured: string;
  readonly kept: boolean | null;
}

/** Errors that a client may get during a fault: the outcome is unknown, or too few replicas have the write. */
const ALLOWED = ["UNCERTAIN", "UNDERREPLICATED"];

export function judge(config: ClusterConfig, measure: ChaosMeasure): Verdict[] {
  return [
    lost(config, measure),
    stale(config, measure),
    errors(config, measure),
    recovery(measure),
  ];
}

function lost({ settings }: ClusterConfig, measure: ChaosMeasure): Verdict {
  const { ackReplicas, redis } = settings;
  const evicts = redis.some(
    ({ name, value }) =>
      name.toLowerCase() === "maxmemory-policy" && value.toLowerCase() !== "noeviction",
  );
  const isPromised = ackReplicas > 0 && !evicts;
  return {
    name: "lost",
    setting: `ack-replicas ${ackReplicas}`,
    promise: isPromised
      ? "no acknowledged write is lost when one node fails"
      : `none: ${evicts ? "maxmemory-policy lets Redis remove keys" : "a master may acknowledge a write before a replica has it"}`,
    measured:
      `${measure.lost} of ${measure.acknowledged} acknowledged writes lost` +
      (measure.unread > 0 ? `; ${measure.unread} could not be read back` : ""),
    kept: isPromised ? measure.lost === 0 && measure.unread === 0 : null,
  };
}

function stale({ settings }: ClusterConfig, { staleReads }: ChaosMeasure): Verdict {
  const { ackReplicas, readFrom } = settings;
  const isPromised = ackReplicas > 0 && readFrom === "master";
  return {
    name: "stale",
    setting: `read-from ${readFrom}, ack-replicas ${ackReplicas}`,
    promise: isPromised
      ? "a client reads nothing older than its last acknowledged write"
      : `none: ${readFrom === "replica" ? "a replica may be behind its master" : "a new master may lack the last writes"}`,
    measured: `${staleReads} stale reads`,
    kept: isPromised ? staleReads === 0 : null,
  };
}

function errors({ settings }: ClusterConfig, measure: ChaosMeasure): Verdict {
  const ofRouters = measure.faults
    .filter(({ nodeKind }) => nodeKind === "router")
    .reduce((count, fault) => count + (fault.errors["connection"] ?? 0), 0);
  const others = Object.entries(measure.errors).filter(
    ([kind, count]) => !ALLOWED.includes(kind) && !(kind === "connection" && count <= ofRouters),
  );
  return {
    name: "errors",
    setting: `hold-for ${printDuration(settings.holdForMs)}, retry-unknown ${settings.retryUnknown}`,
    promise:
      "requests wait for a new master; only UNCERTAIN, UNDERREPLICATED and a router's lost connections reach a client",
    measured: errorsText(measure.errors),
    kept: others.length === 0,
  };
}

export function errorsText(found: Readonly<Record<string, number>>): string {
  const entries = Object.entries(found).sort(([, a], [, b]) => b - a);
  if (entries.length === 0) return "no errors";
  return entries.map(([kind, count]) => `${count} ${kind}`).join(", ");
}

function recovery({ faults }: ChaosMeasure): Verdict {
  const never = faults.filter(({ okAfterMs }) => okAfterMs === null);
  const longestMs = Math.max(0, ...faults.map(({ okAfterMs }) => okAfterMs ?? 0));
  return {
    name: "recovery",
    setting: "every fault",
    promise: "the cluster is OK again once the node is back",
    measured:
      never.length > 0
        ? `not OK again after ${never.length} of ${faults.length} faults`
        : `OK again after each of ${faults.length} faults, at the latest ${Math.round(longestMs)} ms after its end`,
    kept: never.length === 0,
  };
}
