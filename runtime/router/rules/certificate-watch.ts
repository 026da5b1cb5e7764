// certificate-watch.ts: loads renewed certificates without a signal, by checking the files of twine.conf periodically.
//
//   unchanged ──▶ nothing    changed, valid ──▶ used by new connections    changed, invalid ──▶ logged once, not used
//
// Certificate and key are two files: between two writes they don't match. The next change, the second write, is then
// loaded.
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { ClusterConfig } from "../../core/cluster.ts";
import { formatProblem, TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import { loadTls, type RouterTls } from "./tls.ts";

export interface CertificateWatchOptions {
  /** The present config. */
  readonly config: () => ClusterConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  /** Called with the content of changed files. */
  readonly take: (tls: RouterTls) => void;
}

/** Checks the files until it is stopped. Their present content counts as loaded. */
export function watchCertificates(options: CertificateWatchOptions): PeriodicTask {
  const { config, clock, log, everyMs, take } = options;
  let seen = stampOf(config());
  return startPeriodicTask({
    clock,
    restMs: () => everyMs,
    run: () => {
      const stamp = stampOf(config());
      if (stamp !== seen) {
        seen = stamp;
        tryTo(() => {
          take(loadTls(config()));
          log.info("the changed certificates serve the next connections");
        }, log);
      }
      return Promise.resolve();
    },
    onError: (error) => {
      log.error(`certificates can't be looked at: ${String(error)}`);
    },
  });
}

function tryTo(task: () => void, log: Log): void {
  try {
    task();
  } catch (error) {
    if (!(error instanceof TwineError)) throw error;
    for (const problem of error.problems) {
      const text = `the changed certificates are not taken, the old ones stay in use: ${formatProblem(problem)}`;
      log.error(text, { code: problem.code });
    }
  }
}

/** Changes whenever a file, or the target of a link, changes. */
function stampOf({ file, settings }: ClusterConfig): string {
  const names = [settings.tlsCert, settings.tlsKey, settings.tlsCa];
  const stamps = names.map((name) => {
    if (name === undefined) return "-";
    try {
      const { ino, size, mtimeNs } = statSync(resolve(dirname(file), name), { bigint: true });
      return `${name} ${ino} ${size} ${mtimeNs}`;
    } catch (error) {
      return `${name} ${String(error)}`;
    }
  });
  return stamps.join("\n");
}
