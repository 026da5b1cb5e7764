// reload.ts: what a router reads from twine.conf and the files that it names, at its start and at SIGHUP.
// All of it is read before any of it counts: with a wrong file the router goes on as it was, and every error is said.
import { dirname, resolve } from "node:path";
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { formatProblem, TwineError, type Problem } from "../../core/errors.ts";
import { hashingOf } from "../../core/hashing.ts";
import type { KnownUser } from "../../core/router-users.ts";
import { printNode } from "../../core/conf/print.ts";
import type { Log } from "../../ports/log.ts";
import { usersOf } from "../../route/users.ts";
import { limitsOf, type RouterRules } from "./limits.ts";
import { loadTls } from "./tls.ts";
import { readUsers } from "./users-file.ts";

/** Reads the users and the certificates too. Throws TwineError with everything that is wrong with them. */
export async function loadRules(
  config: ClusterConfig,
  password: string | undefined,
): Promise<RouterRules> {
  const { settings } = config;
  const [users, tls] = await Promise.allSettled([
    loadUsers(config, password !== undefined),
    loadTls(config),
  ]);
  const problems = [users, tls].flatMap((outcome) => problemsOf(outcome));
  if (users.status === "rejected" || tls.status === "rejected") throw new TwineError(problems);
  const known = usersOf(password, users.value);
  return { settings, limits: limitsOf(settings), users: known, tls: tls.value };
}

function loadUsers(config: ClusterConfig, hasPassword: boolean): Promise<readonly KnownUser[]> {
  const { usersFile } = config.settings;
  if (usersFile === undefined) return Promise.resolve([]);
  return readUsers(resolve(dirname(config.file), usersFile), hasPassword);
}

function problemsOf(outcome: PromiseSettledResult<unknown>): readonly Problem[] {
  if (outcome.status === "fulfilled") return [];
  if (outcome.reason instanceof TwineError) return outcome.reason.problems;
  throw outcome.reason;
}

/** What of a changed file a running router can't take, in words for its operator. */
export function needsRestart(
  old: ClusterConfig,
  changed: ClusterConfig,
  name: string | undefined,
): string[] {
  const [was, is] = [old.settings, changed.settings];
  const lines = (config: ClusterConfig): string =>
    nodesOf(config, "status").map(printNode).join("\n");
  const ownLine = (config: ClusterConfig): string | undefined => {
    const own = nodesOf(config, "router").find((node) => node.name === name);
    return own === undefined ? undefined : printNode(own);
  };
  return [
    ...(was.cluster === is.cluster ? [] : ["cluster"]),
    ...(hashingOf(old) === hashingOf(changed) ? [] : ["partitions, hash and hash-tag"]),
    ...(was.leaseMs === is.leaseMs ? [] : ["lease"]),
    ...(was.workers === is.workers ? [] : ["workers"]),
    ...(was.tlsNodes === is.tlsNodes ? [] : ["tls-nodes"]),
    ...(lines(old) === lines(changed) ? [] : ["the status nodes"]),
    ...(ownLine(old) === ownLine(changed) ? [] : ["its own line"]),
  ];
}

/** What SIGHUP does. A wrong file changes nothing, and every error in it is logged. */
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
