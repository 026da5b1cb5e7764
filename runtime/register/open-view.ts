// open-view.ts: waits for the first view, and explains why there is none.
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import { TwineError } from "../core/errors.ts";
import type { FailureKind } from "../core/failure.ts";
import { compareNames } from "../core/natural-order.ts";
import type { Clock } from "../ports/clock.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { openAcceptors } from "./acceptors.ts";
import { failureText } from "./gather.ts";
import { FOREIGN_REMEDY, readRegister } from "./read.ts";
import type { ViewSource } from "./view-source.ts";

/** Resolves with true at the first view, with false after `waitMs` without one. */
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

/** Reads every status node once and returns the error: STATUS_UNREACHABLE, CLUSTER_DIFFERS or VIEW_MISSING. */
export async function whyNoView(
  config: ClusterConfig,
  password: Secret | undefined,
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
      .map(([, failure]) => failureText(failure));
    if (reading.answered.length < majorityOf(count)) {
      const kinds = [...reading.silent.values()].map(({ kind }) => kind);
      const foreignCount = kinds.filter((kind) => kind === "foreign").length;
      const isOther = count - foreignCount < majorityOf(count);
      return new TwineError({
        // So many nodes belong to another cluster that no majority is left: waiting does not help.
        code: isOther ? "CLUSTER_DIFFERS" : "STATUS_UNREACHABLE",
        message:
          `only ${reading.answered.length} of ${count} status nodes of ${config.file} answered; ` +
          silent.join("; "),
        remedy: remedyFor(kinds),
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

const TLS_SUSPECTS: readonly FailureKind[] = ["no-answer", "closed", "tls"];

/** The most likely remedy for these kinds of failure. Pure. */
export function remedyFor(kinds: readonly FailureKind[]): string {
  if (kinds.includes("foreign")) return FOREIGN_REMEDY;
  if (kinds.includes("unknown-host")) {
    return "correct the host in twine.conf, or let this machine resolve its name";
  }
  if (kinds.includes("login")) {
    return (
      "give the cluster's password: a tool reads it from the file that TWINE_PASSWORD_FILE names, " +
      "a client takes it as its option password"
    );
  }
  const start = "start them with twine-start on their hosts";
  // A server with the other setting of TLS is silent, closes the connection, or sends malformed data.
  if (!kinds.some((kind) => TLS_SUSPECTS.includes(kind))) return start;
  return (
    `${start}; if they run, see that both sides speak TLS or neither does ` +
    "(tls-nodes in twine.conf, option tls of a client)"
  );
}
