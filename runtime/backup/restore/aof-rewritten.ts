// aof-rewritten.ts: waits until a node's append only file holds what the node has loaded. Where an AOF is on, it holds the old
// data until its rewrite after the load has ended: a node that dies before comes back with the old data.
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { infoFields } from "../../resp/info-fields.ts";
import { textOf, type RespValue } from "../../resp/value.ts";
import { errorText } from "../../core/error-text.ts";

export interface RewriteOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A full disk does not empty itself. */
const FAILED_REWRITES_MAX = 3;
const RETRY_MS = 1000;
const POLL_MS = 50;

/**
 * Resolves when the AOF of `node` is rewritten, or is off. Throws AOF_REWRITE_FAILED after three failed rewrites, and the
 * reason of `signal` when it is aborted. `call` sends a command to the node.
 */
export async function untilAofRewritten(
  node: string,
  call: (...words: [string, ...string[]]) => Promise<RespValue>,
  { clock, signal }: RewriteOptions,
): Promise<void> {
  let failures = 0;
  let reason = "its last rewrite failed";
  for (;;) {
    signal.throwIfAborted();
    const fields = infoFields(textOf(await call("INFO", "persistence")) ?? "");
    if (fields.get("aof_enabled") !== "1") return;
    const isIdle =
      fields.get("aof_rewrite_in_progress") === "0" && fields.get("aof_rewrite_scheduled") === "0";
    if (isIdle && fields.get("aof_last_bgrewrite_status") === "ok") return;
    if (isIdle) {
      failures += 1;
      if (failures > FAILED_REWRITES_MAX) throw rewriteFailed(node, reason);
      // The node refuses while it saves an RDB, or when it can't fork.
      await call("BGREWRITEAOF").catch((error: unknown) => {
        reason = errorText(error);
      });
      await clock.delay(RETRY_MS);
    }
    await clock.delay(POLL_MS);
  }
}

function rewriteFailed(node: string, reason: string): TwineError {
  return new TwineError({
    code: "AOF_REWRITE_FAILED",
    message: `${node} holds the new data and can't write its append only file: ${reason}`,
    remedy:
      "see the end of its log (often a full disk), and free space there; then restore again: the cluster is HALT until then",
  });
}
