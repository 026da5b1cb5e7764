// end-with-engine.ts: a plugin ends when the Pulumi engine that started it is gone, also after kill -9, which nobody can
// pass on. The real plugins ask their engine for its health to the same end.
const CHECK_EVERY_MS = 500;

/** Calls `end` and exits once this process has another parent than it was started by. */
export function endWithEngine(end: () => void = () => undefined): void {
  const engine = process.ppid;
  setInterval(() => {
    if (process.ppid === engine) return;
    end();
    process.exit(1);
  }, CHECK_EVERY_MS).unref();
}
