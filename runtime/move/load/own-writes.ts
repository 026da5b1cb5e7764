// own-writes.ts: whether nobody but this load wrote to the cluster's masters since it began. Only then may they be emptied.
//
//   write commands that a master counts (INFO commandstats) == those that were sent to it from here and answered
//
// What a user's scripts write is counted by their commands, too. A master that was started or promoted since has forgotten: then
// nothing is proved.
import type { NodeSocket } from "../../replication/node-socket.ts";
import { infoOf } from "../../replication/node-info.ts";
import { parseCommandTable, type CommandTable } from "../../route/commands/command-table.ts";
import type { Words } from "../target.ts";

interface Begun {
  readonly runId: string;
  readonly writes: number;
  readonly table: CommandTable;
}

export class OwnWrites {
  /** By partition. */
  #begun: readonly Begun[] | undefined;
  readonly #answered = new Map<number, number>();
  #isSure = true;

  /** Before the first write. */
  async begin(masters: readonly NodeSocket[]): Promise<void> {
    this.#begun = await Promise.all(
      masters.map(async (master) => {
        const table = parseCommandTable(await master.call("COMMAND"));
        return { table, ...(await writesOf(master, table)) };
      }),
    );
  }

  /** They were sent to that partition's master, and have a reply. */
  answered(partition: number, commands: readonly Words[]): void {
    const table = this.#begun?.[partition]?.table;
    if (table === undefined) return;
    let count = 0;
    for (const words of commands) if (isWrite(words, table)) count++;
    this.#answered.set(partition, (this.#answered.get(partition) ?? 0) + count);
  }

  /** Nobody knows whether what was sent was executed. */
  lost(): void {
    this.#isSure = false;
  }

  /** False: somebody else may have written. Not while anything is being sent. */
  async areAll(masters: readonly NodeSocket[]): Promise<boolean> {
    const begun = this.#begun;
    if (!this.#isSure || begun?.length !== masters.length) return false;
    const found = await Promise.all(
      masters.map(async (master, partition) => {
        const before = begun[partition];
        if (before === undefined) return false;
        const now = await writesOf(master, before.table);
        const own = this.#answered.get(partition) ?? 0;
        return now.runId === before.runId && now.writes - before.writes === own;
      }),
    );
    return found.every(Boolean);
  }
}

async function writesOf(master: NodeSocket, table: CommandTable) {
  const stats = await infoOf(master, "commandstats");
  const server = await infoOf(master, "server");
  let writes = 0;
  for (const [name, text] of stats) {
    const words = name.replace(/^cmdstat_/, "").split("|");
    // A command that was rejected has a reply as well.
    if (isWrite(words, table)) writes += numberIn(text, "calls") + numberIn(text, "rejected_calls");
  }
  return { runId: server.get("run_id") ?? "", writes };
}

function numberIn(text: string, name: string): number {
  return Number(new RegExp(`(?:^|,)${name}=(\\d+)`).exec(text)?.[1] ?? 0);
}

function isWrite([name, sub]: Words, table: CommandTable): boolean {
  const spec = table.get(lower(name));
  if (spec === undefined) return false;
  return (spec.subcommands.get(lower(sub)) ?? spec).flags.has("write");
}

function lower(word: Buffer | string | undefined): string {
  return typeof word === "string"
    ? word.toLowerCase()
    : (word?.toString("latin1").toLowerCase() ?? "");
}
