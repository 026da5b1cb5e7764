// plan.ts: everything that will exist, as data. Pure.
// The plan contains every decision; appliers only carry it out.
//
//   Plan -> hosts -> files     (a template, its values, the names of its secrets)
//                 -> services  (what runs, where, on which ports, in which order)
import type { RedisUser } from "../../runtime/core/credentials.ts";
import { runsRedis, type NodeKind } from "../../runtime/core/cluster.ts";
import type { Problem } from "../../runtime/core/errors.ts";
import type { UserFile } from "./user-files.ts";

/** The plan never contains a secret, only its name: the code that renders the file has the cluster's password. */
export interface PlannedSecret {
  readonly user: RedisUser;
  /** plain: as a client sends it; lines: all valid passwords, one per line, the one to use first; sha256: #HEX for each
      valid password, as in an ACL file. */
  readonly form: "plain" | "lines" | "sha256";
}

/** One generated file. `path` is relative to the host's folder (local: partitions/HOST). */
export interface PlannedFile {
  readonly path: string;
  /** generated: written again when it changes, unless it was edited by hand. stamp: names the cluster of a data folder;
      written once, never replaced, and another cluster's is refused. rewritten: its process writes the current master into
      it (CONFIG REWRITE, Sentinel, twine-twemproxy), so its text on the disk is the newer one; written again when the
      plan's own text changes, and the process's notes are kept. */
  readonly purpose: "generated" | "stamp" | "rewritten";
  /** A name in templates/, e.g. "redis-data.conf.hbs". */
  readonly template: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Name in the template -> secret; empty without a password. */
  readonly secrets: Readonly<Record<string, PlannedSecret>>;
  /** Octal file mode: 0o600 where it holds a secret, 0o755 for scripts. */
  readonly mode: number;
}

/** How an applier checks whether a service is up; monitors check the rest (role, in sync). redis-role: ROLE gets a reply,
    or an error because it still loads; http: any answer; tcp: it accepts a connection. */
export type HealthCheck =
  | { readonly kind: "redis-role"; readonly port: number }
  | { readonly kind: "http"; readonly port: number; readonly path: string }
  | { readonly kind: "tcp"; readonly port: number };

export interface PlannedPort {
  readonly port: number;
  readonly purpose: "redis" | "http" | "sentinel" | "router" | "stats";
}

/** Whether a service is a container of twine:redisImage: redis-server, as a node or as a Sentinel. */
export function usesRedisImage({ kind, stack }: Pick<PlannedService, "kind" | "stack">): boolean {
  return runsRedis(kind) || stack === "sentinel";
}

/** A program that takes the place of Twine's own: a monitor line's Sentinel, a router line's twemproxy. */
export type StackProgram = "sentinel" | "twemproxy";

export interface PlannedService {
  /** The node's name. */
  readonly name: string;
  readonly kind: NodeKind;
  /** Absent for redis-servers and Twine's own programs. */
  readonly stack?: StackProgram;
  /** Program and arguments. "redis-server" and the Twine bins are resolved by the applier; file arguments are
      relative to the service's folder. */
  readonly command: readonly string[];
  /** Relative to the host's folder; the process runs in it. */
  readonly folder: string;
  /** Relative to `folder`; absent for services without data. A monitor stores rescued data in it: on a machine that is its
      own folder, in a container a volume, because only a volume outlives the container. */
  readonly dataFolder?: string;
  /** Relative to `folder`: the output of the process. */
  readonly logFile: string;
  /** Addresses that it listens on; the first one is used for checks. */
  readonly bind: readonly string[];
  readonly ports: readonly PlannedPort[];
  readonly health: HealthCheck;
  /** Started from the lowest to the highest; stopped in reverse order. Status nodes 0, data nodes 1, monitors 2, routers
      3. */
  readonly order: number;
  /** Time that a stop by SIGTERM may take before a warning (redis) or a kill (the others), ms. */
  readonly graceMs: number;
  /** In containers: the user files next to its twine.conf. */
  readonly userFiles?: readonly UserFile[];
  /** In containers: the services that must be healthy before this one is created or replaced, by name. */
  readonly after?: readonly string[];
}

export interface PlannedHost {
  /** As written in twine.conf. */
  readonly name: string;
  /** 127.0.0.1 for localhost. */
  readonly address: string;
  readonly files: readonly PlannedFile[];
  readonly services: readonly PlannedService[];
}

export interface Plan {
  readonly cluster: string;
  readonly confDigest: string;
  /** In the natural order of names. */
  readonly hosts: readonly PlannedHost[];
  readonly warnings: readonly Problem[];
}

/** Facts about the machine for the files of a supervisor; absolute paths. */
export interface Installation {
  /** The folder above partitions/. */
  readonly folder: string;
  /** The program that runs Twine's tools. */
  readonly node: string;
  readonly redis: string;
  readonly tool: (name: string) => string;
  /** Environment of the tools and nodes: PATH, and TWINE_PASSWORD_FILE when there is one. */
  readonly env: Readonly<Record<string, string>>;
  /** The user of the processes; absent for units of `systemctl --user`. */
  readonly user?: string;
}

/** Inputs of a plan besides twine.conf. */
export interface PlanOptions {
  /** The value of --conf for monitors and routers. */
  readonly confPath: string;
  readonly hasPassword: boolean;
  /** Major version of redis-server (Valkey counts as 7 or more); 7 when absent. 6 lacks shutdown-on-sigterm and the ACL
      rules that grant reading alone. */
  readonly redisMajor?: number;
  /** Hosts whose name resolves to a loopback address besides localhost and 127.x. */
  readonly loopbackHosts?: readonly string[];
  /** For the files of a supervisor; without it there are none. */
  readonly installation?: Installation;
  /** folders (the default): processes of a host, below partitions/HOST. containers: each service in its own container on
      the host's network. pods: the same, but a host's containers share one private network namespace, so they listen on all
      its addresses, and the published ports decide who can connect. */
  readonly placement?: "folders" | "containers" | "pods";
}
