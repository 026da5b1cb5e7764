// split.ts: splits a command whose keys are in several partitions, and merges the replies. Pure.
//
//   MSET a 1 b 2 c 3   a, c in 0; b in 1   ->   0: MSET a 1 c 3   1: MSET b 2
//
// Keys of one partition keep their order. The merged reply has the order of the original command.
import { elementsOf } from "../../resp/reply-scanner.ts";
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand, errorReply, OK_REPLY } from "../../resp/encode.ts";
import { shownKey } from "./wire-errors.ts";

export interface Part {
  readonly partition: number;
  /** Indices of its keys, from 0. */
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

/** `partitions[k]` is the partition of the k-th key. Parts are in the order of their first keys. */
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

/** Merges the raw replies of `parts`, given in their order, into one. */
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

/** A partition's error is the value of each of its keys; the values of the other partitions are kept. */
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

/** The sum of the counts, or OK. If a part failed, the reply lists the outcome of each key. */
function mergeCounts(
  args: readonly Buffer[],
  shape: SplitShape,
  parts: readonly Part[],
  replies: readonly Buffer[],
): Buffer {
  const failed = parts.filter((_, index) => isError(replies[index]));
  const firstError = replies.find(isError);
  if (firstError !== undefined) {
    // If all parts have the same outcome, or nothing was to change, the error alone is enough.
    const outcomes = new Set(replies.map(outcomeOf));
    if (shape.isRead || (failed.length === parts.length && outcomes.size === 1)) return firstError;
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
  const reasonsOf = (outcome: Outcome): string[] => {
    const reasons = parts.flatMap((part, index) => {
      const reply = replies[index];
      return outcomeOf(reply) === outcome && isError(reply) ? [reasonOf(part, reply)] : [];
    });
    return reasons.length === 0 ? [] : [`${OUTCOME_WORDS[outcome]} ${reasons.join("; ")}`];
  };
  const reasonOf = (part: Part, reply: Buffer | undefined): string => {
    const keys = part.keys.slice(0, 8).map((key) => `'${keyAt(args, shape, key)}'`);
    const more = part.keys.length > 8 ? ` and ${part.keys.length - 8} more` : "";
    const error = reply?.toString("utf8", 1, reply.length - 2) ?? "";
    return `partition ${part.partition} with ${keys.join(" ")}${more}: ${error}`;
  };
  const done = parts.filter((_, index) => outcomeOf(replies[index]) === "done");
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

/** Whether the master executed a write with that reply. */
export type Outcome = "done" | "perhaps" | "not";

export function outcomeOf(reply: Buffer | undefined): Outcome {
  if (reply === undefined || !isError(reply)) return "done";
  const [word] = reply.toString("latin1", 1, 20).split(" ", 1);
  if (word === "UNDERREPLICATED") return "done";
  return word === "UNCERTAIN" ? "perhaps" : "not";
}

const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  done: "done but held by too few replicas for",
  perhaps: "perhaps done for",
  not: "not for",
};

export function isError(reply: Buffer | undefined): boolean {
  return reply?.[0] === 45 || reply?.[0] === 33;
}
