// until-aborted.ts: waits for whichever comes first: an interruption, or the end of what lasts.

/** Resolves when one of the signals is aborted, or is already. */
export function untilAborted(...signals: readonly AbortSignal[]): Promise<void> {
  const signal = AbortSignal.any([...signals]);
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener(
      "abort",
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
