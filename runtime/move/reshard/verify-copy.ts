// verify-copy.ts: compares every key of the old nodes with the new ones before the switch, while changes are followed.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import { differenceLines } from "../verify/verified-text.ts";
import { verify, type Verified, type VerifyProgress } from "../verify/verify.ts";
import type { Copying } from "./copying.ts";
import { CutSides, type CutSidesOptions } from "./cut-sides.ts";

export interface VerifyCopyOptions extends Omit<CutSidesOptions, "alone" | "copying"> {
  readonly copying: Pick<Copying, "nodes" | "drainExactly" | "followWhatCame" | "pace">;
  /** Private. */
  readonly folder: string;
  /** The redis-server that loads values; absent: that of PATH. */
  readonly program: string | undefined;
  /** Throws when it is pointless to go on. */
  readonly requireGoing: () => void;
  readonly onProgress: (progress: VerifyProgress) => void;
}

/** Both sides are of one moment in each pass: more passes are only for values of other bytes, and for keys that expire. */
const PASSES = 4;
const FOLLOW_REST_MS = 20;
const SHOWN_MAX = 5;

/** Throws RESHARD_DIFFERENT, VERIFY_UNREADABLE, SCRATCH_FAILED, and what following throws. */
export async function verifyCopy(options: VerifyCopyOptions): Promise<Verified> {
  const { copying, clock, program, requireGoing, onProgress } = options;
  const folder = join(options.folder, "verify");
  await mkdir(folder, { mode: 0o700 });
  const lost = new AbortController();
  const signal = AbortSignal.any([options.signal, lost.signal]);
  let turn: Promise<unknown> = Promise.resolve();
  const alone = (task: () => Promise<void>): Promise<void> => {
    const result = turn.then(task);
    turn = result.catch(() => undefined);
    return result;
  };
  let isOver = false;
  const followed = async (): Promise<void> => {
    while (!isOver) {
      signal.throwIfAborted();
      requireGoing();
      await alone(() => copying.followWhatCame());
      await clock.delay(FOLLOW_REST_MS);
    }
  };
  const following = followed().catch((error: unknown) => {
    lost.abort(error);
    throw error;
  });
  const { source, target } = new CutSides({ ...options, signal, alone });
  const ports = { folder, clock, signal, program, onProgress };
  const compared = verify({ source, target, passes: PASSES, ...ports }).finally(() => {
    isOver = true;
  });
  const [verified, end] = await Promise.allSettled([compared, following]);
  // A comparison that broke off has left its records: each attempt would leave as many.
  await rm(folder, { recursive: true, force: true });
  // What following threw has ended the comparison too.
  if (end.status === "rejected") throw end.reason;
  if (verified.status === "rejected") throw verified.reason;
  if (!verified.value.isSame) throw different(verified.value);
  return verified.value;
}

function different(verified: Verified): TwineError {
  const lines = differenceLines(verified, SHOWN_MAX);
  return new TwineError({
    code: "RESHARD_DIFFERENT",
    message: `the new nodes do not hold what the old ones hold, so nothing was switched: ${lines.join("; ")}`,
    remedy:
      "let nobody else write to the new nodes, see that none of them evicts keys (maxmemory), and run the command again: it copies everything anew; --no-verify switches without a comparison",
  });
}
