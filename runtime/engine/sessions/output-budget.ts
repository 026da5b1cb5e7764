// output-budget.ts: limits the unread replies of all clients of one process together, because a limit per client is no
// limit for a thousand clients. Beyond output-bytes-total, the client with the most unread bytes is closed, until the
// rest is within the limit.
import type { Log } from "../../ports/log.ts";
import type { EngineRules } from "../limits.ts";
import { OUTPUT_BYTES_LEAST } from "../limits.ts";
import type { WatchedClient } from "./output-watch.ts";

export class OutputBudget {
  readonly #rules: EngineRules;
  readonly #log: Log;
  /** Clients with many unread bytes. */
  readonly #unread = new Map<WatchedClient, number>();
  #totalBytes = 0;

  constructor(rules: EngineRules, log: Log) {
    this.#rules = rules;
    this.#log = log;
  }

  /** Records the client's unread bytes; 0 when it has read all, or is closed. */
  note(client: WatchedClient, bytes: number): void {
    if (bytes <= OUTPUT_BYTES_LEAST && this.#unread.size === 0) return;
    const before = this.#unread.get(client) ?? 0;
    if (bytes > OUTPUT_BYTES_LEAST) this.#unread.set(client, bytes);
    else if (before === 0) return;
    else this.#unread.delete(client);
    this.#totalBytes += (bytes > OUTPUT_BYTES_LEAST ? bytes : 0) - before;
    while (this.#totalBytes > this.#rules.limits.outputTotalBytesMax) this.#closeSlowest();
  }

  #closeSlowest(): void {
    let [slowest, most]: [WatchedClient | undefined, number] = [undefined, 0];
    for (const [client, bytes] of this.#unread) {
      if (bytes > most) [slowest, most] = [client, bytes];
    }
    if (slowest === undefined) return;
    const { address, name } = slowest.facts.state;
    const { outputTotalBytesMax } = this.#rules.limits;
    this.#log.warn("clients leave too much unread: the slowest one is closed", {
      ...{ address, name, waitingBytes: most, totalBytes: this.#totalBytes, outputTotalBytesMax },
    });
    this.#unread.delete(slowest);
    this.#totalBytes -= most;
    slowest.destroy();
  }
}
