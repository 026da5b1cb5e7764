// container-change.ts: decides whether a running container gets other files, or has to be replaced. Pure.
//
//   files that it was made with ─┐
//             files of the plan ─┴─▶ none | running | replaced
//
// Files that a process reads each time it needs them, or again on a signal, are changed in the running container. A new
// container costs a restart of the node and, if it is the only router, an outage.
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { monitorNeedsRestart, routerNeedsRestart } from "../../runtime/core/conf/needs-restart.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { ClusterConfig, NodeKind } from "../../runtime/core/cluster.ts";
import type { PlannedService } from "./plan.ts";
import { confChange } from "./setting-changes.ts";

/** Name in /etc/twine -> content. */
export type ContainerFiles = ReadonlyMap<string, string>;

export type ContainerChange =
  | { readonly kind: "none" }
  /** `files`: names of the changed files. */
  | { readonly kind: "running"; readonly files: readonly string[] }
  | { readonly kind: "replaced"; readonly why: string };

/** Read by the entrypoint and the health check each time they run, or by a router and a monitor on SIGHUP. */
const READ_AGAIN: Readonly<Record<"redis" | "runtime", ReadonlySet<string>>> = {
  redis: new Set([
    ...["health.sh", "status-nodes", "sentinels"],
    ...["secret-health", "secret-replica", "secret-sentinel"],
  ]),
  runtime: new Set([
    "password",
    ...["router-users", "tls-cert.pem", "tls-key.pem", "tls-ca.pem"],
    ...["http-token", "backup-key", "smtp-password"],
  ]),
};

type ChangedService = Pick<PlannedService, "kind" | "name" | "stack">;

/** For the container of `node`. */
export function containerChange(
  { kind, name, stack }: ChangedService,
  before: ContainerFiles,
  now: ContainerFiles,
): ContainerChange {
  const all = [...new Set([...before.keys(), ...now.keys()])];
  const files = all.filter((file) => before.get(file) !== now.get(file)).sort();
  if (files.length === 0) return { kind: "none" };
  for (const file of files) {
    const [was, is] = [before.get(file), now.get(file)];
    const why =
      was === undefined || is === undefined
        ? `${file} ${was === undefined ? "is new" : "is gone"}`
        : stack === undefined
          ? reasonFor({ kind, name }, file, was, is)
          : // Sentinel and twemproxy read their files at their start alone.
            file;
    if (why !== undefined) return { kind: "replaced", why };
  }
  return { kind: "running", files };
}

/** Why a running container can't apply this file; undefined: it can. */
function reasonFor(
  { kind, name }: { readonly kind: NodeKind; readonly name: string },
  file: string,
  was: string,
  is: string,
): string | undefined {
  const isRedis = kind === "data" || kind === "status";
  if (READ_AGAIN[isRedis ? "redis" : "runtime"].has(file)) return undefined;
  // Other passwords of the same users are set on the running server.
  if (isRedis && file === "users.acl") {
    return withoutPasswords(was) === withoutPasswords(is) ? undefined : file;
  }
  if (isRedis && file === "redis.conf") {
    const { atStart } = confChange(was, is);
    return atStart.length === 0 ? undefined : `redis.conf: ${atStart.join(", ")}`;
  }
  if (!isRedis && file === "twine.conf") {
    const needs = confNeeds(kind, name, was, is);
    return needs.length === 0 ? undefined : `twine.conf: ${needs.join(", ")}`;
  }
  return file;
}

/** users.acl without the digests of passwords. */
function withoutPasswords(acl: string): string {
  return acl.replace(/ #[0-9a-f]{64}(?= |$)/gm, "");
}

function confNeeds(kind: NodeKind, name: string, was: string, is: string): string[] {
  const [old, changed] = [configOf(was), configOf(is)];
  if (old === undefined || changed === undefined) return ["it can't be compared"];
  return kind === "router"
    ? routerNeedsRestart(old, changed, name)
    : monitorNeedsRestart(old, changed, name);
}

function configOf(text: string): ClusterConfig | undefined {
  const { config } = parseConf(text, "twine.conf");
  return config === undefined ? undefined : completeConfig(config).config;
}
