// diff-live.ts: compares the running cluster with the plan, as text. Pure.
//
//   plan ────────────────┐
//   view, adopted conf ──┼─▶ LiveDifference[]    one line each, with a remedy
//   answers of each node │
//   files on this machine┘
//
// The view gives the role that a node should have; the node itself gives the role that it has.
import type { DataNode, NodeKind } from "../../runtime/core/cluster.ts";
import { nodesOf } from "../../runtime/core/cluster.ts";
import type { NodeView, View } from "../../runtime/core/view.ts";
import type { PlannedCluster } from "./diff-plans.ts";
import type { Masters } from "./diff-nodes.ts";
import { groupBy } from "./group-by.ts";
import { settingWords, type SettingDifference } from "../../runtime/core/conf/redis-values.ts";

/** The answer of one service. absent: nothing answers at its address. */
export interface LiveService {
  readonly name: string;
  readonly answer: "up" | "loading" | "busy" | "absent";
  /** For a data node that is up: the reply of ROLE. */
  readonly role?: "master" | "replica" | undefined;
  /** For a redis-server that is up; undefined when CONFIG GET got no reply. */
  readonly settings?: readonly SettingDifference[] | undefined;
}

/** A generated file that differs from the plan. outdated: twine-setup wrote it from another twine.conf. */
export interface LiveFile {
  readonly host: string;
  /** Absolute. */
  readonly path: string;
  readonly state: "edited" | "outdated" | "missing";
}

export interface Live {
  /** null: no majority of the status nodes answered, or they hold no view yet. */
  readonly view: View | null;
  /** Why there is no reliable view, or why it may be old; null when there is no problem. */
  readonly viewProblem: string | null;
  readonly services: readonly LiveService[];
  readonly files: readonly LiveFile[];
  /** The installed server of this machine, such as "redis 7.0.15"; with the hosts that are this machine. */
  readonly installed?: { readonly version: string; readonly hosts: readonly string[] } | undefined;
}

export interface LiveDifference {
  readonly kind: "view" | "missing" | "left" | "role" | "setting" | "version" | "conf" | "file";
  /** A node's name, a partition's number, a file's path, or "status nodes". */
  readonly subject: string;
  /** One line. */
  readonly text: string;
  /** What to do; null when it ends by itself. */
  readonly remedy: string | null;
}

/** The masters of the view, for diffPlans(). */
export function mastersOf(view: View): Masters {
  return new Map(
    view.partitions.flatMap(({ index, master }) =>
      master === null ? [] : [[index, master] as const],
    ),
  );
}

/** In this order: the view, the nodes in the plan's order, versions, files. */
export function diffLive(planned: PlannedCluster, live: Live): LiveDifference[] {
  return [
    ...viewDifferences(live),
    ...serviceDifferences(planned, live),
    ...leftDifferences(planned, live.view),
    ...versionDifferences(planned, live),
    ...live.files.map(fileDifference),
  ];
}

function viewDifferences({ view, viewProblem }: Live): LiveDifference[] {
  const problem: LiveDifference[] =
    viewProblem === null
      ? []
      : [
          {
            kind: "view",
            subject: "status nodes",
            text: viewProblem,
            remedy: "see twine-status",
          },
        ];
  const empty = (view?.partitions ?? []).filter(({ master }) => master === null);
  return [
    ...problem,
    ...empty.map(({ index, needs }): LiveDifference => ({
      kind: "role",
      subject: String(index),
      text: `partition ${index} has no master`,
      remedy: needs ?? "see twine-status",
    })),
  ];
}

const NOUNS: Readonly<Record<NodeKind, string>> = {
  data: "data node",
  status: "status node",
  monitor: "monitor",
  router: "router",
};

function serviceDifferences({ config, plan }: PlannedCluster, live: Live): LiveDifference[] {
  const answers = new Map(live.services.map((service) => [service.name, service]));
  const views = new Map((live.view?.nodes ?? []).map((node) => [node.name, node]));
  const nodes = new Map(config.nodes.map((node) => [node.name, node]));
  return plan.hosts.flatMap(({ services }) =>
    services.flatMap(({ name, kind }) => {
      const node = nodes.get(name);
      const service = answers.get(name);
      if (node === undefined || service === undefined) return [];
      const what = `${NOUNS[kind]} ${name} on ${node.host}:${node.port}`;
      const missing = missingText(service);
      if (missing !== undefined) {
        const remedy = service.answer === "absent" ? `twine-start ${name}` : null;
        return [{ kind: "missing" as const, subject: name, text: `${what} ${missing}`, remedy }];
      }
      return [
        ...roleDifferences(what, service, views.get(name), live.view !== null),
        ...settingDifferences(what, service),
      ];
    }),
  );
}

