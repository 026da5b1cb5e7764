// report-every.ts: calls for progress, at once and then regularly.
import type { Clock } from "../ports/clock.ts";

const EVERY_MS = 500;

/** The returned function ends it. */
export function reportEvery(report: () => void, clock: Clock): () => void {
  let cancel: () => void = () => undefined;
  const again = (): void => {
    report();
    cancel = clock.after(EVERY_MS, again);
  };
  again();
  return () => {
    cancel();
  };
}
