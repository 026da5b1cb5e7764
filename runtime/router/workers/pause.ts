// pause.ts: how long the parent waits before it starts a worker in a dead one's place. Pure.
// At once after a worker that had lived: its clients are connecting again. One that dies at once will most likely die at
// once again, and a machine busy with starting processes serves nobody, so then the pause doubles.

/** A worker that has lived so long was well. */
export const WELL_MS = 10_000;
const FIRST_PAUSE_MS = 100;
export const PAUSE_MS_MAX = 10_000;

/** `quickDeathCount`: deaths in a row of workers that had not lived for WELL_MS; the next call wants the new one. */
export function nextPauseMs(
  livedMs: number,
  quickDeathCount: number,
): { readonly pauseMs: number; readonly quickDeathCount: number } {
  if (livedMs >= WELL_MS) return { pauseMs: 0, quickDeathCount: 0 };
  const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** quickDeathCount, PAUSE_MS_MAX);
  return { pauseMs, quickDeathCount: quickDeathCount + 1 };
}
