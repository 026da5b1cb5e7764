// load-errors.ts: what ends an attempt to load, and what happens then. Pure.
import { TwineError } from "../../core/errors.ts";
import { NodeError } from "../../replication/node-error.ts";

/** again: connect anew and go on from the last mark. anew: everything has to be copied again. over: it is the end. */
export type Sequel = "again" | "anew" | "over";

/** The other system or the cluster changed under the work. */
export function changed(why: string): TwineError {
  return new TwineError({
    code: "LOAD_CHANGED",
    message: why,
    remedy: "run the command again",
  });
}

/** Nothing can go on from the mark. */
export function lostMark(why: string): TwineError {
  return new TwineError({ code: "MOVE_RESTART", message: why, remedy: "run the command again" });
}

const AGAIN = new Set(["LOAD_CHANGED", "SENTINELS_DISAGREE", "SENTINEL_SILENT"]);
const CLUSTER = /^CLUSTER_(MASTER_DEAD|SLOT_MISSING|SLOT_MOVING)$/;

export function sequelOf(error: unknown): Sequel {
  if (error instanceof NodeError) return error.kind === "denied" ? "over" : "again";
  if (!(error instanceof TwineError)) return "over";
  if (error.code === "MOVE_RESTART") return "anew";
  return AGAIN.has(error.code) || CLUSTER.test(error.code) ? "again" : "over";
}