function missingText({ answer }: LiveService): string | undefined {
  if (answer === "absent") return "does not answer";
  if (answer === "loading") return "still loads its data";
  return answer === "busy" ? "runs a script and answers nothing else" : undefined;
}

function roleDifferences(
  what: string,
  { name, role }: LiveService,
  node: NodeView | undefined,
  hasView: boolean,
): LiveDifference[] {
  if (!hasView) return [];
  const differs = (
    kind: LiveDifference["kind"],
    text: string,
    remedy: string | null,
  ): LiveDifference => ({
    kind,
    subject: name,
    text: `${what} ${text}`,
    remedy,
  });
  if (node === undefined) return [differs("role", "is not in the view yet", null)];
  const found: LiveDifference[] = [];
  if (node.otherConf === true) {
    const remedy = `copy the adopted file there (twine-status conf prints it), then twine-reload ${name} on its host`;
    found.push(differs("conf", "holds another twine.conf than the adopted one", remedy));
  }
  if (node.role === "dead") found.push(differs("role", "is dead in the view", "see twine-status"));
  else if (role !== undefined && node.role !== role) {
    found.push(differs("role", `is ${role}, and the view says ${node.role}`, null));
  } else if (!node.inSync) found.push(differs("role", "is not in sync", null));
  return found;
}

function settingDifferences(what: string, { name, settings }: LiveService): LiveDifference[] {
  if (settings === undefined || settings.length === 0) return [];
  return [
    {
      kind: "setting",
      subject: name,
      text: `${what} runs with other settings: ${settingWords(settings)}`,
      remedy: "twine-apply on its host: what Redis can change is set while it runs",
    },
  ];
}

/** Nodes that are in the view but not in twine.conf. */
function leftDifferences({ config }: PlannedCluster, view: View | null): LiveDifference[] {
  const names = new Set(config.nodes.map(({ name }) => name));
  return (view?.nodes ?? [])
    .filter(({ name }) => !names.has(name))
    .map(({ name, kind, host, port, retiring }): LiveDifference => ({
      kind: "left",
      subject: name,
      text: `${NOUNS[kind]} ${name} on ${host}:${port} is part of the running cluster, and this twine.conf does not name it`,
      remedy:
        retiring === true
          ? null
          : "run twine-reload on every monitor's host to adopt this twine.conf",
    }));
}

function versionDifferences({ config }: PlannedCluster, live: Live): LiveDifference[] {
  const views = new Map((live.view?.nodes ?? []).map((node) => [node.name, node]));
  const running = nodesOf(config, "data").flatMap((node) => {
    const version = views.get(node.name)?.version;
    return version === undefined ? [] : [{ node, version }];
  });
  const { installed } = live;
  const older = running.filter(
    ({ node, version }) =>
      installed !== undefined &&
      installed.hosts.includes(node.host) &&
      version !== installed.version,
  );
  const byVersion = groupBy(running, ({ version }) => version);
  return [
    ...(byVersion.size < 2 ? [] : [mixedVersions(byVersion)]),
    ...older.map(({ node, version }): LiveDifference => ({
      kind: "version",
      subject: node.name,
      text: `data node ${node.name} on ${node.host}:${node.port} runs ${version}; ${installed?.version ?? ""} is installed there`,
      remedy: "twine-apply on its host restarts it, replicas before their master",
    })),
  ];
}

const NAMED_MAX = 12;

function mixedVersions(
  byVersion: ReadonlyMap<string, readonly { readonly node: DataNode }[]>,
): LiveDifference {
  const parts = [...byVersion].map(([version, nodes]) => {
    const names = nodes.slice(0, NAMED_MAX).map(({ node }) => node.name);
    const more = nodes.length - names.length;
    return `${version} (${names.join(", ")}${more > 0 ? ` and ${more} more` : ""})`;
  });
  return {
    kind: "version",
    subject: "data nodes",
    text: `the data nodes run different versions: ${parts.join(", ")}`,
    remedy: "install one version on every host, and run twine-apply there: docs/upgrade.md",
  };
}

function fileDifference({ host, path, state }: LiveFile): LiveDifference {
  switch (state) {
    case "edited":
      return {
        kind: "file",
        subject: path,
        text: `${path} was edited by hand`,
        remedy: `write the setting in twine.conf; twine-setup ${host} --overwrite replaces the file`,
      };
    case "outdated":
    case "missing":
      return {
        kind: "file",
        subject: path,
        text:
          state === "missing"
            ? `${path} does not exist`
            : `${path} was written from another twine.conf`,
        remedy: `twine-setup ${host}`,
      };
    default:
      return state satisfies never;
  }
}
