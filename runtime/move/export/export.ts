// export.ts: all keys of a running cluster into another system, which then follows every write until it is told to end.
//
//   copy every partition's RDB --> follow the change feeds ----> told to end: the last writes --> done
//                                    \-> verified meanwhile
//
// The cluster is only read: from replicas in sync where there are any.
import type { View } from "../../core/view.ts";
import { Copying, type CopyProgress, type CopyingOptions } from "../reshard/copying.ts";
import type { ExportTarget } from "./open-target.ts";

export type ExportPhase = "copying" | "following" | "ending";

export interface ExportOptions extends Omit<
  CopyingOptions,
  "targets" | "partitionOf" | "oldPartitionOf" | "requireGoing"
> {
  readonly view: View;
  readonly target: ExportTarget;
  /** Begins when the target has everything but the last moment; following goes on beside it. */
  readonly whileFollowing: () => Promise<void>;
  /** Resolves when following is to end. Asked after whileFollowing(). */
  readonly untilTold: () => Promise<void>;
  readonly onPhase: (phase: ExportPhase, progress: CopyProgress) => void;
}

const REST_MS = 50;
const ROUNDS_PER_PING = 20;

/** What was copied, when the target holds every write that the masters had acknowledged before the end was asked for. */
export async function exportAll(options: ExportOptions): Promise<CopyProgress> {
  const { target, whileFollowing, untilTold, onPhase, clock, signal } = options;
  const copying = await Copying.open({
    ...options,
    targets: target.targets,
    partitionOf: target.partitionOf,
    oldPartitionOf: undefined,
    requireGoing: () => undefined,
  });
  try {
    const endReport = reportEvery(() => {
      onPhase("copying", copying.progress);
    }, options);
    try {
      await copying.load();
    } finally {
      endReport();
    }
    await copying.follow();
    onPhase("following", copying.progress);
    const told = new AbortController();
    const waiting = whileFollowing()
      .then(untilTold)
      .finally(() => {
        told.abort();
      });
    // The first of both that fails ends the other, and is the error.
    const following = followOn().catch((error: unknown) => {
      told.abort(error);
      throw error;
    });
    await Promise.all([following, waiting]);
    onPhase("ending", copying.progress);
    await copying.follow();
    return copying.progress;

    async function followOn(): Promise<void> {
      for (let rounds = 0; !told.signal.aborted; rounds++) {
        signal.throwIfAborted();
        await copying.follow();
        // While nothing is written, nothing else shows that a target is gone.
        if (rounds % ROUNDS_PER_PING === 0) {
          await Promise.all(target.targets.map((one) => one.send([["PING"]])));
        }
        onPhase("following", copying.progress);
        await clock.delay(REST_MS);
      }
    }
  } finally {
    await copying.close();
  }
}

const REPORT_EVERY_MS = 500;

function reportEvery(report: () => void, { clock }: Pick<ExportOptions, "clock">): () => void {
  let cancel: () => void = () => undefined;
  const again = (): void => {
    report();
    cancel = clock.after(REPORT_EVERY_MS, again);
  };
  again();
  return () => {
    cancel();
  };
}
