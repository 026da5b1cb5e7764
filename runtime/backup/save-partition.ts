// save-partition.ts: one partition's RDB from one of its nodes into every target, examined while it passes.
//
//   node --RDB--> scanner: keys, types, CRC-64, misplaced keys
//             \-> SHA-256 --> compression --> encryption --> SHA-256 --> a file in each target that still works
//
// A node that gives no RDB, or breaks off, is followed by the next candidate, from the beginning.
import { createHash } from "node:crypto";
import { TwineError } from "../core/errors.ts";
import type { Credentials } from "../core/credentials.ts";
import type { HistoryMark } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { NodeError } from "../replication/node-error.ts";
import { RdbCounts } from "../replication/rdb/rdb-counts.ts";
import { RdbError } from "../replication/rdb/rdb-error.ts";
import { RdbScanner, type RdbPiece } from "../replication/rdb/rdb-scanner.ts";
import type { OpenRdbStream } from "../replication/rdb-stream.ts";
import type { Source } from "../replication/choose-source.ts";
import { encoderOf, type Encoder } from "./compression.ts";
import type { Copies, FileCopies } from "./copies.ts";
import type { Recipients } from "./encryption.ts";
import type { Compression, SavedPartition } from "./manifest.ts";

export interface SaveOptions {
  readonly openStream: OpenRdbStream;
  readonly credentials: Credentials | undefined;
  readonly tls?: LinkTls | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly compression: Compression;
  /** Absent: not encrypted. */
  readonly recipients?: Recipients | undefined;
  partitionOf(key: Uint8Array): number | Promise<number>;
  /** A node begins to give this partition's RDB, which lies there in its history. Again, when the next node has to. */
  onStart?(partition: number, source: Source, start: HistoryMark): void;
  /** More bytes of this partition's RDB have come; a negative number takes back those of a node that broke off. */
  onBytes?(partition: number, bytes: number): void;
}

const EXAMPLES_MAX = 10;

/** Throws PARTITION_UNAVAILABLE with every node's reason, or what no other node would mend. */
export async function savePartition(
  partition: number,
  sources: readonly Source[],
  copies: Copies,
  options: SaveOptions,
): Promise<SavedPartition> {
  const reasons: string[] = [];
  for (const source of sources) {
    let received = 0;
    const onBytes = (bytes: number): void => {
      received += bytes;
      options.onBytes?.(partition, bytes);
    };
    try {
      return await saveFrom(partition, source, copies, { ...options, onReceived: onBytes });
    } catch (error) {
      options.onBytes?.(partition, -received);
      if (options.signal.aborted || !isOfNode(error)) throw error;
      reasons.push(`${source.node}: ${error.message}`);
    }
  }
  throw new TwineError({
    code: "PARTITION_UNAVAILABLE",
    message: `no node of partition ${partition} gives its data${reasons.length === 0 ? ": it has neither a master nor a replica in sync" : ` (${reasons.join("; ")})`}`,
    remedy: "see what is wrong with its nodes (twine-status), mend that, and take the backup again",
  });
}

/** Whether another node of the partition may do better. */
function isOfNode(error: unknown): error is NodeError | RdbError {
  return error instanceof NodeError || error instanceof RdbError;
}

async function saveFrom(
  partition: number,
  source: Source,
  copies: Copies,
  options: SaveOptions & { onReceived(bytes: number): void },
): Promise<SavedPartition> {
  const name = `partition-${partition}.rdb${endingOf(options)}`;
  const file = await copies.create(name);
  try {
    return await streamInto(file, name, partition, source, options);
  } catch (error) {
    // Another node's data may come under the same name.
    await file.close().catch(() => undefined);
    throw error;
  }
}

