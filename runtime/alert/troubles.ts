// troubles.ts: the troubles of a view that are worth a mail, each with an id. Pure.
import { runsRedis } from "../core/cluster.ts";
import type { NodeView, PartitionView, View } from "../core/view.ts";

export interface Trouble {
  /** The same trouble has the same id in every view: "halt 3", "dead a6666". */
  readonly id: string;
  readonly kind: "halt" | "dead" | "backup";
  /** The partition or the node: "partition 3", "a6666"; or the backup. */
  readonly subject: string;
  /** A whole sentence without its full stop. */
  readonly what: string;
  /** The command or event that ends it; empty when waiting is the only way. */
  readonly need: string;
  /** The partition never had a master: the cluster is only starting. */
  readonly isFirstStart: boolean;
}

/** Partitions without a master and dead nodes of every kind, in the order of the view; failing backups and rehearsals. */
export function troublesOf(view: View): Trouble[] {
  return [
    ...view.partitions.filter(({ master }) => master === null).map(haltOf),
    ...view.nodes.filter(({ role }) => role === "dead").map(deathOf),
    ...backupTrouble(view),
    ...rehearsalTrouble(view),
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

function backupTrouble({ backup }: View): Trouble[] {
  const { failed, isOverdue = false, lastAt = null } = backup ?? {};
  if (failed === undefined && !isOverdue) return [];
  const old = lastAt === null ? "there is none" : `the last good one is of ${lastAt}`;
  return [
    {
      id: "backup",
      kind: "backup",
      subject: "the backup",
      what: `the backup fails: ${failed ?? `${old}, longer ago than three times backup-every`}`,
      need: "twine-backup says what is wrong",
      isFirstStart: false,
    },
  ];
}

function rehearsalTrouble({ backup }: View): Trouble[] {
  const { failed } = backup?.rehearsal ?? {};
  if (failed === undefined) return [];
  return [
    {
      id: "rehearsal",
      kind: "backup",
      subject: "the rehearsal of backups",
      what: `the rehearsal of a backup fails: ${failed}`,
      need: "twine-backup --rehearse says what is wrong",
      isFirstStart: false,
    },
  ];
}
