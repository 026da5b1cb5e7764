// ask-sentinels.ts: which masters and replicas the running Sentinels know. All of them are asked, for two that disagree know
// two masters, and only a person can say which one holds the data.
//
//   given Sentinels --SENTINEL SENTINELS--> all of them --MASTERS, REPLICAS--> one truth, or where they differ
import { errorText } from "../../core/error-text.ts";
import type { Problem } from "../../core/errors.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { itemsOf, textOf, type RespValue } from "../../resp/value.ts";
import { addressText, type ImportedNode } from "./imported.ts";
import { openSource, type SourceOptions } from "./source-link.ts";

export interface WatchedMaster {
  readonly name: string;
  readonly master: ImportedNode;
  readonly replicas: readonly ImportedNode[];
  readonly quorum: number;
}

export interface SentinelTruth {
  /** Every Sentinel that answered. */
  readonly sentinels: readonly ImportedNode[];
  readonly masters: readonly WatchedMaster[];
  readonly errors: readonly Problem[];
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
  const masters = answers[0]?.masters ?? [];
  errors.push(...disagreements(answers));
  return { sentinels: answers.map(({ from }) => from), masters, errors };
}

function disagreements(
  answers: readonly { from: ImportedNode; masters: readonly WatchedMaster[] }[],
): Problem[] {
  const [first, ...others] = answers;
  if (first === undefined) return [];
  const problems: Problem[] = [];
  const say = (name: string, message: string): void => {
    problems.push({
      code: "SENTINELS_DISAGREE",
      message,
      remedy: `wait for a failover to end; else find the master that clients write to, and let all know it: SENTINEL REMOVE ${name}, SENTINEL MONITOR ${name} HOST PORT QUORUM`,
    });
  };
  for (const other of others) {
    for (const { name, master } of first.masters) {
      const found = other.masters.find((watched) => watched.name === name);
      const [here, there] = [addressText(first.from), addressText(other.from)];
      if (found === undefined)
        say(name, `the Sentinel at ${there} does not know ${name}, the one at ${here} does`);
      else if (addressText(found.master) !== addressText(master)) {
        say(
          name,
          `the Sentinels disagree about ${name}: ${addressText(master)} says the one at ${here}, ${addressText(found.master)} the one at ${there}`,
        );
      }
    }
  }
  return problems;
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
        replicas: await replicasOf(socket, name),
        quorum: Number(record.get("quorum") ?? 1),
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

function nodeOf(record: ReadonlyMap<string, string>): ImportedNode | undefined {
  const [host, port] = [record.get("ip") ?? "", Number(record.get("port") ?? 0)];
  return host === "" || !(port >= 1 && port <= 65_535) ? undefined : { host, port };
}

function fieldsOf(record: RespValue): Map<string, string> {
  const words = itemsOf(record).map((item) => textOf(item) ?? "");
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < words.length; at += 2) fields.set(words[at] ?? "", words[at + 1] ?? "");
  return fields;
}
