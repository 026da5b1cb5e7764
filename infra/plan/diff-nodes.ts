// diff-nodes.ts: the differences between two twine.conf, node by node, as text. Pure.
//
//   old nodes, new nodes ── by name ──▶ added | removed | moved | changed ──▶ consequences: full sync, handover, restart
//
// Roles move and are in no file, so the current masters are an input; without them, the first node of a partition counts as
// its master, because the alpha prefers it.
import {
  majorityOf,
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
  type NodeKind,
} from "../../runtime/core/cluster.ts";
import { byName } from "../../runtime/core/natural-order.ts";
import { groupBy } from "./group-by.ts";

export interface Change {
  readonly kind: "added" | "removed" | "moved" | "changed" | "setting";
  /** The name of a node or of a directive. */
  readonly subject: string;
  /** Only for a data node. */
  readonly partition?: number;
  /** One line. */
  readonly text: string;
  /** Why this way is unsafe, and what to do instead. */
  readonly danger?: { readonly why: string; readonly remedy: string };
}

/** Partition -> the name of its master. */
export type Masters = ReadonlyMap<number, string>;

export function diffNodes(
  before: ClusterConfig,
  after: ClusterConfig,
  masters: Masters = preferredMasters(before),
): Change[] {
  const [old, now] = [namesOf(before), namesOf(after)];
  const sides = { before: membersOf(before), after: membersOf(after), masters };
  const names = byName([...new Set([...old.keys(), ...now.keys()])].map((name) => ({ name })));
  return names.flatMap(({ name }) => changesOf(old.get(name), now.get(name), sides));
}

/** The first node of each partition. */
export function preferredMasters(config: ClusterConfig): Masters {
  const members = membersOf(config);
  return new Map([...members].map(([partition, nodes]) => [partition, nodes[0]?.name ?? ""]));
}

interface Sides {
  readonly before: ReadonlyMap<number, readonly DataNode[]>;
  readonly after: ReadonlyMap<number, readonly DataNode[]>;
  readonly masters: Masters;
}

function namesOf(config: ClusterConfig): Map<string, ClusterNode> {
  return new Map(config.nodes.map((node) => [node.name, node]));
}

function membersOf(config: ClusterConfig): Map<number, DataNode[]> {
  return groupBy(nodesOf(config, "data"), (node) => node.partition);
}

function changesOf(
  old: ClusterNode | undefined,
  now: ClusterNode | undefined,
  sides: Sides,
): Change[] {
  if (old !== undefined && now !== undefined) {
    const isOther =
      old.kind !== now.kind ||
      (old.kind === "data" && now.kind === "data" && old.partition !== now.partition);
    if (isOther) return [...changesOf(old, undefined, sides), ...changesOf(undefined, now, sides)];
  }
  const data = [old, now].find((node) => node?.kind === "data");
  if (data?.kind === "data") return diffData(old as DataNode, now as DataNode, sides);
  return diffOther(old, now);
}

function diffData(
  old: DataNode | undefined,
  now: DataNode | undefined,
  { before, after, masters }: Sides,
): Change[] {
  const node = now ?? old;
  if (node === undefined) return [];
  const { name, partition } = node;
  const at = `partition ${partition}:`;
  const isMaster = masters.get(partition) === name;
  const role = isMaster ? "master" : "replica";
  const stays = (before.get(partition) ?? []).filter(
    (other) =>
      other.name !== name && after.get(partition)?.some((one) => isSamePlace(one, other)) === true,
  );
  const handover = isMaster ? handoverTo(stays) : "no handover";
  const common = { subject: name, partition };
  if (old === undefined) {
    const isFirst = (before.get(partition) ?? []).length === 0;
    const sync = isFirst ? "it starts empty" : "one full sync, no handover";
    return [
      { ...common, kind: "added", text: `${at} ${name} is added on ${placeOf(node)}: ${sync}` },
    ];
  }
  const isWholeGone = (after.get(partition) ?? []).length === 0;
  const lost = stays.length > 0 ? undefined : lastCopy(name, partition, isWholeGone);
  const risk = lost === undefined ? {} : { danger: lost };
  if (now === undefined) {
    const left = (after.get(partition) ?? []).length;
    const text = `${at} ${role} ${name} on ${old.host} is removed: ${handover}; ${nodes(left)} left`;
    return [{ ...common, kind: "removed", text, ...risk }];
  }
  if (old.db !== now.db) {
    const text = `${at} ${name} keeps its keys in database ${now.db} instead of ${old.db}`;
    const danger = {
      why: "keys stay in the database in which they are, so the partition would look empty",
      remedy: "keep the database",
    };
    return [{ ...common, kind: "changed", text, danger }];
  }
  if (old.host !== now.host) {
    const text =
      `${at} ${role} ${name} moves from ${old.host} to ${placeOf(now)}: ` +
      `one full sync, ${handover}, no key changes partition`;
    return [{ ...common, kind: "moved", text, ...risk }];
  }
  if (old.port === now.port) return [];
  const text = `${at} ${role} ${name} moves from port ${old.port} to ${now.port} on ${now.host}: one restart, ${handover}`;
  return [{ ...common, kind: "moved", text }];
}

