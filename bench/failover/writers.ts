// writers.ts: the writers' thread as seen from the bench.
import { Worker } from "node:worker_threads";
import type { FromThread, ToThread, WriteOrder } from "./writer-thread.ts";
import type { Written } from "./writer.ts";

export class Writers {
  readonly #worker = new Worker(new URL("./writer-thread.ts", import.meta.url));
  #failed: Error | undefined;

  constructor() {
    this.#worker.on("error", (error) => {
      this.#failed = error instanceof Error ? error : new Error(String(error));
    });
  }

  begin(order: WriteOrder): void {
    this.#report({ kind: "begin", order });
  }

  /** When each writer, in the order of begin, last had a write acknowledged; 0: never. */
  async lastAcks(): Promise<readonly number[]> {
    const answer = await this.#ask({ kind: "last-acks" });
    return answer.kind === "last-acks" ? answer.times : [];
  }

  async end(): Promise<readonly Written[]> {
    const answer = await this.#ask({ kind: "end" });
    return answer.kind === "written" ? answer.written : [];
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #report(message: ToThread): void {
    if (this.#failed !== undefined) throw this.#failed;
    this.#worker.postMessage(message);
  }

  #ask(message: ToThread): Promise<FromThread> {
    return new Promise((resolve, reject) => {
      const onError = (error: unknown): void => {
        reject(error instanceof Error ? error : new Error(String(error)));
      };
      this.#worker.once("error", onError);
      this.#worker.once("message", (answer: FromThread) => {
        this.#worker.off("error", onError);
        resolve(answer);
      });
      this.#report(message);
    });
  }
}
