// transitions.ts: the events between one chosen view and the next, with the names of emit.ts. Pure.
import type { NodeView, PartitionView, View } from "../../../core/view.ts";
import type { EventName } from "../../emit.ts";

export interface Transition {
  readonly event: EventName;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The log events of the step from `before` to `after`, in the order of the view, not by severity. */
export function transitionsBetween(before: View | null, after: View): Transition[] {
  const list: Transition[] = [];
  for (const partition of after.partitions) {
    const old = before?.partitions.find(({ index }) => index === partition.index);
    list.push(...partitionTransitions(old, partition));
  }
  for (const node of after.nodes) {
    const old = before?.nodes.find(({ name }) => name === node.name);
    list.push(...nodeTransitions(old, node, before === null));
  }
  for (const old of before?.nodes ?? []) {
    if (after.nodes.some(({ name }) => name === old.name)) continue;
    list.push({ event: "-node", fields: { node: old.name, kind: old.kind } });
  }
  if (before !== null && before.confDigest !== after.confDigest) {
    list.push({ event: "+conf", fields: { confDigest: after.confDigest } });
  }
  list.push(...rotationTransitions(before, after));
  if (before?.state !== after.state) {
    list.push({ event: "+state", fields: { from: before?.state ?? null, to: after.state } });
  }
  const { epoch, revision, state } = after;
  list.push({ event: "+view", fields: { epoch, revision, state } });
  return list;
}

function rotationTransitions(before: View | null, { rotation }: View): Transition[] {
  const old = before?.rotation;
  if (JSON.stringify(old) === JSON.stringify(rotation)) return [];
  if (rotation !== undefined) return [{ event: "+rotation", fields: { ...rotation } }];
  return [{ event: "-rotation", fields: { since: old?.since } }];
}

function partitionTransitions(
  old: PartitionView | undefined,
  partition: PartitionView,
): Transition[] {
  const list: Transition[] = [];
  const { index, master, needs } = partition;
  const promoting = partition.promoting ?? null;
  list.push(...handoverTransitions(old, partition));
  list.push(...followTransitions(old, partition));
  const failover = partition.failover ?? null;
  if (failover !== null && (old?.failover ?? null) === null) {
    const { from, isKnownDead } = failover;
    list.push({ event: "+failover", fields: { partition: index, from, isKnownDead } });
  }
  if (promoting !== null && promoting !== (old?.promoting ?? null)) {
    list.push({ event: "+promote", fields: { partition: index, node: promoting } });
  }
  if ((old?.master ?? null) !== master) {
    if (old !== undefined && old.master !== null) {
      list.push({ event: "-master", fields: { partition: index, node: old.master } });
    }
    if (master !== null)
      list.push({ event: "+master", fields: { partition: index, node: master } });
  }
  const before = old?.failover ?? null;
  if (before !== null && failover === null && master !== null) {
    list.push({ event: "-failover", fields: { partition: index, from: before.from, to: master } });
  }
  const needed = old?.needs ?? null;
  if (needs !== null && needs !== needed) {
    list.push({ event: needed === null ? "+halt" : "+needs", fields: { partition: index, needs } });
  }
  if (needs === null && needed !== null) {
    list.push({ event: "-halt", fields: { partition: index } });
  }
  return list;
}

function followTransitions(old: PartitionView | undefined, partition: PartitionView): Transition[] {
  const nameOf = (one: PartitionView | undefined): string =>
    one?.following ? `${one.following.host}:${one.following.port}` : "";
  const [before, now] = [nameOf(old), nameOf(partition)];
  if (before === now) return [];
  const { index } = partition;
  const ended: Transition = { event: "-follow", fields: { partition: index, from: before } };
  const begun: Transition = { event: "+follow", fields: { partition: index, from: now } };
  return [...(before === "" ? [] : [ended]), ...(now === "" ? [] : [begun])];
}

function handoverTransitions(
  old: PartitionView | undefined,
  partition: PartitionView,
): Transition[] {
  const { index } = partition;
  const before = old?.handover ?? null;
  const now = partition.handover ?? null;
  const isSame = before?.from === now?.from && before?.to === now?.to;
  if (isSame) return [];
  const list: Transition[] = [];
  if (before !== null) {
    const isDone = partition.promoting === before.to || partition.master === before.to;
    const { from, to } = before;
    list.push({ event: "-handover", fields: { partition: index, from, to, isDone } });
  }
  if (now !== null) {
    list.push({
      event: "+handover",
      fields: { partition: index, from: now.from, to: now.to },
    });
  }
  return list;
}

function nodeTransitions(
  old: NodeView | undefined,
  node: NodeView,
  isFirst: boolean,
): Transition[] {
  const fields = { node: node.name, kind: node.kind };
  if (old === undefined) return isFirst ? [] : [{ event: "+node", fields }];
  const list: Transition[] = [];
  if (old.role !== "dead" && node.role === "dead") list.push({ event: "+down", fields });
  if (old.role === "dead" && node.role !== "dead") list.push({ event: "-down", fields });
  list.push(...troubleTransitions(old, node));
  if (node.role === "replica" && !old.inSync && node.inSync) list.push({ event: "+sync", fields });
  if (node.role === "replica" && old.inSync && !node.inSync) list.push({ event: "-sync", fields });
  return list;
}

function troubleTransitions(old: NodeView, node: NodeView): Transition[] {
  const before = old.troubles ?? [];
  const now = node.troubles ?? [];
  const begun = now.filter(({ code }) => !before.some((trouble) => trouble.code === code));
  const ended = before.filter(({ code }) => !now.some((trouble) => trouble.code === code));
  return [
    ...begun.map(({ code, text: why }): Transition => ({
      event: "+trouble",
      fields: { node: node.name, code, why },
    })),
    ...ended.map(({ code }): Transition => ({
      event: "-trouble",
      fields: { node: node.name, code },
    })),
  ];
}
