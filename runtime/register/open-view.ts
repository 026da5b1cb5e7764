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

/** Why there is no view: asks every status node once. STATUS_UNREACHABLE, CLUSTER_DIFFERS or VIEW_MISSING. */
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
      const whys = [...reading.silent.values()];
      const isOther = count - whys.filter(isForeign).length < majorityOf(count);
      return new TwineError({
        // As many as a majority needs belong to another cluster: no waiting mends that.
        code: isOther ? "CLUSTER_DIFFERS" : "STATUS_UNREACHABLE",
        message:
          `only ${reading.answered.length} of ${count} status nodes of ${config.file} answered; ` +
          silent.join("; "),
        remedy: remedyFor(whys),
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

/** By what the silent ones or their links said, the likeliest thing that helps. Pure. */
export function remedyFor(whys: readonly string[]): string {
  if (whys.some(isForeign)) return FOREIGN_REMEDY;
  if (whys.some((why) => /NOAUTH|WRONGPASS|NOPERM/.test(why))) {
    return (
      "give the cluster's password: a tool reads it from the file that TWINE_PASSWORD_FILE names, " +
      "a client takes it as its option password"
    );
  }
  const start = "start the cluster with twine-start, or look at its status nodes";
  // A server that gets the other kind of greeting says nothing, closes, or sends what can't be read.
  if (!whys.some((why) => /no answer|timed? ?out|closed|ECONNRESET|EPROTO|SSL|TLS/i.test(why))) {
    return start;
  }
  return (
    `${start}; if they run, see that both sides speak TLS or neither does ` +
    "(tls-nodes in twine.conf, option tls of a client)"
  );
}