async function streamInto(
  file: FileCopies,
  name: string,
  partition: number,
  source: Source,
  options: SaveOptions & { onReceived(bytes: number): void },
): Promise<SavedPartition> {
  const { credentials, tls, signal, clock, recipients } = options;
  const stored = new StoredBytes(file, await encodersOf(options));
  const [scanner, counts] = [new RdbScanner(), new RdbCounts()];
  // What is stored as it is needs no second digest.
  const rdbHash = options.compression === "none" ? undefined : createHash("sha256");
  const misplaced = { count: 0, examples: [] as string[] };
  const onStart = (start: HistoryMark): void => options.onStart?.(partition, source, start);
  const stream = options.openStream(source, { credentials, tls, signal, clock, onStart });
  let rdbBytes = 0;
  for await (const chunk of stream.chunks()) {
    const pieces = scanner.push(chunk);
    counts.add(pieces);
    await noteMisplaced(pieces, partition, source.db, options, misplaced);
    rdbHash?.update(chunk);
    rdbBytes += chunk.length;
    await stored.write(chunk);
    options.onReceived(chunk.length);
  }
  scanner.finish();
  const { bytes, sha256 } = await stored.end();
  const { magic, version, serverVersion, feedDb, ...figures } = counts.figures();
  return {
    partition,
    db: source.db,
    file: name,
    bytes,
    sha256,
    rdbBytes,
    ...(recipients === undefined ? { rdbSha256: rdbHash?.digest("hex") ?? sha256 } : {}),
    magic,
    rdbVersion: version,
    serverVersion,
    replicationId: stream.replicationId,
    offset: stream.offset,
    feedDb,
    node: source.node,
    role: source.role,
    takenAt: clock.wallTime(),
    keys: figures.keys,
    keysWithExpiry: figures.keysWithExpiry,
    keysByType: figures.keysByType,
    functions: figures.functions,
    // Names of keys are data.
    misplaced: recipients === undefined ? misplaced : { ...misplaced, examples: [] },
  };
}

export type Encoding = Pick<SaveOptions, "compression" | "recipients">;

/** What is added to the name of a file that is stored so. */
export function endingOf({ compression, recipients }: Encoding): string {
  return `${compression === "zstd" ? ".zst" : ""}${recipients === undefined ? "" : ".age"}`;
}

/** For one file, in their order. */
export async function encodersOf({ compression, recipients }: Encoding): Promise<Encoder[]> {
  const sealer = await recipients?.seal();
  return [encoderOf(compression), ...(sealer === undefined ? [] : [sealer])];
}

/** What is stored of an RDB or a feed: compressed, encrypted, counted and digested on its way. */
export class StoredBytes {
  readonly #file: FileCopies;
  readonly #encoders: readonly Encoder[];
  readonly #hash = createHash("sha256");
  #bytes = 0;

  /** The first gets the RDB, each other what the one before makes of it. */
  constructor(file: FileCopies, encoders: readonly Encoder[]) {
    this.#file = file;
    this.#encoders = encoders;
  }

  async write(chunk: Buffer): Promise<void> {
    await this.#through(0, [chunk]);
  }

  async end(): Promise<{ readonly bytes: number; readonly sha256: string }> {
    for (const [index, encoder] of this.#encoders.entries()) {
      await this.#through(index + 1, await encoder.end());
    }
    await this.#file.close();
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** From the encoder of that index on. */
  async #through(index: number, parts: readonly Buffer[]): Promise<void> {
    const encoder = this.#encoders[index];
    if (encoder === undefined) return this.#put(parts);
    for (const part of parts) await this.#through(index + 1, await encoder.push(part));
  }

  async #put(parts: readonly Buffer[]): Promise<void> {
    for (const part of parts) {
      this.#hash.update(part);
      this.#bytes += part.length;
      await this.#file.write(part);
    }
  }
}

async function noteMisplaced(
  pieces: readonly RdbPiece[],
  partition: number,
  db: number,
  { partitionOf }: Pick<SaveOptions, "partitionOf">,
  misplaced: { count: number; examples: string[] },
): Promise<void> {
  for (const piece of pieces) {
    if (piece.kind !== "entry" || piece.db !== db) continue;
    const found = partitionOf(piece.key);
    const owner = typeof found === "number" ? found : await found;
    if (owner === partition) continue;
    misplaced.count++;
    if (misplaced.examples.length < EXAMPLES_MAX) {
      misplaced.examples.push(piece.key.toString("base64"));
    }
  }
}
