// export.ts: all keys of a running cluster into another system, which then follows every write until it is told to end.
//
//   copy every partition's RDB --> follow the change feeds ----> told to end: the last writes --> done
//                                    \-> verified meanwhile
//
// The cluster is only read: from replicas in sync where there are any.
import type { View } from "../../core/view.ts";
import { reportEvery } from "../report-every.ts";
import { Copying, type CopyProgress, type CopyingOptions } from "../reshard/copying.ts";
import type { ExportTarget } from "./open-target.ts";

export type ExportPhase = "copying" | "following" | "ending";

export interface ExportOptions extends Omit<
  CopyingOptions,
  "targets" | "partitionOf" | "oldPartitionOf" | "requireGoing"
> {
  readonly view: View;
  readonly target: ExportTarget;
  /** Begins when the target has everything but the last moment; following goes on beside it. Ends soon when aborted. */
  readonly whileFollowing: (signal: AbortSignal) => Promise<void>;
  /** Resolves when following is to end, or `signal` aborts. Asked after whileFollowing(). */
  readonly untilTold: (signal: AbortSignal) => Promise<void>;
  readonly onPhase: (phase: ExportPhase, progress: CopyProgress) => void;
}

const REST_MS = 50;
const ROUNDS_PER_PING = 20;

/** What was copied, when the target holds every write that the masters had acknowledged before the end was asked for. */
export async function exportAll(options: ExportOptions): Promise<CopyProgress> {
  const { target, whileFollowing, untilTold, onPhase } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  /** What fails ends everything else too, and is the error. */
  const orEnd = async <T>(task: Promise<T>): Promise<T> => {
    try {
      return await task;
    } catch (error) {
      failed.abort(error);
      throw failed.signal.reason;
    }
  };
  const copying = await Copying.open({
    ...{ ...options, signal },
    targets: target.targets,
    partitionOf: target.partitionOf,
    oldPartitionOf: undefined,
    requireGoing: () => undefined,
  });
  try {
    const endReport = reportEvery(() => {
      onPhase("copying", copying.progress);
    }, options.clock);
    await orEnd(copying.load()).finally(endReport);
    await orEnd(copying.follow());
    onPhase("following", copying.progress);
    const told = new AbortController();
    const beside = [
      orEnd(followOn(copying, told.signal, options)),
      orEnd(whileFollowing(signal).then(() => untilTold(signal))).finally(() => {
        told.abort();
      }),
    ];
    // Both have ended before anything that they use is gone.
    const [broken] = (await Promise.allSettled(beside)).filter((one) => one.status === "rejected");
    if (broken !== undefined) throw broken.reason;
    onPhase("ending", copying.progress);
    await copying.follow();
    return copying.progress;
  } finally {
    failed.abort(new Error("it is over"));
    await copying.close();
  }
}

async function followOn(
  copying: Copying,
  told: AbortSignal,
  { target, onPhase, clock }: ExportOptions,
): Promise<void> {
  for (let rounds = 0; !told.aborted; rounds++) {
    await copying.follow();
    // While nothing is written, nothing else shows that a target is gone.
    if (rounds % ROUNDS_PER_PING === 0) {
      await Promise.all(target.targets.map((one) => one.send([["PING"]])));
    }
    onPhase("following", copying.progress);
    await clock.delay(REST_MS);
  }
}
