// troubles.ts: what in a view is worth a mail, each trouble under a name of its own. Pure.
import { runsRedis } from "../core/cluster.ts";
import type { NodeView, PartitionView, View } from "../core/view.ts";

export interface Trouble {
  /** The same for the same trouble in every view: "halt 3", "dead a6666". */
  readonly id: string;
  readonly kind: "halt" | "dead";
  /** The partition or the node: "partition 3", "a6666". */
  readonly subject: string;
  /** A whole sentence without its full stop. */
  readonly what: string;
  /** What it takes to end it; empty where waiting is all there is. */
  readonly need: string;
  /** The partition has never had a master: the cluster is only starting. */
  readonly isFirstStart: boolean;
}

/** Partitions without a master and dead nodes of every kind, in the order of the view. */
export function troublesOf(view: View): Trouble[] {
  return [
    ...view.partitions.filter(({ master }) => master === null).map(haltOf),
    ...view.nodes.filter(({ role }) => role === "dead").map(deathOf),
  ];
}

function haltOf({ index, lastMaster, needs }: PartitionView): Trouble {
  const subject = `partition ${index}`;
  const before = lastMaster === null ? "" : `, the last one was ${lastMaster}`;
  return {
    id: `halt ${index}`,
    kind: "halt",
    subject,
    what: `${subject} has no master${before}: its keys can be neither read nor written`,
    need: needs ?? "",
    isFirstStart: lastMaster === null,
  };
}

function deathOf({ name, kind, host, port, partition }: NodeView): Trouble {
  const place = partition === null ? "" : ` of partition ${partition}`;
  const word = runsRedis(kind) ? `${kind} node` : kind;
  return {
    id: `dead ${name}`,
    kind: "dead",
    subject: name,
    what: `${word} ${name}${place} on ${host}:${port} is dead`,
    need: `twine-start ${host}`,
    isFirstStart: false,
  };
}
