// reshard.ts: when a cluster may get other partitions, and which processes may follow it there. Pure.
import { addressOf, nodesOf, type ClusterConfig } from "./cluster.ts";
import { builtinHashing, isSameHashing, settingsOfHashing, type Hashing } from "./hashing.ts";
import type { ReshardedView, ReshardView, View } from "./view.ts";

/** Earlier hashings that a view remembers. */
const HASHINGS_MAX = 8;

type Layouts = Pick<View, "hashing" | "resharded" | "reshard">;

/**
 * Whether a process with this hashing may route by the view's, though it is another one: its twine.conf is from before a
 * resharding of this cluster, or is the one that a resharding under way leads to.
 */
export function followsHashing(view: Layouts, own: Hashing): boolean {
  const known = [
    ...(view.resharded?.hashings ?? []),
    ...(view.reshard ? [view.reshard.hashing] : []),
  ];
  return known.some((hashing) => isSameHashing(hashing, own));
}

/** Whether the alpha is switching the partitions, or is undoing it; else the cluster serves as usual. */
export function isBeingSwitched(reshard: Pick<ReshardView, "phase"> | null | undefined): boolean {
  const phase = reshard?.phase ?? "copying";
  return phase !== "copying" && phase !== "keeping";
}

/** `recorded` with the present hashing and nodes of the view, before it gets others. */
export function rememberedLayout(view: View, at: string): ReshardedView {
  const before = view.resharded?.hashings ?? [];
  const hashings = [...before, ...(view.hashing === undefined ? [] : [view.hashing])];
  const nodes = view.nodes
    .filter(({ kind }) => kind === "data")
    .map(({ name, host, port }) => ({ name, host, port }));
  return { at, hashings: hashings.slice(-HASHINGS_MAX), nodes };
}

/**
 * Why the cluster of this view can't get the partitions of that twine.conf; undefined if it can.
 * 1. Its partitions must be divided in another way, by a built-in function: routers take it from the view.
 * 2. Every partition needs nodes that are all new, because the old ones hold the data until the end.
 * 3. Nothing else may change at the same time: status nodes, monitors and routers stay.
 */
export function reshardConflict(view: View, config: ClusterConfig): string | undefined {
  const { cluster, hash } = config.settings;
  if (cluster !== view.cluster) {
    return `the cluster is named ${view.cluster} and the new twine.conf says ${cluster}`;
  }
  if (hash.kind !== "builtin") {
    return "the new twine.conf names a module or an executable as hash; twine-reshard can change only to a built-in hash";
  }
  const hashing = builtinHashing(config.settings);
  if (view.hashing !== undefined && isSameHashing(view.hashing, hashing)) {
    return "the new twine.conf divides the keys as the cluster does: partitions, hash and hash-tag are the same";
  }
  return nodesConflict(view, config);
}

function nodesConflict(view: View, config: ClusterConfig): string | undefined {
  const data = nodesOf(config, "data");
  const old = view.nodes.filter(({ kind }) => kind === "data");
  const names = new Set(view.nodes.map(({ name }) => name));
  const places = new Set(old.map(placeOf));
  const kept = data.find((node) => names.has(node.name) || places.has(placeOf(node)));
  if (kept !== undefined) {
    return `${kept.name} at ${placeOf(kept)} is a node of the cluster already: every data node of the new twine.conf must be new, with another name and port`;
  }
  for (let index = 0; index < config.settings.partitions; index++) {
    if (!data.some(({ partition }) => partition === index)) return `partition ${index} has no node`;
  }
  const others = (nodes: readonly { kind: string; name: string; host: string; port: number }[]) =>
    nodes
      .filter(({ kind }) => kind !== "data")
      .map((node) => `${node.kind} ${node.name} at ${placeOf(node)}`);
  const before = others(view.nodes);
  const after = others(config.nodes);
  const different =
    before.find((place) => !after.includes(place)) ??
    after.find((place) => !before.includes(place));
  if (different === undefined) return undefined;
  return `${different} is only in one of twine.conf and NEW.conf: change status nodes, monitors and routers before or after the resharding`;
}

function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${addressOf(host)}:${port}`;
}

/** The settings of the view's built-in hashing, if they give the recorded partitions; undefined: this version can't. */
export function provenSettings(hashing: Hashing): ReturnType<typeof settingsOfHashing> {
  const settings = settingsOfHashing(hashing);
  if (settings === undefined) return undefined;
  return isSameHashing(hashing, builtinHashing(settings)) ? settings : undefined;
}
