// plan-words.ts: a plan, and the difference of two, as text: the output of twine-plan and `pulumi preview`. Pure.
import { nodesOf, type DataNode } from "../../runtime/core/cluster.ts";
import { compareNames } from "../../runtime/core/natural-order.ts";
import { preferredMasters } from "./diff-nodes.ts";
import { groupBy } from "./group-by.ts";
import type { LiveDifference } from "./diff-live.ts";
import type { PlanDifference, PlannedCluster, ServiceChange } from "./diff-plans.ts";

const KINDS = ["data", "status", "monitor", "router"] as const;
/** Up to this many services are named in a sentence; above it, only their number is given. */
const NAMED_MAX = 12;

/** Host by host, then partition by partition. */
export function planLines({ config, plan }: PlannedCluster): string[] {
  const counts = KINDS.map((kind) => counted(nodesOf(config, kind).length, NOUNS[kind]));
  const partitions = groupBy(nodesOf(config, "data"), (node) => node.partition);
  const head = `cluster ${plan.cluster}: ${counted(config.settings.partitions, "partition")}; ${counts.join(", ")}; ${counted(plan.hosts.length, "host")}`;
  const byNameOf = new Map(config.nodes.map((node) => [node.name, node]));
  const hosts = plan.hosts.flatMap(({ name, services }) => [
    "",
    `host ${name}`,
    ...services.map((service) => {
      const node = byNameOf.get(service.name);
      const ports = service.ports.map(({ port, purpose }) => `${port} ${purpose}`).join(", ");
      const partition = node?.kind === "data" ? `, partition ${node.partition}` : "";
      return `  ${service.kind.padEnd(7)} ${service.name}: ${ports}${partition}`;
    }),
  ]);
  const masters = preferredMasters(config);
  const members = [...partitions]
    .sort(([a], [b]) => a - b)
    .map(
      ([partition, nodes]) =>
        `partition ${partition}: ${membersLine(nodes, masters.get(partition))}`,
    );
  return [head, ...hosts, "", ...members];
}

function membersLine(nodes: readonly DataNode[], master: string | undefined): string {
  return nodes
    .map(({ name, host }) => `${name} on ${host}${name === master ? " (preferred master)" : ""}`)
    .join(", ");
}

/** Empty when there is none. */
export function differenceLines(difference: PlanDifference): string[] {
  const { changes, services, keysMove, warnings } = difference;
  if (changes.length === 0 && services.length === 0) return [];
  return [
    ...changes.flatMap(({ text, danger }) =>
      danger === undefined
        ? [text]
        : [text, `  unsafe: ${danger.why}`, `  remedy: ${danger.remedy}`],
    ),
    ...serviceLines(services),
    keysMove ? "keys change partition" : "no key changes partition",
    ...warnings.flatMap(({ message, remedy }) => [
      `warning: ${message}`,
      ...(remedy === undefined ? [] : [`  remedy: ${remedy}`]),
    ]),
  ];
}

/** `difference`: from the adopted twine.conf, by which the cluster runs, to this one. */
export function liveLines(difference: PlanDifference, live: readonly LiveDifference[]): string[] {
  const changes = differenceLines(difference);
  return [
    ...(changes.length === 0
      ? []
      : [
          "the cluster runs by another twine.conf; to adopt this one changes:",
          ...indented(changes),
        ]),
    ...live.flatMap(({ text, remedy }) =>
      remedy === null ? [text] : [text, `  remedy: ${remedy}`],
    ),
  ];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function serviceLines(services: readonly ServiceChange[]): string[] {
  const verbs = {
    created: "is created",
    removed: "is removed",
    changed: "gets a new configuration",
  };
  const hosts = groupBy(services, ({ host }) => host);
  return [...hosts]
    .sort(([a], [b]) => compareNames(a, b))
    .flatMap(([host, changed]) =>
      (["created", "removed", "changed"] as const).flatMap((kind) => {
        const names = changed.filter((one) => one.kind === kind).map(({ service }) => service);
        if (names.length === 0) return [];
        const verb =
          names.length === 1
            ? verbs[kind]
            : verbs[kind].replace("is ", "are ").replace("gets", "get");
        return [`host ${host}: ${named(names)} ${verb}`];
      }),
    );
}

function named(names: readonly string[]): string {
  if (names.length <= NAMED_MAX) return names.join(", ");
  const more = names.length - NAMED_MAX;
  return `${names.slice(0, NAMED_MAX).join(", ")} and ${more} more`;
}

const NOUNS = { data: "data node", status: "status node", monitor: "monitor", router: "router" };

function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun}s`}`;
}
