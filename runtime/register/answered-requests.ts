// answered-requests.ts: decides which answered requests may be removed from the status nodes. Pure, except for its own
// memory.
// A node that was unreachable may still hold the question (shared-hashes.ts). The answer keeps it from being executed
// again, so the answer stays until every node has been read and none holds the question.
import type { Request } from "../core/request.ts";

/** Longer than any tool awaits its answer. */
export const ANSWER_KEPT_MS = 10 * 60_000;
/** The limit for one reading: a hash that has grown for months is emptied in several readings. */
const REMOVED_COUNT_MAX = 100;

export class AnsweredRequests {
  /** Request id -> when its answer was first read here. Holds at most the ids of the hash. */
  #sinceMs: ReadonlyMap<string, number> = new Map();

  /**
   * The ids to remove now. `outdated`: answered requests whose question is still on some node. `isComplete`: every status
   * node replied to this reading.
   */
  oldOnes(
    requests: readonly Request[],
    outdated: readonly { readonly request: Request }[],
    isComplete: boolean,
    nowMs: number,
  ): string[] {
    const answered = requests.filter(({ state }) => state !== "asked");
    this.#sinceMs = new Map(answered.map(({ id }) => [id, this.#sinceMs.get(id) ?? nowMs]));
    if (!isComplete) return [];
    const asked = new Set(outdated.map(({ request }) => request.id));
    return [...this.#sinceMs]
      .filter(([id, sinceMs]) => nowMs - sinceMs >= ANSWER_KEPT_MS && !asked.has(id))
      .slice(0, REMOVED_COUNT_MAX)
      .map(([id]) => id);
  }
}
