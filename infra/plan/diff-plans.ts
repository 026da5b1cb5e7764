// diff-plans.ts: the difference of two plans. Pure.
//
//   twine.conf, plan ─┐                      changes    the changes of twine.conf, as text
//                     ├─▶ PlanDifference ──▶ services   with other files, command or ports: they restart
//   twine.conf, plan ─┘                      warnings   new warnings about placement
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { warningsOf } from "../../runtime/core/conf/placement.ts";
import type { Problem } from "../../runtime/core/errors.ts";
import { compareNames } from "../../runtime/core/natural-order.ts";
import { diffNodes, diffVoters, type Change, type Masters } from "./diff-nodes.ts";
import { diffSettings, isRoutingChange } from "./diff-settings.ts";
import type { Plan, PlannedHost, PlannedService } from "./plan.ts";

export interface PlannedCluster {
  readonly config: ClusterConfig;
  readonly plan: Plan;
}

export interface ServiceChange {
  readonly host: string;
  readonly service: string;
  readonly kind: "created" | "removed" | "changed";
  /** For a changed service: names of its files, "command" or "ports". */
  readonly parts: readonly string[];
}

export interface PlanDifference {
  readonly changes: readonly Change[];
  readonly services: readonly ServiceChange[];
  readonly keysMove: boolean;
  /** Warnings of the new plan that the old one does not have. */
  readonly warnings: readonly Problem[];
}

/** `masters`: the current masters, if they are known. */
export function diffPlans(
  before: PlannedCluster,
  after: PlannedCluster,
  masters?: Masters,
): PlanDifference {
  const changes = [
    ...diffNodes(before.config, after.config, masters),
    ...diffVoters(before.config, after.config),
    ...diffSettings(before.config.settings, after.config.settings),
  ];
  return {
    changes,
    services: diffServices(before.plan, after.plan),
    keysMove: changes.some(isRoutingChange),
    warnings: newWarnings(before, after),
  };
}

/** Whether both plans describe the same cluster. */
export function isSame({ changes, services }: PlanDifference): boolean {
  return changes.length === 0 && services.length === 0;
}

function newWarnings(before: PlannedCluster, after: PlannedCluster): Problem[] {
  const wordsOf = ({ code, message }: Problem): string => `${code} ${message}`;
  const all = ({ config, plan }: PlannedCluster): Problem[] => [
    ...warningsOf(config),
    ...plan.warnings,
  ];
  const known = new Set(all(before).map(wordsOf));
  return all(after).filter((warning) => !known.has(wordsOf(warning)));
}

interface Placed {
  readonly host: PlannedHost;
  readonly service: PlannedService;
}

function diffServices(before: Plan, after: Plan): ServiceChange[] {
  const [old, now] = [placed(before), placed(after)];
  const created = [...now].filter(([place]) => !old.has(place)).map(named("created"));
  const removed = [...old].filter(([place]) => !now.has(place)).map(named("removed"));
  const changed = [...now].flatMap(([place, { host, service }]): ServiceChange[] => {
    const was = old.get(place);
    if (was === undefined) return [];
    const parts = partsThatDiffer(was, { host, service });
    if (parts.length === 0) return [];
    return [{ host: host.name, service: service.name, kind: "changed", parts }];
  });
  return [...created, ...removed, ...changed].sort(
    (a, b) => compareNames(a.host, b.host) || compareNames(a.service, b.service),
  );
}

function named(kind: "created" | "removed") {
  return ([, { host, service }]: [string, Placed]): ServiceChange => ({
    host: host.name,
    service: service.name,
    kind,
    parts: [],
  });
}

/** By kind, too: a monitor that now has a router's name is another service. */
function placed(plan: Plan): Map<string, Placed> {
  return new Map(
    plan.hosts.flatMap((host) =>
      host.services.map((service) => [
        `${host.name} ${service.name} ${service.kind}`,
        { host, service },
      ]),
    ),
  );
}

function partsThatDiffer(old: Placed, now: Placed): string[] {
  const [was, is] = [filesOf(old), filesOf(now)];
  const names = [...new Set([...was.keys(), ...is.keys()])];
  const files = names.filter((name) => was.get(name) !== is.get(name)).sort();
  const other = (["command", "ports", "bind"] as const).filter(
    (part) => JSON.stringify(old.service[part]) !== JSON.stringify(now.service[part]),
  );
  return [...files, ...other];
}

const filesOfHost = new WeakMap<PlannedHost, Map<string, Map<string, string>>>();

/** File -> everything that its text depends on; for one service. */
function filesOf({ host, service }: Placed): ReadonlyMap<string, string> {
  let folders = filesOfHost.get(host);
  if (folders === undefined) {
    folders = new Map();
    for (const file of host.files) {
      const slash = file.path.indexOf("/");
      const folder = file.path.slice(0, slash);
      const files = folders.get(folder) ?? new Map<string, string>();
      const { template, values, secrets, mode } = file;
      files.set(file.path.slice(slash + 1), JSON.stringify([template, values, secrets, mode]));
      folders.set(folder, files);
    }
    filesOfHost.set(host, folders);
  }
  return folders.get(service.folder) ?? new Map<string, string>();
}
