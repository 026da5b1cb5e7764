// gather.ts: merges the replies of all partitions to a command without keys. Pure.
// If a partition returns an error, the error is the reply: a count or a list without one partition would be wrong.
import { decodeReply } from "../../resp/decode.ts";
import { encodeReply, errorReply, type Protocol } from "../../resp/encode.ts";
import { elementsOf } from "../../resp/reply-scanner.ts";
import { itemsOf, numberOf, textOf } from "../../resp/value.ts";
import { mergeInfo } from "./info.ts";
import type { Gather } from "../commands/policy.ts";
import { outcomeOf, isError, sumOf, type Outcome } from "./split.ts";

export interface GatherContext {
  /** The command's name, for errors. */
  readonly name: string;
  /** In [0, 1). Selects the key that RANDOMKEY returns. */
  readonly random: number;
  /** Each partition's database number. */
  readonly dbs: readonly number[];
  /** The request's arguments, including its name. */
  readonly args?: readonly Buffer[];
  /** For INFO: the router's own section. */
  readonly routerSection?: string | undefined;
}

/** `replies[p]` is the raw reply of partition p. For "randomkey" it is the random key, and `sizes[p]` is the number of
    keys. */
export function gatherReplies(
  gather: Gather,
  replies: readonly Buffer[],
  context: GatherContext,
  sizes: readonly Buffer[] = [],
): Buffer {
  const failed = [...replies, ...sizes].findIndex(isError);
  if (failed !== -1) return failureOf(replies, failed % replies.length, context.name, gather);
  switch (gather) {
    case "sum":
      return Buffer.from(`:${sumOf(replies)}\r\n`);
    case "least":
      return Buffer.from(`:${leastOf(replies)}\r\n`);
    case "concat":
      return arrayOf(replies.flatMap((reply) => elementsOf(reply) ?? []));
    case "pairs":
      return pairsOf(replies);
    case "slowlog":
      return slowest(replies, context.args?.[2]);
    case "same":
      return replies[0] ?? errorReply("ERR twine: there is no partition");
    case "and":
      return allOf(replies);
    case "info":
      return infoOf(replies, context);
    case "randomkey":
      return weighted(replies, sizes, context.random);
  }
}

function arrayOf(elements: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(`*${elements.length}\r\n`), ...elements]);
}

/** A channel is counted in its own partition; the other partitions return 0. */
function pairsOf(replies: readonly Buffer[]): Buffer {
  const lists = replies.map((reply) => elementsOf(reply) ?? []);
  const [first = []] = lists;
  const added = first.map((element, index) =>
    index % 2 === 0
      ? element
      : Buffer.from(`:${sumOf(lists.map((list) => list[index] ?? ZERO))}\r\n`),
  );
  return arrayOf(added);
}

const ZERO = Buffer.from(":0\r\n");

function leastOf(replies: readonly Buffer[]): number {
  return Math.min(...replies.map((reply) => numberOf(decodeReply(reply)) ?? 0));
}

/** SLOWLOG GET [count]: 10 without a count, all with -1. https://redis.io/docs/latest/commands/slowlog-get/ */
const SLOWLOG_COUNT = 10;

/** The newest entries of all partitions. Each partition has its own ids, so they are made unique: entry i of partition p
    becomes i * partitions + p. */
function slowest(replies: readonly Buffer[], count: Buffer | undefined): Buffer {
  const entries = replies.flatMap((reply, partition) =>
    (elementsOf(reply) ?? []).map((entry) => {
      const [id, ...fields] = elementsOf(entry) ?? [];
      const ownId = id === undefined ? 0 : (numberOf(decodeReply(id)) ?? 0);
      const newId = Buffer.from(`:${ownId * replies.length + partition}\r\n`);
      const [time] = fields;
      const timeSeconds = time === undefined ? 0 : (numberOf(decodeReply(time)) ?? 0);
      return { timeSeconds, ownId, entry: arrayOf([newId, ...fields]) };
    }),
  );
  entries.sort((a, b) => b.timeSeconds - a.timeSeconds || b.ownId - a.ownId);
  const limit = Number(count?.toString("latin1") ?? SLOWLOG_COUNT);
  return arrayOf(entries.slice(0, limit < 0 ? undefined : limit).map(({ entry }) => entry));
}

const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  done: "done but held by too few replicas in",
  perhaps: "perhaps done in",
  not: "not in",
};

function failureOf(
  replies: readonly Buffer[],
  partition: number,
  name: string,
  gather: Gather,
): Buffer {
  const error = replies.find(isError) ?? errorReply(`ERR twine: partition ${partition} failed`);
  const outcomes = replies.map(outcomeOf);
  const isAlike = new Set(outcomes).size === 1 && replies.every(isError);
  if (gather !== "same" || isAlike) return error;
  const reasons = (["not", "perhaps", "done"] as const).flatMap((outcome) => {
    const own = replies.flatMap((one, index) =>
      outcomes[index] === outcome && isError(one) ? [index] : [],
    );
    const first = replies[own[0] ?? -1];
    if (first === undefined) return [];
    return [
      `${OUTCOME_WORDS[outcome]} ${own.join(", ")}: ${first.toString("utf8", 1, first.length - 2)}`,
    ];
  });
  const doneCount = outcomes.filter((outcome) => outcome === "done").length;
  return errorReply(
    `PARTIAL ${name.toUpperCase()} was done in ${doneCount} of ${replies.length} partitions, ` +
      reasons.join("; "),
  );
}

function allOf(replies: readonly Buffer[]): Buffer {
  const lists = replies.map((reply) => itemsOf(decodeReply(reply)).map(numberOf));
  const items = (lists[0] ?? []).map((_, index) => ({
    type: "integer" as const,
    value: lists.every((list) => list[index] === 1) ? 1n : 0n,
  }));
  return encodeReply({ type: "array", items }, 2);
}

function infoOf(replies: readonly Buffer[], context: GatherContext): Buffer {
  const decoded = replies.map(decodeReply);
  const ofNodes = mergeInfo(
    decoded.map((value) => textOf(value) ?? ""),
    context.dbs,
  );
  const sections = [ofNodes, context.routerSection ?? ""].filter((text) => text !== "");
  // RESP3 returns INFO as verbatim text: the merged reply keeps the type of the nodes' replies.
  return infoReply(sections.join("\r\n"), decoded[0]?.type === "verbatim" ? 3 : 2);
}

/** The text of INFO in the type that Redis sends. */
export function infoReply(text: string, protocol: Protocol): Buffer {
  return encodeReply({ type: "verbatim", format: "txt", bytes: Buffer.from(text) }, protocol);
}

/** Weights the partitions by their number of keys, so that all keys of the cluster are equally likely. */
function weighted(keys: readonly Buffer[], sizes: readonly Buffer[], random: number): Buffer {
  const candidates = keys.flatMap((key, index) => {
    const value = decodeReply(key);
    const size = sizes[index];
    const count = size === undefined ? 0 : Number(sumOf([size]));
    return value.type === "null" ? [] : [{ key, count: Math.max(count, 1) }];
  });
  let left = random * candidates.reduce((sum, candidate) => sum + candidate.count, 0);
  for (const candidate of candidates) {
    left -= candidate.count;
    if (left < 0) return candidate.key;
  }
  return keys[0] ?? errorReply("ERR twine: there is no partition");
}
