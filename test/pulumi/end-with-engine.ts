// end-with-engine.ts: a plugin of Pulumi outlives an engine that was killed by -9, as the real ones do: for two minutes
// and more they go on with what they had begun. In these tests they end after that time.
const CHECK_EVERY_MS = 1000;
const OUTLIVES_MS = 120_000;

/** Calls `end` and exits OUTLIVES_MS after this process lost the parent by which it was started. */
export function endWithEngine(end: () => void = () => undefined): void {
  const engine = process.ppid;
  let orphanedAt: number | undefined;
  setInterval(() => {
    if (process.ppid === engine) return;
    orphanedAt ??= performance.now();
    if (performance.now() - orphanedAt < OUTLIVES_MS) return;
    end();
    process.exit(1);
  }, CHECK_EVERY_MS).unref();
}
