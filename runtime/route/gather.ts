// gather.ts: the replies of all partitions to one keyless command, made one. Pure.
// An error of any partition is the reply: a count or a list that leaves a partition out would be a lie.
import { decodeReply } from "../resp/decode.ts";
import { encodeReply, errorReply, type Protocol } from "../resp/encode.ts";
import { elementsOf } from "../resp/reply-scanner.ts";
import { itemsOf, numberOf, textOf } from "../resp/value.ts";
import { mergeInfo } from "./info.ts";
import type { Gather } from "./policy.ts";
import { fateOf, isError, sumOf, type Fate } from "./split.ts";

export interface GatherContext {
  /** Of the request, for the errors. */
  readonly name: string;
  /** In [0, 1): which key RANDOMKEY shows. */
  readonly random: number;
  /** Each partition's database number. */
  readonly dbs: readonly number[];
  /** The request's arguments, its name among them. */
  readonly args?: readonly Buffer[];
  /** Of INFO: what the router says of itself. */
  readonly routerSection?: string | undefined;
}

/** `replies[p]` is partition p's raw reply; for "randomkey", its number of keys and then its random key, `sizes[p]`. */
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

/** A channel is counted in its own partition; the others say 0 of it. */
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

/** The newest entries of all partitions. Each partition counts its ids for itself, so they are spread out to stay unique:
    partition p's entry i becomes i * partitions + p. */
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

const FATE_WORDS: Readonly<Record<Fate, string>> = {
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
  const fates = replies.map(fateOf);
  const isAlike = new Set(fates).size === 1 && replies.every(isError);
  if (gather !== "same" || isAlike) return error;
  const reasons = (["not", "perhaps", "done"] as const).flatMap((fate) => {
    const own = replies.flatMap((one, index) =>
      fates[index] === fate && isError(one) ? [index] : [],
    );
    const first = replies[own[0] ?? -1];
    if (first === undefined) return [];
    return [
      `${FATE_WORDS[fate]} ${own.join(", ")}: ${first.toString("utf8", 1, first.length - 2)}`,
    ];
  });
  const doneCount = fates.filter((fate) => fate === "done").length;
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
  // RESP3 wraps INFO as verbatim text: the reply keeps the type that the nodes gave it.
  return infoReply(sections.join("\r\n"), decoded[0]?.type === "verbatim" ? 3 : 2);
}

/** The text of INFO as Redis sends it. */
export function infoReply(text: string, protocol: Protocol): Buffer {
  return encodeReply({ type: "verbatim", format: "txt", bytes: Buffer.from(text) }, protocol);
}

/** Every key of the cluster is as likely as any other when partitions count by their keys. */
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
