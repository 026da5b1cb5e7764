// bundle-bins.ts: before integration and e2e tests, bundles the programs that they start some thousand times: from the
// bundle a process starts with a third of the processor time. Each run makes its own at its start, so that no test runs an
// older one.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bundlePrograms } from "../../scripts/bundle.ts";
import { BUNDLE } from "./bins.ts";
import { ROOT } from "./source-files.ts";

const BUNDLES = join(ROOT, ".cache/bundles");

export async function setup(): Promise<(() => void) | undefined> {
  // Another project of this run made it.
  if (process.env[BUNDLE] !== undefined) return undefined;
  removeAbandoned();
  const folder = join(BUNDLES, String(process.pid));
  await bundlePrograms(folder);
  process.env[BUNDLE] = folder;
  return () => {
    rmSync(folder, { recursive: true, force: true });
  };
}

/** Those of runs that were killed. */
function removeAbandoned(): void {
  mkdirSync(BUNDLES, { recursive: true });
  for (const pid of readdirSync(BUNDLES)) {
    try {
      process.kill(Number(pid), 0);
    } catch {
      rmSync(join(BUNDLES, pid), { recursive: true, force: true });
    }
  }
}
