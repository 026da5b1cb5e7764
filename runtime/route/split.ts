// split.ts: a command over keys of several partitions, cut into one command each, and their replies made one. Pure.
//
//   MSET a 1 b 2 c 3   a, c in 0; b in 1   ->   0: MSET a 1 c 3   1: MSET b 2
//
// The order of keys inside a partition stays; the merged reply has the order of the command that came.
import { elementsOf } from "../resp/reply-scanner.ts";
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand, errorReply, OK_REPLY } from "../resp/encode.ts";
import { shownKey } from "./wire-errors.ts";

export interface Part {
  readonly partition: number;
  /** Which of the keys, counted from 0. */
  readonly keys: readonly number[];
  readonly command: Buffer;
}

export interface SplitShape {
  readonly name: string;
  readonly merge: "mget" | "mset" | "sum";
  /** Arguments per key: 2 for MSET. */
  readonly keyStep: 1 | 2;
  readonly isRead: boolean;
}

/** `partitions[k]` is the partition of the k-th key. Parts in the order of their first key. */
export function splitCommand(
  args: readonly Buffer[],
  shape: SplitShape,
  partitions: readonly number[],
): Part[] {
  const byPartition = new Map<number, { keys: number[]; args: (Buffer | string)[] }>();
  partitions.forEach((partition, key) => {
    let part = byPartition.get(partition);
    if (part === undefined) {
      part = { keys: [], args: [args[0] ?? ""] };
      byPartition.set(partition, part);
    }
    const at = 1 + key * shape.keyStep;
    part.keys.push(key);
    part.args.push(...args.slice(at, at + shape.keyStep));
  });
  return [...byPartition].map(([partition, part]) => ({
    partition,
    keys: part.keys,
    command: encodeCommand(part.args),
  }));
}

/** One reply of the raw replies of `parts`, in their order. */
export function mergeReplies(
  args: readonly Buffer[],
  shape: SplitShape,
  parts: readonly Part[],
  replies: readonly Buffer[],
): Buffer {
  switch (shape.merge) {
    case "mget":
      return mergeMget(parts, replies);
    case "mset":
    case "sum":
      return mergeCounts(args, shape, parts, replies);
  }
}

/** A partition's error stands at each of its keys; the values of the others are kept. */
function mergeMget(parts: readonly Part[], replies: readonly Buffer[]): Buffer {
  if (replies.length > 0 && replies.every(isError)) return replies[0] ?? OK_REPLY;
  const values: Buffer[] = [];
  parts.forEach((part, index) => {
    const reply = replies[index] ?? errorReply("ERR twine: a partition gave no reply");
    const elements = elementsOf(reply);
    part.keys.forEach((key, place) => {
      values[key] = elements?.[place] ?? reply;
    });
  });
  return Buffer.concat([Buffer.from(`*${values.length}\r\n`), ...values]);
}

/** Adds the counts, or answers OK. When some part failed, the reply says which keys' fate is what. */
function mergeCounts(
  args: readonly Buffer[],
  shape: SplitShape,
  parts: readonly Part[],
  replies: readonly Buffer[],
): Buffer {
  const failed = parts.filter((_, index) => isError(replies[index]));
  const firstError = replies.find(isError);
  if (firstError !== undefined) {
    // Every part fared alike, or nothing would change: the error alone says it all.
    const fates = new Set(replies.map(fateOf));
    if (shape.isRead || (failed.length === parts.length && fates.size === 1)) return firstError;
    return partial(args, shape, parts, replies);
  }
  if (shape.merge === "mset") return OK_REPLY;
  return Buffer.from(`:${sumOf(replies)}\r\n`);
}

function partial(
  args: readonly Buffer[],
  shape: SplitShape,
  parts: readonly Part[],
  replies: readonly Buffer[],
): Buffer {
  const reasonsOf = (fate: Fate): string[] => {
    const reasons = parts.flatMap((part, index) => {
      const reply = replies[index];
      return fateOf(reply) === fate && isError(reply) ? [reasonOf(part, reply)] : [];
    });
    return reasons.length === 0 ? [] : [`${FATE_WORDS[fate]} ${reasons.join("; ")}`];
  };
  const reasonOf = (part: Part, reply: Buffer | undefined): string => {
    const keys = part.keys.slice(0, 8).map((key) => `'${keyAt(args, shape, key)}'`);
    const more = part.keys.length > 8 ? ` and ${part.keys.length - 8} more` : "";
    const error = reply?.toString("utf8", 1, reply.length - 2) ?? "";
    return `partition ${part.partition} with ${keys.join(" ")}${more}: ${error}`;
  };
  const done = parts.filter((_, index) => fateOf(replies[index]) === "done");
  const doneCount = done.reduce((sum, part) => sum + part.keys.length, 0);
  const total = parts.reduce((sum, part) => sum + part.keys.length, 0);
  const name = shape.name.toUpperCase();
  const reasons = [...reasonsOf("not"), ...reasonsOf("perhaps"), ...reasonsOf("done")];
  return errorReply(
    `PARTIAL ${name} was done for ${doneCount} of ${total} keys, ${reasons.join("; ")}`,
  );
}

function keyAt(args: readonly Buffer[], shape: SplitShape, key: number): string {
  return shownKey(args[1 + key * shape.keyStep] ?? Buffer.alloc(0));
}

export function sumOf(replies: readonly Buffer[]): bigint {
  let sum = 0n;
  for (const reply of replies) {
    const value = decodeReply(reply);
    if (value.type === "integer") sum += value.value;
  }
  return sum;
}

/** Whether a write with that reply was done at its master. */
export type Fate = "done" | "perhaps" | "not";

export function fateOf(reply: Buffer | undefined): Fate {
  if (reply === undefined || !isError(reply)) return "done";
  const [word] = reply.toString("latin1", 1, 20).split(" ", 1);
  if (word === "UNDERREPLICATED") return "done";
  return word === "UNCERTAIN" ? "perhaps" : "not";
}

const FATE_WORDS: Readonly<Record<Fate, string>> = {
  done: "done but held by too few replicas for",
  perhaps: "perhaps done for",
  not: "not for",
};

export function isError(reply: Buffer | undefined): boolean {
  return reply?.[0] === 45 || reply?.[0] === 33;
}
