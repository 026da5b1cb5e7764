// snapshot.ts: the figures of one router process at one moment, as plain data for other processes, and the sum of
// several. Pure.
//
//   worker 1 ─┐
//   worker 2 ─┼─ addSnapshots ──▶ one router
//   dead ones ─┘  only their counters: their levels are gone
//
// So a counter never decreases when a worker dies, and Prometheus sees no reset.
import type { CommandFigures } from "./tally.ts";

/** Counters only grow. */
export const COUNT_NAMES = [
  "clientsAccepted",
  "clientEof",
  "clientErrors",
  "receivedBytes",
  "sentBytes",
  "fragments",
  "down",
  "uncertain",
  "backendsOpened",
  "cpuSeconds",
] as const;
/** Levels: present values. */
export const LEVEL_NAMES = [
  "clients",
  "backends",
  "bufferedBytes",
  "memoryBytes",
  "processes",
  "confirmed",
  "confDiffers",
] as const;
export const NODE_COUNT_NAMES = [
  "requests",
  "requestBytes",
  "responses",
  "responseBytes",
  "opened",
  "eof",
  "errors",
  "timeouts",
] as const;
/** Buffered requests count as in the queue of their partition's master. */
export const QUEUE_NAMES = [
  "inQueue",
  "inQueueBytes",
  "outQueue",
  "outQueueBytes",
  "held",
] as const;

type Figures<Name extends string> = Readonly<Record<Name, number>>;
export type Counts = Figures<(typeof COUNT_NAMES)[number]>;
export type Levels = Figures<(typeof LEVEL_NAMES)[number]>;
export type Queues = Figures<(typeof QUEUE_NAMES)[number]>;

export interface NodeFigures {
  readonly partition: number;
  readonly counts: Figures<(typeof NODE_COUNT_NAMES)[number]>;
  readonly queues: Queues;
  readonly connections: number;
  /** Every process sees the same views, so the highest value is used, not the sum. */
  readonly ejects: number;
  readonly ejectedAtUs: number;
}

export interface RouterSnapshot {
  readonly counts: Counts;
  readonly levels: Levels;
  readonly commands: Readonly<Record<string, CommandFigures>>;
  /** By name. */
  readonly nodes: Readonly<Record<string, NodeFigures>>;
  /** By partition; buffered requests of one without a master belong to no node. */
  readonly partitions: Readonly<Record<string, Queues>>;
}

export const NO_QUEUES: Queues = zeros(QUEUE_NAMES);

export const NO_FIGURES: RouterSnapshot = {
  counts: zeros(COUNT_NAMES),
  levels: zeros(LEVEL_NAMES),
  commands: {},
  nodes: {},
  partitions: {},
};

/** The snapshot of a dead process: only its counters. */
export function countsAlone(snapshot: RouterSnapshot): RouterSnapshot {
  const nodes = Object.entries(snapshot.nodes).map(
    ([name, node]) => [name, { ...node, queues: NO_QUEUES, connections: 0 }] as const,
  );
  return {
    ...snapshot,
    levels: zeros(LEVEL_NAMES),
    nodes: Object.fromEntries(nodes),
    partitions: {},
  };
}

export function addSnapshots(a: RouterSnapshot, b: RouterSnapshot): RouterSnapshot {
  return {
    counts: added(COUNT_NAMES, a.counts, b.counts),
    levels: added(LEVEL_NAMES, a.levels, b.levels),
    commands: joined(a.commands, b.commands, addCommands),
    nodes: joined(a.nodes, b.nodes, addNodes),
    partitions: joined(a.partitions, b.partitions, addQueues),
  };
}

export function addQueues(a: Queues, b: Queues): Queues {
  return added(QUEUE_NAMES, a, b);
}

function addCommands(a: CommandFigures, b: CommandFigures): CommandFigures {
  return {
    buckets: a.buckets.map((count, index) => count + (b.buckets[index] ?? 0)),
    sumMs: a.sumMs + b.sumMs,
    errors: a.errors + b.errors,
  };
}

function addNodes(a: NodeFigures, b: NodeFigures): NodeFigures {
  return {
    partition: b.partition,
    counts: added(NODE_COUNT_NAMES, a.counts, b.counts),
    queues: addQueues(a.queues, b.queues),
    connections: a.connections + b.connections,
    ejects: Math.max(a.ejects, b.ejects),
    ejectedAtUs: Math.max(a.ejectedAtUs, b.ejectedAtUs),
  };
}

function zeros<Name extends string>(names: readonly Name[]): Figures<Name> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Figures<Name>;
}

function added<Name extends string>(
  names: readonly Name[],
  a: Figures<Name>,
  b: Figures<Name>,
): Figures<Name> {
  return Object.fromEntries(names.map((name) => [name, a[name] + b[name]])) as Figures<Name>;
}

function joined<Value>(
  a: Readonly<Record<string, Value>>,
  b: Readonly<Record<string, Value>>,
  add: (a: Value, b: Value) => Value,
): Record<string, Value> {
  const all = new Map(Object.entries(a));
  for (const [key, value] of Object.entries(b)) {
    const before = all.get(key);
    all.set(key, before === undefined ? value : add(before, value));
  }
  return Object.fromEntries(all);
}
