// pause.ts: the pause before the parent restarts a dead worker. Pure.
// None if the worker had lived for a while, because its clients are reconnecting. A worker that died quickly will
// probably die again, and a machine that keeps starting processes serves no clients, so then the pause doubles.

/** A worker that lived this long was healthy. */
export const WELL_MS = 10_000;
const FIRST_PAUSE_MS = 100;
export const PAUSE_MS_MAX = 10_000;

/** `quickDeathCount`: consecutive workers that died before WELL_MS. Pass the returned count to the next call. */
export function nextPauseMs(
  livedMs: number,
  quickDeathCount: number,
): { readonly pauseMs: number; readonly quickDeathCount: number } {
  if (livedMs >= WELL_MS) return { pauseMs: 0, quickDeathCount: 0 };
  const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** quickDeathCount, PAUSE_MS_MAX);
  return { pauseMs, quickDeathCount: quickDeathCount + 1 };
}
