// ask-sentinels.ts: which masters and replicas the running Sentinels know. All of them are asked, for two that disagree know
// two masters, and only a person can say which one holds the data.
//
//   given Sentinels --SENTINEL SENTINELS--> all of them --MASTERS, REPLICAS--> one truth, or where they differ
import { errorText } from "../../core/error-text.ts";
import type { Problem } from "../../core/errors.ts";
import {
  recordedAddress,
  sentinelRecord,
  type SentinelRecord,
} from "../../core/sentinel-records.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { itemsOf, textOf, type RespValue } from "../../resp/value.ts";
import { addressText, type ImportedNode } from "./imported.ts";
import { openSource, type SourceOptions } from "./source-link.ts";

export interface WatchedMaster {
  readonly name: string;
  readonly master: ImportedNode;
  /** The master's; empty when the Sentinel does not know it yet. */
  readonly runId: string;
  readonly replicas: readonly ImportedNode[];
  readonly quorum: number;
  /** What SENTINEL SET takes, as it is set there: names and values. */
  readonly settings: readonly string[];
}

export interface SentinelTruth {
  /** Every Sentinel that answered. */
  readonly sentinels: readonly ImportedNode[];
  readonly masters: readonly WatchedMaster[];
  readonly errors: readonly Problem[];
}

/** SENTINEL MONITOR begins with the defaults of these. A password is not shown. */
const SETTINGS = ["down-after-milliseconds", "failover-timeout", "parallel-syncs"] as const;

function numberIn(record: SentinelRecord, name: string): string[] {
  const value = record.get(name) ?? "";
  return /^\d{1,15}$/.test(value) ? [name, value] : [];
}

/** More than anybody runs: a Sentinel that invents others must not keep us. */
const SENTINELS_MAX = 64;

export async function askSentinels(
  given: readonly ImportedNode[],
  options: SourceOptions,
): Promise<SentinelTruth> {
  const errors: Problem[] = [];
  const known = new Map<string, ImportedNode>(given.map((node) => [addressText(node), node]));
  const answers: { from: ImportedNode; masters: WatchedMaster[] }[] = [];
  // The list grows while it is walked: each Sentinel names those that it knows.
  for (const [address, sentinel] of known) {
    try {
      const { masters, others } = await askOne(sentinel, options);
      answers.push({ from: sentinel, masters });
      for (const other of others) {
        if (known.size < SENTINELS_MAX) known.set(addressText(other), other);
      }
    } catch (error) {
      errors.push({
        code: "SENTINEL_SILENT",
        message: `the Sentinel at ${address} does not say what it knows: ${errorText(error)}`,
        remedy:
          "start it, or remove it from the others (SENTINEL RESET NAME there); a password: TWINE_SENTINEL_PASSWORD_FILE",
      });
    }
  }
  const masters = unionOf(answers.map((answer) => answer.masters));
  errors.push(...disagreements(answers));
  return { sentinels: answers.map(({ from }) => from), masters, errors };
}

/** Every Sentinel has to know every set, and with the same master. */
function disagreements(
  answers: readonly { from: ImportedNode; masters: readonly WatchedMaster[] }[],
): Problem[] {
  return unionOf(answers.map(({ masters }) => masters)).flatMap(({ name }) => {
    const sayings = answers.map(({ from, masters }) => ({
      at: addressText(from),
      says: masters.find((watched) => watched.name === name)?.master,
    }));
    const knows = sayings.find(({ says }) => says !== undefined);
    const other = sayings.find(
      ({ says }) =>
        says === undefined ||
        (knows?.says !== undefined && addressText(says) !== addressText(knows.says)),
    );
    if (knows?.says === undefined || other === undefined) return [];
    const message =
      other.says === undefined
        ? `the Sentinel at ${other.at} does not know ${name}, the one at ${knows.at} does`
        : `the Sentinels disagree about ${name}: ${addressText(knows.says)} says the one at ${knows.at}, ` +
          `${addressText(other.says)} the one at ${other.at}`;
    const remedy = `wait for a failover to end; else find the master that clients write to, and let all know it: SENTINEL REMOVE ${name}, SENTINEL MONITOR ${name} HOST PORT QUORUM`;
    return [{ code: "SENTINELS_DISAGREE", message, remedy }];
  });
}

function unionOf(lists: readonly (readonly WatchedMaster[])[]): WatchedMaster[] {
  const byName = new Map<string, WatchedMaster>();
  for (const watched of lists.flat()) {
    if (!byName.has(watched.name)) byName.set(watched.name, watched);
  }
  return [...byName.values()];
}

async function askOne(
  sentinel: ImportedNode,
  options: SourceOptions,
): Promise<{ masters: WatchedMaster[]; others: ImportedNode[] }> {
  const socket = await openSource(sentinel, options);
  try {
    const masters: WatchedMaster[] = [];
    const others: ImportedNode[] = [];
    for (const record of itemsOf(await socket.call("SENTINEL", "MASTERS")).map(fieldsOf)) {
      const name = record.get("name") ?? "";
      const master = nodeOf(record);
      if (name === "" || master === undefined) continue;
      masters.push({
        name,
        master,
        runId: record.get("runid") ?? "",
        replicas: await replicasOf(socket, name),
        quorum: Number(record.get("quorum") ?? 1),
        settings: SETTINGS.flatMap((setting) => numberIn(record, setting)),
      });
      const found = itemsOf(await socket.call("SENTINEL", "SENTINELS", name));
      others.push(...found.flatMap((peer) => nodeOf(fieldsOf(peer)) ?? []));
    }
    return { masters, others };
  } finally {
    socket.destroy();
  }
}

/** Redis before 5 knows the older word alone, and every version still takes it. */
async function replicasOf(socket: NodeSocket, name: string): Promise<ImportedNode[]> {
  const records = itemsOf(await socket.call("SENTINEL", "slaves", name)).map(fieldsOf);
  return records.flatMap((record) => {
    const isGone = /s_down|o_down|disconnected/.test(record.get("flags") ?? "");
    return isGone ? [] : (nodeOf(record) ?? []);
  });
}

function nodeOf(record: SentinelRecord): ImportedNode | undefined {
  return recordedAddress(record.get("ip") ?? "", record.get("port") ?? "");
}

function fieldsOf(record: RespValue): SentinelRecord {
  return sentinelRecord(itemsOf(record).map((item) => textOf(item) ?? ""));
}
