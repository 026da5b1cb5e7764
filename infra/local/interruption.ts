// interruption.ts: Ctrl-C as an AbortSignal for the work.
// Imports nothing, so that a tool can listen before it loads its other modules.

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP. Further ones are ignored until the process ends, because the clean-up must
 * finish and the result must be printed. (Node itself stops handling signals in its last moment; a signal sent then ends
 * the process, after all is done and printed.)
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      controller.abort();
    });
  }
  return controller.signal;
}
