// open-view.ts: waits for the first view, or says why there is none.
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { compareNames } from "../core/natural-order.ts";
import type { Clock } from "../ports/clock.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { openAcceptors } from "./acceptors.ts";
import { FOREIGN_REMEDY, isForeign, readRegister } from "./read.ts";
import type { ViewSource } from "./view-source.ts";

/** Resolves with true at the first view, with false when none came within `waitMs`. */
export function firstView(source: ViewSource, clock: Clock, waitMs: number): Promise<boolean> {
  if (source.current() !== undefined) return Promise.resolve(true);
  return new Promise((resolve) => {
    const end = (isThere: boolean): void => {
      endTimer();
      endWatch();
      resolve(isThere);
    };
    const endTimer = clock.after(waitMs, () => {
      end(false);
    });
    const endWatch = source.onChange(() => {
      if (source.current() !== undefined) end(true);
    });
  });
}

/** Why there is no view: asks every status node once. */
export async function whyNoView(
  config: ClusterConfig,
  password: string | undefined,
  clock: Clock,
  openLink: OpenLink = openRedisLink,
): Promise<TwineError> {
  const ports = { config, password, clock, openLink };
  const status = openAcceptors({ ...ports, user: "router" });
  try {
    const reading = await readRegister(status.acceptors, config.settings.cluster);
    const count = nodesOf(config, "status").length;
    const silent = [...reading.silent]
      .toSorted(([a], [b]) => compareNames(a, b))
      .map(([name, why]) => `${name}: ${why}`);
    if (reading.answered.length < majorityOf(count)) {
      const isOther = [...reading.silent.values()].some(isForeign);
      return new TwineError({
        code: "STATUS_UNREACHABLE",
        message:
          `only ${reading.answered.length} of ${count} status nodes of ${config.file} answered; ` +
          silent.join("; "),
        remedy: isOther
          ? FOREIGN_REMEDY
          : "start the cluster with twine-start, or look at its status nodes",
      });
    }
    return new TwineError({
      code: "VIEW_MISSING",
      message: `the status nodes of ${config.file} hold no view of cluster ${config.settings.cluster}`,
      remedy: "start the monitors with twine-start; one of them publishes the view",
    });
  } finally {
    status.close();
  }
}
