// cluster-nodes.ts: what `redis-cli cluster nodes` prints as a cluster: the slots of each master, and its replicas. Pure.
// https://redis.io/docs/latest/commands/cluster-nodes/ describes the lines.
import { SLOT_COUNT, parseDistribution, type SlotRange } from "../../core/hash/distribution.ts";
import type { Problem, SourceAt } from "../../core/errors.ts";
import { addressFrom, type Imported, type ImportedNode } from "./imported.ts";

interface ClusterLine {
  readonly id: string;
  readonly address: ImportedNode;
  readonly flags: readonly string[];
  readonly masterId: string;
  readonly slots: readonly SlotRange[];
  readonly at: SourceAt;
}

export const CLUSTER_NODES_LINE = /^[0-9a-f]{40} \S+ \S*(?:master|slave)\S* /m;

export function importClusterNodes(text: string, file: string): Imported {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const nodes: ClusterLine[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    if (raw.trim() === "") continue;
    const node = readLine(raw.trim(), { file, line: index + 1, column: 1 }, errors);
    if (node !== undefined) nodes.push(node);
  }
  const masters = nodes.filter(({ slots }) => slots.length > 0);
  for (const { flags, address, at } of masters) {
    if (!flags.includes("fail") && flags.includes("master")) continue;
    errors.push({
      code: "CLUSTER_MASTER_DEAD",
      message: `${address.host}:${address.port} has slots and is ${flags.join(",")}`,
      at,
      remedy: "let the cluster fail over first (redis-cli cluster info says cluster_state:ok)",
    });
  }
  const uncovered = gapOf(masters);
  if (uncovered !== undefined && errors.length === 0) {
    errors.push({
      code: "CLUSTER_SLOT_MISSING",
      message: `slot ${uncovered} belongs to no master`,
      at: { file, line: 1, column: 1 },
      remedy:
        "give the whole output of redis-cli cluster nodes, of a cluster that covers all slots",
    });
  }
  const sorted = masters.toSorted((a, b) => (a.slots[0]?.[0] ?? 0) - (b.slots[0]?.[0] ?? 0));
  const words = sorted.map(({ slots }) => slots.map(([from, to]) => `${from}-${to}`).join(","));
  const distribution = parseDistribution(["slots", ...words]);
  if (typeof distribution === "string" && errors.length === 0) {
    const at = { file, line: 1, column: 1 };
    const remedy = "give the output of one node at one moment";
    errors.push({ code: "CLUSTER_SLOTS_BAD", message: distribution, at, remedy });
  }
  if (errors.length > 0 || typeof distribution === "string") return { errors, warnings };
  const cluster = {
    from: "cluster" as const,
    name: "twine",
    hash: "crc16" as const,
    distribution,
    hashTag: "{}",
    shards: sorted.map(({ id, address, at }) => ({
      name: id.slice(0, 8),
      master: address,
      replicas: nodes
        .filter(({ masterId, flags }) => masterId === id && !flags.includes("fail"))
        .map((node) => node.address),
      db: 0,
      at,
    })),
    listen: undefined,
    password: undefined,
    isEjecting: false,
  };
  return { cluster, errors, warnings };
}

function readLine(line: string, at: SourceAt, errors: Problem[]): ClusterLine | undefined {
  const [id = "", address = "", flags = "", masterId = "-", , , , , ...slots] = line.split(/\s+/);
  const columnOf = (word: string): SourceAt => ({ ...at, column: line.indexOf(word) + 1 });
  if (flags.includes("noaddr") || flags.includes("handshake")) return undefined;
  const found = addressFrom(address.replace(/@.*$/, "").replace(/^:(?=\d)/, "127.0.0.1:"));
  if (!/^[0-9a-f]{40}$/.test(id) || found === undefined) {
    errors.push({
      code: "CLUSTER_LINE_BAD",
      message: `'${line.slice(0, 60)}' is no line of redis-cli cluster nodes`,
      at,
      remedy: "redis-cli -h HOST -p PORT cluster nodes > FILE",
    });
    return undefined;
  }
  const ranges: SlotRange[] = [];
  for (const slot of slots) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(slot);
    if (range !== null) {
      ranges.push([Number(range[1]), Number(range[2] ?? range[1])]);
      continue;
    }
    errors.push({
      code: "CLUSTER_SLOT_MOVING",
      message: `${address} is moving slots: ${slot}`,
      at: columnOf(slot),
      remedy: "let the move end (redis-cli --cluster fix HOST:PORT), and give the output again",
    });
  }
  return { id, address: found, flags: flags.split(","), masterId, slots: ranges, at };
}

function gapOf(masters: readonly ClusterLine[]): number | undefined {
  const owned = new Uint8Array(SLOT_COUNT);
  for (const { slots } of masters) for (const [from, to] of slots) owned.fill(1, from, to + 1);
  const gap = owned.indexOf(0);
  return gap === -1 ? undefined : gap;
}
