// reload.ts: reads twine.conf and its files for a router, at start and at SIGHUP.
// Everything is read before anything takes effect: with an invalid file the router keeps its settings, and every error is
// logged.
import { dirname, resolve } from "node:path";
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Secret } from "../../core/credentials.ts";
import { formatProblem, TwineError, type Problem } from "../../core/errors.ts";
import type { KnownUser } from "../../core/router-users.ts";
import type { Log } from "../../ports/log.ts";
import { usersOf } from "../../route/session/users.ts";
import { limitsOf, type EngineRules } from "../../engine/limits.ts";
import { loadTls, type RouterTls } from "./tls.ts";
import { readUsers } from "./users-file.ts";

/** The settings that SIGHUP may change: those of the engine, and TLS. */
export interface RouterRules extends EngineRules {
  tls: RouterTls;
}

/** Also reads the users and the certificates. Throws a TwineError with all their errors. */
export async function loadRules(
  config: ClusterConfig,
  password: Secret | undefined,
  descriptors?: number,
): Promise<RouterRules> {
  const { settings } = config;
  const [users, tls] = await Promise.allSettled([
    attempt(() => loadUsers(config, password !== undefined)),
    attempt(() => loadTls(config)),
  ]);
  const problems = [users, tls].flatMap((outcome) => problemsOf(outcome));
  if (users.status === "rejected" || tls.status === "rejected") throw new TwineError(problems);
  const limits = limitsOf(settings, descriptors, nodesOf(config, "data").length);
  const known = usersOf(password, users.value);
  return { settings, limits, users: known, tls: tls.value };
}

/** Collects the errors of several files, so that all are reported together. */
function attempt<T>(read: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(read());
  });
}

function loadUsers(config: ClusterConfig, hasPassword: boolean): readonly KnownUser[] {
  const { usersFile } = config.settings;
  if (usersFile === undefined) return [];
  return readUsers(resolve(dirname(config.file), usersFile), hasPassword);
}

function problemsOf(outcome: PromiseSettledResult<unknown>): readonly Problem[] {
  if (outcome.status === "fulfilled") return [];
  if (outcome.reason instanceof TwineError) return outcome.reason.problems;
  throw outcome.reason;
}

/** Runs at SIGHUP. An invalid file changes nothing, and every error in it is logged. */
export async function takeChangedConf(
  router: { reload(config: ClusterConfig): Promise<readonly string[]> },
  read: () => ClusterConfig,
  log: Log,
): Promise<void> {
  try {
    const waiting = await router.reload(read());
    log.info("twine.conf is read anew");
    if (waiting.length > 0) {
      log.warn("of the changed twine.conf some things wait for a restart", { waiting });
    }
  } catch (error) {
    const problems = error instanceof TwineError ? error.problems : [];
    for (const problem of problems) {
      log.error(`twine.conf is not taken: ${formatProblem(problem)}`, { code: problem.code });
    }
    if (problems.length === 0) log.error(`twine.conf is not taken: ${String(error)}`);
  }
}
