// no-restore.ts: a backup and a restore exclude each other: RDBs of which some were taken before a restore and some after it
// are of no state that the cluster ever had.
import { TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import { startPeriodicTask } from "../ports/periodic-task.ts";

/** A restore takes longer than this (RECORDED_MS_MIN of restore-cluster.ts). */
const LOOK_MS = 300;

/** Throws RESTORE_RUNNING while a restore runs. */
export function requireNoRestore({ restore }: Pick<View, "restore">): void {
  const running = restore ?? null;
  if (running === null) return;
  throw new TwineError({
    code: "RESTORE_RUNNING",
    message: `a restore runs (${running.by}), and a backup beside it would hold old and new data`,
    remedy: "nothing of this backup is left; take another one when twine-status shows no restore",
  });
}

export interface RestoreWatch {
  /** Aborts with RESTORE_RUNNING when a restore begins. */
  readonly signal: AbortSignal;
  /** Looks once more. Throws RESTORE_RUNNING, or why there is no view. */
  last(): Promise<void>;
  stop(): Promise<void>;
}

export function watchForRestore(ports: {
  readonly clock: Clock;
  readonly readView: () => Promise<View>;
}): RestoreWatch {
  const abort = new AbortController();
  const look = async (): Promise<void> => {
    // Without a view nobody restores: the alpha could not record it.
    const view = await ports.readView().catch(() => undefined);
    if (view === undefined) return;
    try {
      requireNoRestore(view);
    } catch (error) {
      abort.abort(error);
    }
  };
  const task = startPeriodicTask({
    clock: ports.clock,
    restMs: () => LOOK_MS,
    run: look,
    onError: () => undefined,
  });
  return {
    signal: abort.signal,
    last: async () => {
      await look();
      abort.signal.throwIfAborted();
    },
    stop: () => task.stop(),
  };
}
