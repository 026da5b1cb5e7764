// begin-restore.ts: the first step of a restore. The alpha refuses it while a partition gets another master, as just after a
// start of the whole cluster: that is over in a moment, so it is awaited and asked again.
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";

export interface BeginPorts {
  readonly clock: Clock;
  /** Asks the alpha once. Throws REFUSED. */
  readonly ask: () => Promise<void>;
  /** Rejects when there is no view. */
  readonly readView: () => Promise<View>;
  readonly signal: AbortSignal;
  readonly withinMs: number;
}

const RETRY_MS = 100;

/** Throws what `ask` throws: REFUSED at once for any other reason. */
export async function beginRestore(ports: BeginPorts): Promise<void> {
  const { clock, ask, readView, signal, withinMs } = ports;
  const endMs = clock.nowMs() + withinMs;
  // What it was refused for may be over when the view is read, so it is asked once more.
  let isSettled = false;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      const isRefused = error instanceof TwineError && error.code === "REFUSED";
      if (!isRefused || isSettled || signal.aborted || clock.nowMs() > endMs) throw error;
      const view = await readView().catch(() => undefined);
      isSettled = view === undefined || !isGettingMaster(view);
      await clock.delay(RETRY_MS);
    }
  }
}

function isGettingMaster({ partitions }: View): boolean {
  return partitions.some(
    ({ promoting, handover }) => (promoting ?? null) !== null || (handover ?? null) !== null,
  );
}
