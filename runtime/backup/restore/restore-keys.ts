// restore-keys.ts: what twine-restore --keys does, once the RDBs are prepared.
import { addressOf } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { NodeError } from "../../replication/node-error.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { keysToFile, keysWithPrefix, type Selection } from "./some-keys.ts";

export interface RestoreKeysOptions {
  readonly selection: Selection;
  /** Either a file or a prefix. */
  readonly toFile?: string | undefined;
  readonly prefix?: string | undefined;
  readonly view: View;
  readonly clock: Clock;
  /** Whose rights suffice for RESTORE. */
  readonly credentials: Credentials | undefined;
  readonly tls?: LinkTls | undefined;
  partitionOf(key: Uint8Array): number | Promise<number>;
}

export interface KeysReport {
  readonly keys: number;
  readonly expired: number;
  /** What was done, for people. */
  readonly text: string;
}

const SILENCE_MS_MAX = 30_000;

/** Throws KEYS_EXIST when some of the new names were taken: those were left as they are. */
export async function restoreKeys(options: RestoreKeysOptions): Promise<KeysReport> {
  const { selection, toFile, prefix = "" } = options;
  if (toFile !== undefined) {
    const keys = await keysToFile(selection, toFile);
    return { keys, expired: 0, text: `${counted(keys)} written to ${toFile}` };
  }
  const masters = new Masters(options);
  try {
    const { restored, expired, existing, existingCount } = await keysWithPrefix({
      ...selection,
      prefix,
      wallMs: Date.parse(options.clock.wallTime()),
      send: (key, words) => masters.send(key, words),
      isExisting: (error) => error instanceof NodeError && error.kind === "exists",
    });
    const late = expired === 0 ? "" : `; ${expired} have expired since the backup`;
    const text = `${counted(restored)} restored as ${prefix}...${late}`;
    if (existingCount === 0) {
      const none = `no key of the backup matches ${selection.pattern}`;
      const hasMatched = restored + expired > 0;
      return { keys: restored, expired, text: hasMatched ? text : none };
    }
    throw new TwineError({
      code: "KEYS_EXIST",
      message: `${text}; ${existingCount} names exist already and were not changed: ${existing.join(", ")}${existingCount > existing.length ? " ..." : ""}`,
      remedy: "use another --prefix, or delete these keys first",
    });
  } finally {
    masters.close();
  }
}

function counted(keys: number): string {
  return keys === 1 ? "1 key was" : `${keys} keys were`;
}

/** One connection to each partition's master, opened at its first key. */
class Masters {
  readonly #options: RestoreKeysOptions;
  readonly #sockets = new Map<number, NodeSocket>();

  constructor(options: RestoreKeysOptions) {
    this.#options = options;
  }

  async send(key: Buffer, words: readonly (Buffer | string)[]) {
    const partition = await this.#options.partitionOf(key);
    const socket = this.#sockets.get(partition) ?? (await this.#open(partition));
    return socket.call(...words);
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  async #open(partition: number): Promise<NodeSocket> {
    const { clock, credentials, tls, view, selection } = this.#options;
    const name = view.partitions[partition]?.master;
    const node = view.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) {
      throw new TwineError({
        code: "PARTITION_UNAVAILABLE",
        message: `partition ${partition} has no master`,
        remedy: "see twine-status; repeat the command when it has one",
      });
    }
    const socket = await openNodeSocket(
      { host: addressOf(node.host), port: node.port },
      { clock, credentials, tls, signal: selection.signal, silenceMsMax: SILENCE_MS_MAX },
    );
    this.#sockets.set(partition, socket);
    await socket.call("SELECT", String(node.db ?? 0));
    return socket;
  }
}
