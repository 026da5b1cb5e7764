// clients.ts: the clients' thread as seen from the bench.
import { Worker } from "node:worker_threads";
import type { FromThread, ToThread } from "./client-thread.ts";
import type { ClientPlan, ClientResult } from "./client.ts";

export class Clients {
  readonly #worker = new Worker(new URL("./client-thread.ts", import.meta.url));
  #failed: Error | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor() {
    this.#worker.on("error", (error) => {
      this.#failed = error instanceof Error ? error : new Error(String(error));
      this.#reject?.(this.#failed);
    });
  }

  /** `port`: the router's. */
  begin(port: number, plans: readonly ClientPlan[]): void {
    this.#worker.postMessage({ kind: "begin", port, plans } satisfies ToThread);
  }

  /** When each client, in the order of begin, last had something acknowledged; 0: never. */
  async lastAcks(): Promise<readonly number[]> {
    const answer = await this.#ask({ kind: "last-acks" });
    return answer.kind === "last-acks" ? answer.times : [];
  }

  async end(): Promise<readonly ClientResult[]> {
    const answer = await this.#ask({ kind: "end" });
    return answer.kind === "results" ? answer.results : [];
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(message: ToThread): Promise<FromThread> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#worker.once("message", resolve);
      this.#worker.postMessage(message);
    });
  }
}
