// until-dead.ts: makes sure that a node that was killed a moment ago is started again, and does not count as running.
//
//   killed -> its memory is freed -> its sockets are closed -> gone
//             \___ it looks alive ___/                         (0.1 s for a million keys; seconds for many gigabytes)
import { setTimeout as delay } from "node:timers/promises";
import { isAlive } from "../files/pid-file.ts";
import { isDying } from "./processes.ts";
import type { Target } from "../targets.ts";

const LOOK_EVERY_MS = 15;
/** After this time, the check of its port reports the process that holds it. */
const GONE_WITHIN_MS = 15_000;

/** The same targets; a dying process is removed from its target once it has ended. */
export async function untilDead(targets: readonly Target[]): Promise<Target[]> {
  const endMs = performance.now() + GONE_WITHIN_MS;
  return Promise.all(
    targets.map(async (target) => {
      const { running } = target;
      if (running === undefined) return target;
      // It may also have ended since it was found.
      if (!(await isDying(running.pid)) && (await isAlive(running))) return target;
      while ((await isAlive(running)) && performance.now() < endMs) await delay(LOOK_EVERY_MS);
      return { ...target, running: undefined };
    }),
  );
}
