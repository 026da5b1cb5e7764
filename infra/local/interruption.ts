// interruption.ts: Ctrl-C as a signal that the work itself can see.
// Imports nothing, so that a tool can listen before it loads all that it is made of.

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP. Further ones are swallowed until the process ends: tidying up must end, and
 * what has become of the work must be said. (Node itself lets go of signals in its last moment; who sends one then sees
 * the process die of it, with everything done and said.)
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
