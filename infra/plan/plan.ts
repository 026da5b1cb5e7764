// plan.ts: everything that will exist, as data. Pure.
// Appliers only carry it out: what is not in here is not decided downstream.
//
//   Plan -> hosts -> files     (a template, its values, the secrets it wants)
//                 -> services  (what runs, where, on which ports, in which order)
import type { RedisUser } from "../../runtime/core/credentials.ts";
import type { NodeKind } from "../../runtime/core/cluster.ts";
import type { Problem } from "../../runtime/core/errors.ts";
import type { GivenFile } from "./given-files.ts";

/** A secret is never in the plan, only its name: whoever renders the file has the cluster's password. */
export interface PlannedSecret {
  readonly user: RedisUser;
  /** plain: as a client sends it; sha256: in hex, as an ACL file keeps it. */
  readonly form: "plain" | "sha256";
}

/** One generated file. `path` is relative to the host's folder (local: partitions/HOST). */
export interface PlannedFile {
  readonly path: string;
  /** generated: written anew when it changes, unless a person edited it. stamp: says whose data folder this is;
      written once, never replaced, and another cluster's is refused. */
  readonly purpose: "generated" | "stamp";
  /** A name in templates/, e.g. "redis-data.conf.hbs". */
  readonly template: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Name in the template -> secret; empty without a password. */
  readonly secrets: Readonly<Record<string, PlannedSecret>>;
  /** Octal file mode: 0o600 where it holds a secret, 0o755 for scripts. */
  readonly mode: number;
}

/** How an applier asks whether a service is up; health beyond that (role, in sync) is the monitors' business.
    redis-role: ROLE is answered, or refused because it still loads; http: any answer; tcp: a connection is taken. */
export type HealthCheck =
  | { readonly kind: "redis-role"; readonly port: number }
  | { readonly kind: "http"; readonly port: number; readonly path: string }
  | { readonly kind: "tcp"; readonly port: number };

export interface PlannedPort {
  readonly port: number;
  readonly purpose: "redis" | "http" | "sentinel" | "router" | "stats";
}

export interface PlannedService {
  /** The node's name. */
  readonly name: string;
  readonly kind: NodeKind;
  /** Program and arguments. "redis-server" and the Twine bins are resolved by the applier; file arguments are
      relative to the service's folder. */
  readonly command: readonly string[];
  /** Relative to the host's folder; the process runs in it. */
  readonly folder: string;
  /** Relative to `folder`; absent for services without data. A monitor's holds what it rescues: its own folder does
      for that on a machine, in a container only a volume outlives it. */
  readonly dataFolder?: string;
  /** Relative to `folder`: what the process says. */
  readonly logFile: string;
  /** Addresses that it listens on, the one to ask it at first. */
  readonly bind: readonly string[];
  readonly ports: readonly PlannedPort[];
  readonly health: HealthCheck;
  /** Started from the lowest to the highest; stopped the other way round. Status nodes 0, data nodes 1,
      monitors 2, routers 3. */
  readonly order: number;
  /** Time a polite stop may take before it is worth a warning (redis) or a kill (the others), ms. */
  readonly graceMs: number;
  /** In containers: the files of a person's own that lie beside its twine.conf. */
  readonly given?: readonly GivenFile[];
  /** In containers: the services that must be healthy before this one is created or replaced, by name. */
  readonly after?: readonly string[];
}

export interface PlannedHost {
  /** As written in twine.conf. */
  readonly name: string;
  /** localhost becomes 127.0.0.1. */
  readonly address: string;
  readonly files: readonly PlannedFile[];
  readonly services: readonly PlannedService[];
}

export interface Plan {
  readonly cluster: string;
  readonly confDigest: string;
  /** First to last by name. */
  readonly hosts: readonly PlannedHost[];
  readonly warnings: readonly Problem[];
}

/** What a plan needs to know besides twine.conf. */
export interface PlanOptions {
  /** What monitors and routers get as --conf. */
  readonly confPath: string;
  readonly hasPassword: boolean;
  /** Major version of redis-server (Valkey counts as 7 or more); 7 when absent. 6 lacks shutdown-on-sigterm and
      the ACL rules that grant reading alone. */
  readonly redisMajor?: number;
  /** Hosts whose name stands for a loopback address besides localhost and 127.x. */
  readonly loopbackHosts?: readonly string[];
  /** folders (the default): processes of a host, below partitions/HOST. containers: each service in a container of
      its own on the host's network. pods: the same, but a host's containers share one private network namespace, so
      they listen on all its addresses and whoever publishes a port decides who reaches it. */
  readonly placement?: "folders" | "containers" | "pods";
}
