// read-legs.ts: the change feed of one partition out of an archive, from a base to a moment, byte by byte without a gap.
import { FeedReader } from "../../replication/feed-reader.ts";
import { RespError } from "../../resp/limits.ts";
import { decoded } from "../compression.ts";
import { requireIdentity, type Identities } from "../encryption.ts";
import type { SavedPartition } from "../manifest.ts";
import type { ArchiveStore } from "../targets/target.ts";
import { readBlocks, type Block, type BlockHeader } from "./archive-block.ts";
import { named } from "./archive-index.ts";
import { parseArchiveName, segmentsThrough, type SegmentName } from "./archive-names.ts";
import type { Leg } from "./archive-path.ts";
import type { RunHead } from "./run-head.ts";

export interface ReadLegsOptions {
  readonly signal: AbortSignal;
  /** Absent: what is encrypted can't be read. */
  readonly identities?: Identities | undefined;
  /** The last leg ends between two commands; else its end is where the last whole transaction before it ends. */
  readonly isExact: boolean;
  /** What belongs to the moment, piece by piece: whole commands, and of a transaction all or nothing. */
  readonly onChunk: (bytes: Buffer) => Promise<void>;
}

/** Rejects when a segment is missing or damaged, holds no commands, or when an exact end lies inside of one. */
export async function readLegs(
  store: Pick<ArchiveStore, "list" | "read">,
  legs: readonly Leg[],
  saved: Pick<SavedPartition, "partition" | "offset" | "feedDb">,
  options: ReadLegsOptions,
): Promise<void> {
  const { partition, offset, feedDb } = saved;
  const whole = new WholeCommands(offset, feedDb);
  let at = offset;
  for (const leg of legs) {
    let rest = leg.segments;
    let doneBlock = 0;
    const onBlock = async (block: Block): Promise<void> => {
      options.signal.throwIfAborted();
      const [from, to] = rangeOf(block.header, partition);
      doneBlock = block.header.block;
      if (at >= leg.to || to <= at) return;
      if (from > at) throw new GapError(`${from - at} bytes before block ${doneBlock} are missing`);
      const plain = await plainOf(leg.head, block, options.identities);
      const start = startIn(block.header, partition) + (at - from);
      const piece = plain.subarray(start, start + (Math.min(to, leg.to) - at));
      at += piece.length;
      for (const bytes of whole.push(piece)) await options.onChunk(bytes);
    };
    while (at < leg.to && rest.length > 0) {
      const [segment, ...others] = rest;
      if (segment === undefined) break;
      rest = others;
      try {
        for await (const block of readBlocks(store.read(segment.name))) {
          if (block.header.block > doneBlock) await onBlock(block);
        }
      } catch (error) {
        options.signal.throwIfAborted();
        // Small files have become one since they were listed.
        const now = (await store.list()).includes(segment.name)
          ? []
          : await segmentsNow(store, leg, doneBlock);
        if (now.length === 0) throw named(error, segment.name);
        rest = now;
      }
    }
    if (at < leg.to) {
      throw new GapError(
        `the archive ends ${leg.to - at} bytes before the moment, in run ${leg.head.run}`,
      );
    }
  }
  if (options.isExact && whole.waitingBytes > 0) {
    throw new Error(`the moment lies inside of a command of partition ${partition}`);
  }
}

class GapError extends Error {}

/** What holds the blocks of the leg behind that one, as the store lists it now. */
async function segmentsNow(
  store: Pick<ArchiveStore, "list">,
  { head: { run }, segments }: Leg,
  doneBlock: number,
): Promise<SegmentName[]> {
  const listed = (await store.list()).flatMap((name) => {
    const parsed = parseArchiveName(name);
    return parsed?.kind === "segment" ? [parsed] : [];
  });
  const through = segmentsThrough(listed, run, segments.at(-1)?.last);
  return through.filter(({ last }) => last > doneBlock);
}

/** Lets through what ends between two commands and outside of a transaction. */
class WholeCommands {
  readonly #reader: FeedReader;
  #sentTo: number;
  #waiting: Buffer[] = [];

  constructor(offset: number, db: number) {
    this.#reader = new FeedReader(offset, db);
    this.#sentTo = offset;
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  push(piece: Buffer): Buffer[] {
    this.#waiting.push(piece);
    let boundary = this.#sentTo;
    try {
      for (const { isBoundary, endOffset } of this.#reader.push(piece)) {
        if (isBoundary) boundary = endOffset;
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      throw new Error(`it holds what is no command: ${error.message}`, { cause: error });
    }
    if (boundary === this.#sentTo) return [];
    const all = Buffer.concat(this.#waiting);
    const whole = all.subarray(0, boundary - this.#sentTo);
    this.#waiting = [all.subarray(whole.length)];
    this.#sentTo = boundary;
    return [whole];
  }
}

function rangeOf({ from, to }: BlockHeader, partition: number): readonly [number, number] {
  const [first, last] = [from[partition], to[partition]];
  if (first === undefined || last === undefined)
    throw new Error(`it holds no partition ${partition}`);
  return [first, last];
}

/** Where the partition's bytes begin among those of all partitions. */
function startIn({ from, to }: BlockHeader, partition: number): number {
  let bytes = 0;
  for (let at = 0; at < partition; at++) bytes += (to[at] ?? 0) - (from[at] ?? 0);
  return bytes;
}

async function plainOf(
  { run, compression, encryption }: RunHead,
  { header, payload }: Block,
  identities: Identities | undefined,
): Promise<Buffer> {
  const stored = once(payload);
  const compressed =
    encryption === undefined
      ? stored
      : requireIdentity(`the archive's run ${run}`, encryption.recipients, identities).open(stored);
  const chunks: Buffer[] = [];
  for await (const chunk of decoded(compressed, compression)) chunks.push(chunk);
  const plain = Buffer.concat(chunks);
  const bytes = startIn(header, header.from.length);
  if (plain.length !== bytes) {
    throw new Error(`block ${header.block} holds ${plain.length} bytes, and says ${bytes}`);
  }
  return plain;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield bytes;
}
