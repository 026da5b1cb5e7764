// loadable.ts: which commands of a file can be loaded into a cluster one by one. Pure.
import type { Routing } from "../../core/routing.ts";
import type { CommandTable } from "../../route/commands/command-table.ts";
import { decide } from "../../route/decide.ts";
import type { Unloadable } from "./examine-aof.ts";

/** Why a command would be refused before any node saw it, or undefined. */
export function whyNotLoadable(
  args: readonly Buffer[],
  table: CommandTable,
  { partitions, hashTag, partitionOfRange }: Routing,
): Unloadable | undefined {
  const decision = decide(args, { table, partitions, hashTag });
  const never = (why: string): Unloadable => ({ why, isStray: false });
  if (decision.kind === "reply") return never(decision.reply.toString("utf8", 1).trimEnd());
  if (decision.kind === "session" || decision.kind === "own") {
    return never("it means something to one connection only");
  }
  if (decision.kind === "blocking") return never("it may wait for ever");
  if (decision.kind !== "forward") return undefined;
  const found = decision.keys.map((index) => {
    const key = args[index] ?? Buffer.alloc(0);
    return partitionOfRange?.(key, 0, key.length);
  });
  const isStray = found.some((partition) => partition !== found[0]);
  return isStray ? { why: "its keys lie in different partitions", isStray } : undefined;
}
