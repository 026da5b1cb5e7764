// value-digests.ts: what a value is, whatever its encoding and whatever server wrote it: a redis-server of our own loads it
// and digests it. https://redis.io/docs/latest/commands/restore/, DEBUG HELP (DIGEST-VALUE)
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { NodeError } from "../../replication/node-error.ts";
import type { ValueKind } from "../../replication/rdb/rdb-types.ts";
import { openScratchServer, type ScratchServer } from "../../replication/scratch-server.ts";
import { itemsOf, textOf, type RespValue } from "../../resp/value.ts";

export interface DigestPorts {
  /** Private. */
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The redis-server that loads the values; absent: that of PATH. */
  readonly program?: string | undefined;
}

/** A value as DUMP gives it. */
export interface Dumped {
  readonly type: ValueKind;
  readonly dump: Buffer;
}

/** RDB types of hashes whose fields may expire begin here. */
const TYPE_WITH_FIELD_EXPIRY = 22;
/** Version and CRC-64 at the end of what DUMP gives. */
const DUMP_TAIL_BYTES = 10;
/** Of XINFO STREAM: what is of the server's memory, or of the moment. */
const OF_NO_VALUE = new Set([
  ...["radix-tree-keys", "radix-tree-nodes", "seen-time", "active-time", "seen", "active", "lag"],
]);

export class ValueDigests {
  readonly #server: ScratchServer;
  #unloadable = 0;
  /** The batch before: all use the same names. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(server: ScratchServer) {
    this.#server = server;
  }

  /** Throws SCRATCH_FAILED. */
  static async open({ folder, clock, signal, program }: DigestPorts): Promise<ValueDigests> {
    const opened = async (name: string, settings: readonly (readonly [string, string])[]) => {
      const own = join(folder, name);
      await mkdir(own, { mode: 0o700 });
      const options = { folder: own, loads: "nothing", clock, signal, settings };
      return openScratchServer(program === undefined ? options : { ...options, program });
    };
    try {
      return new ValueDigests(await opened("digests", [["enable-debug-command", "local"]]));
    } catch {
      signal.throwIfAborted();
      // Redis 6.2 does not know the setting, and needs none.
      return new ValueDigests(await opened("digests-6.2", []));
    }
  }

  /** Values that the server could not load: of these the bytes are digested. */
  get unloadable(): number {
    return this.#unloadable;
  }

  /** A text for each value: the same for the same value. Several callers may ask at once. */
  of(values: readonly Dumped[]): Promise<string[]> {
    const digests = this.#last.catch(() => undefined).then(() => this.#all(values));
    this.#last = digests;
    return digests;
  }

  async #all(values: readonly Dumped[]): Promise<string[]> {
    const digests = await Promise.all(values.map((value, at) => this.#one(value, `v${at}`)));
    await this.#server.call("FLUSHALL");
    return digests;
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  async #one({ type, dump }: Dumped, name: string): Promise<string> {
    // All of them are sent at once, one behind the other.
    const [restored, digested, stream] = await Promise.allSettled([
      this.#server.call("RESTORE", name, "0", dump),
      this.#server.call("DEBUG", "DIGEST-VALUE", name),
      // Of another type it is an error, which nobody reads.
      this.#server.call("XINFO", "STREAM", name, "FULL", "COUNT", "0"),
    ]);
    if (restored.status === "rejected") {
      if (!isRefusal(restored.reason)) throw restored.reason;
      this.#unloadable++;
      return `bytes ${dump.subarray(0, -DUMP_TAIL_BYTES).toString("latin1")}`;
    }
    const parts = [textOf(itemsOf(valueOf(digested))[0])];
    if (type === "stream") parts.push(JSON.stringify(streamState(valueOf(stream))));
    if (type === "hash" && (dump[0] ?? 0) >= TYPE_WITH_FIELD_EXPIRY) {
      parts.push(await this.#fieldExpiries(name));
    }
    return parts.join(" ");
  }

  async #fieldExpiries(name: string): Promise<string> {
    const fields = itemsOf(await this.#server.call("HKEYS", name)).flatMap((field) =>
      field.type === "bulk" ? [field.bytes] : [],
    );
    // All have expired since.
    if (fields.length === 0) return "";
    const sorted = fields.toSorted((a, b) => a.compare(b));
    const times = await this.#server.call(
      ...["HPEXPIRETIME", name, "FIELDS", String(sorted.length), ...sorted],
    );
    return JSON.stringify(plain(times));
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof NodeError && error.kind === "refused";
}

function valueOf(settled: PromiseSettledResult<RespValue>): RespValue {
  if (settled.status === "fulfilled") return settled.value;
  throw settled.reason;
}

/** What DIGEST-VALUE leaves out of a stream: its groups, and what it remembers of its past. */
function streamState(info: RespValue): unknown {
  const read = (value: unknown): unknown => {
    if (!Array.isArray(value)) return value;
    const isPairs =
      value.length % 2 === 0 && value.every((item, at) => at % 2 === 1 || typeof item === "string");
    if (!isPairs) return value.map(read);
    const kept: unknown[] = [];
    for (let at = 0; at < value.length; at += 2) {
      if (OF_NO_VALUE.has(String(value[at]))) continue;
      kept.push(value[at], read(value[at + 1]));
    }
    return kept;
  };
  return read(plain(info));
}

/** As JSON takes it. */
function plain(value: RespValue): unknown {
  if (value.type === "integer") return String(value.value);
  // Names of groups and consumers are bytes.
  if (value.type === "bulk") return value.bytes.toString("latin1");
  return textOf(value) ?? itemsOf(value).map(plain);
}
