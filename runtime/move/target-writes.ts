// target-writes.ts: what one source sends to its targets: in batches, with a limit of what is not answered yet.
import type { NodeError } from "../replication/node-error.ts";
import { refusedBy } from "./move-errors.ts";
import { NO_MATTER } from "./replayed.ts";
import type { MoveTarget, Words } from "./target.ts";

/** Sent to a target and not yet answered. */
const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024;
const BATCH_BYTES_MAX = 64 * 1024;

/** Commands of one target that were not sent yet. */
interface Batch {
  readonly commands: Words[];
  readonly keys: (readonly Buffer[] | undefined)[];
  bytes: number;
}

export class TargetWrites {
  readonly #onFailure: () => void;
  readonly #batches = new Map<MoveTarget, Batch>();
  readonly #inFlight = new Set<Promise<void>>();
  #inFlightBytes = 0;
  #refused = new Map<string, Buffer>();
  #failure: Error | undefined;

  constructor(onFailure: () => void) {
    this.#onFailure = onFailure;
  }

  /** Keys of commands that a target refused, to be copied anew. */
  get hasRefused(): boolean {
    return this.#refused.size > 0;
  }

  takeRefused(): Buffer[] {
    const keys = [...this.#refused.values()];
    this.#refused.clear();
    return keys;
  }

  /** `keys`: copied anew when the target refuses; undefined: this is such a copy, and a refusal is the end. */
  send(target: MoveTarget, words: Words, keys: readonly Buffer[] | undefined): void {
    let bytes = 0;
    for (const word of words) bytes += word.length;
    this.#inFlightBytes += bytes;
    let batch = this.#batches.get(target);
    if (batch === undefined) {
      batch = { commands: [], keys: [], bytes: 0 };
      this.#batches.set(target, batch);
    }
    batch.commands.push(words);
    batch.keys.push(keys);
    batch.bytes += bytes;
    if (batch.bytes > BATCH_BYTES_MAX) this.#sendBatch(target, batch);
  }

  /** So little is not answered that more may be sent. Throws what has failed. */
  async belowLimit(): Promise<void> {
    if (this.#inFlightBytes > IN_FLIGHT_BYTES_MAX) this.#sendAll();
    while (this.#inFlightBytes > IN_FLIGHT_BYTES_MAX && this.#failure === undefined) {
      await Promise.race(this.#inFlight);
    }
    this.requireWell();
  }

  /** Everything that was sent has been answered. Throws what has failed. */
  async landed(): Promise<void> {
    this.#sendAll();
    await Promise.all(this.#inFlight);
    this.requireWell();
  }

  requireWell(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The first failure counts. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#onFailure();
  }

  #sendAll(): void {
    for (const [target, batch] of this.#batches) this.#sendBatch(target, batch);
  }

  #sendBatch(target: MoveTarget, { commands, keys: keysOf, bytes }: Batch): void {
    this.#batches.delete(target);
    const sent = target.send(commands).then(
      (refusals) => {
        this.#inFlightBytes -= bytes;
        for (const [index, refusal] of refusals) this.#take(refusal, keysOf[index]);
      },
      (error: unknown) => {
        this.#inFlightBytes -= bytes;
        this.fail(error);
      },
    );
    this.#inFlight.add(sent);
    void sent.finally(() => this.#inFlight.delete(sent));
  }

  #take(refusal: NodeError, keys: readonly Buffer[] | undefined): void {
    if (keys === NO_MATTER) return;
    if (keys === undefined || keys.length === 0) this.fail(refusedBy(refusal));
    for (const key of keys ?? []) this.#refused.set(key.toString("latin1"), key);
  }
}
