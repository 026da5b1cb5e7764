// request-news.ts: tells a monitor that a tool has asked, and a tool that the alpha has answered. A message may be lost, so
// whoever watches also reads at intervals.
import { nodesOf } from "../core/cluster.ts";
import { registerKeys } from "../core/register-keys.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import type { ReconnectingLink } from "./reconnecting-link.ts";

/** Subscribes on every status node at the first watch(). */
export class RequestNews {
  readonly #options: StatusNodesOptions;
  readonly #tasks = new Set<() => void>();
  #links: readonly ReconnectingLink[] | undefined;
  #isClosed = false;

  constructor(options: StatusNodesOptions) {
    this.#options = options;
  }

  /** Calls `task` when a request may have changed. The returned function ends that. */
  watch(task: () => void): () => void {
    if (this.#links === undefined && !this.#isClosed) this.#subscribe();
    // A separate listener for every caller, because two callers may pass the same function.
    const listener = (): void => {
      task();
    };
    this.#tasks.add(listener);
    return () => {
      this.#tasks.delete(listener);
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#tasks.clear();
    for (const link of this.#links ?? []) link.close();
  }

  #subscribe(): void {
    const { config } = this.#options;
    const { requests } = registerKeys(config.settings.cluster);
    const tell = (): void => {
      for (const task of [...this.#tasks]) task();
    };
    this.#links = nodesOf(config, "status").map((node) =>
      statusNodeLink(node, this.#options, async (link) => {
        await link.subscribe(requests, tell);
        // Something may have been asked while there was no connection.
        tell();
      }),
    );
    for (const link of this.#links) link.open();
  }
}