/** A copy of the data that another node of the partition keeps at its address. */
function isSamePlace(one: DataNode, other: DataNode): boolean {
  return one.name === other.name && one.host === other.host && one.db === other.db;
}

function handoverTo(stays: readonly DataNode[]): string {
  const [next] = stays;
  return next === undefined ? "no other node can take over" : `one handover to ${next.name}`;
}

function lastCopy(
  name: string,
  partition: number,
  isWholeGone: boolean,
): NonNullable<Change["danger"]> {
  if (isWholeGone) {
    return {
      why: `partition ${partition} is removed with its keys`,
      remedy: "first move the keys to fewer partitions by twine-reshard (docs/reshard.md)",
    };
  }
  return {
    why: `no other node of partition ${partition} stays where it is, and the data of ${name} does not move along`,
    remedy: `first add a node of partition ${partition} and keep the old ones; when the state is OK, remove those`,
  };
}

function diffOther(old: ClusterNode | undefined, now: ClusterNode | undefined): Change[] {
  const node = now ?? old;
  if (node === undefined) return [];
  const { name, kind } = node;
  const what = `${NOUNS[kind]} ${name}`;
  const subject = { subject: name };
  if (old === undefined) {
    return [{ ...subject, kind: "added", text: `${what} is added on ${placeOf(node)}` }];
  }
  if (now === undefined) {
    return [{ ...subject, kind: "removed", text: `${what} on ${placeOf(node)} is removed` }];
  }
  if (placeOf(old) === placeOf(now)) {
    return secondPort(old) === secondPort(now) && dbOf(old) === dbOf(now)
      ? []
      : [
          {
            ...subject,
            kind: "changed",
            text: `${what} on ${now.host} has another second port or database`,
          },
        ];
  }
  const clients = kind === "router" ? `: its clients must connect to ${placeOf(now)}` : "";
  const text = `${what} moves from ${placeOf(old)} to ${placeOf(now)}${clients}`;
  return [{ ...subject, kind: "moved", text }];
}

const NOUNS: Readonly<Record<NodeKind, string>> = {
  data: "data node",
  status: "status node",
  monitor: "monitor",
  router: "router",
};

function placeOf({ host, port }: ClusterNode): string {
  return `${host}:${port}`;
}

function secondPort(node: ClusterNode): number | undefined {
  if (node.kind === "monitor") return node.sentinelPort;
  return node.kind === "router" ? node.statsPort : undefined;
}

function dbOf(node: ClusterNode): number | undefined {
  return node.kind === "status" ? node.db : undefined;
}

function nodes(count: number): string {
  return `${count} ${count === 1 ? "node" : "nodes"}`;
}

/** The status nodes and monitors whose votes count before and after, if they change; and a change of more than half of them
    at once. */
export function diffVoters(before: ClusterConfig, after: ClusterConfig): Change[] {
  return (["status", "monitor"] as const).flatMap((kind) => {
    const [old, now] = [nodesOf(before, kind), nodesOf(after, kind)];
    const kept = now.filter((node) =>
      old.some((one) => one.name === node.name && placeOf(one) === placeOf(node)),
    );
    if (old.length === now.length && kept.length === old.length) return [];
    const noun = `${NOUNS[kind]}s`;
    const text =
      `${noun}: ${old.length} -> ${now.length}; ${majorityOf(now.length)} of them must answer ` +
      `(${majorityOf(old.length)} of ${old.length} before)`;
    const isTooMuch = kept.length < majorityOf(old.length) || kept.length < majorityOf(now.length);
    const danger = {
      why: `${kept.length} of the ${noun} stay as they are, which is no majority of the old and of the new ones`,
      remedy: "change them one at a time, in several steps",
    };
    return [{ kind: "changed", subject: noun, text, ...(isTooMuch ? { danger } : {}) }];
  });
}
