// until-dead.ts: a node that was killed a moment ago is started again, rather than taken for one that runs.
//
//   killed -> its memory is freed -> its sockets are closed -> gone
//             \___ it looks alive ___/                         (0.1 s for a million keys; seconds for many gigabytes)
import { setTimeout as delay } from "node:timers/promises";
import { isAlive } from "./pid-file.ts";
import { isDying } from "./processes.ts";
import type { Target } from "./targets.ts";

const LOOK_EVERY_MS = 15;
/** Past this whoever looks at its port says what holds it. */
const GONE_WITHIN_MS = 15_000;

/** The same targets; those whose process was dying are without one, once it is gone. */
export async function untilDead(targets: readonly Target[]): Promise<Target[]> {
  const endMs = performance.now() + GONE_WITHIN_MS;
  return Promise.all(
    targets.map(async (target) => {
      const { running } = target;
      if (running === undefined) return target;
      // It may also be gone since it was found.
      if (!(await isDying(running.pid)) && (await isAlive(running))) return target;
      while ((await isAlive(running)) && performance.now() < endMs) await delay(LOOK_EVERY_MS);
      return { ...target, running: undefined };
    }),
  );
}
