// plan.ts: everything that will exist, as data. Pure.
// Appliers only carry it out: what is not in here is not decided downstream.
import type { NodeKind } from "../../runtime/core/cluster.ts";
import type { Problem } from "../../runtime/core/errors.ts";

/** One generated file. `path` is relative to the host's folder (local: partitions/HOST). */
export interface PlannedFile {
  readonly path: string;
  /** A name in templates/, e.g. "redis.conf.hbs". */
  readonly template: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Octal file mode: 0o600 where it holds a secret, 0o755 for scripts. */
  readonly mode: number;
}

/** How an applier asks whether a service is up; health beyond that (role, in sync) is the monitors' business. */
export type HealthCheck =
  | { readonly kind: "redis-role"; readonly port: number }
  | { readonly kind: "http"; readonly port: number; readonly path: string }
  | { readonly kind: "redis-ping"; readonly port: number };

export interface PlannedPort {
  readonly port: number;
  readonly purpose: "redis" | "http" | "sentinel" | "router";
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
  /** Relative to `folder`; absent for services without data. */
  readonly dataFolder?: string;
  readonly ports: readonly PlannedPort[];
  readonly health: HealthCheck;
  /** Started from the lowest to the highest; stopped the other way round. Status nodes 0, data nodes 1,
      monitors 2, routers 3. */
  readonly order: number;
  /** Time a polite stop may take before it is a kill, ms. */
  readonly graceMs: number;
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
  readonly hosts: readonly PlannedHost[];
  readonly warnings: readonly Problem[];
}
