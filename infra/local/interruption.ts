// interruption.ts: Ctrl-C as a signal that the work itself can see.
// Imports nothing, so that a tool can listen before it loads all that it is made of.

/** Aborts at the first SIGINT, SIGTERM or SIGHUP. Further ones are swallowed until `release`: tidying up must end. */
export function interruption(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const abort = (): void => {
    controller.abort();
  };
  for (const name of names) process.on(name, abort);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of names) process.off(name, abort);
    },
  };
}
