// transaction.ts: what a transaction needs to be known of before it is sent: its keys, and whether it only reads. Pure.
import type { CommandTable } from "../route/command-table.ts";
import { decide, type Decision } from "../route/decide.ts";
import { isError } from "../route/split.ts";
import { refusal } from "../route/wire-errors.ts";

export type Examined =
  | { readonly refused: Buffer }
  | { readonly refused: undefined; readonly keys: readonly Buffer[]; readonly isRead: boolean };

/** Every command must say by its keys where it goes. */
export function examineTransaction(
  commands: readonly (readonly Buffer[])[],
  options: { readonly table: CommandTable; readonly partitions: number },
): Examined {
  const found: Buffer[] = [];
  let isRead = true;
  for (const args of commands) {
    const decision = decide(args, options);
    const indices = keyIndices(args, decision);
    if (indices === undefined) {
      const isAnswer = decision.kind === "reply" && isError(decision.reply);
      const name = args[0]?.toString("latin1") ?? "";
      const reason = "a transaction here takes only commands whose keys say where they go";
      return { refused: isAnswer ? decision.reply : refusal(name, reason) };
    }
    isRead &&= "isRead" in decision && decision.isRead;
    found.push(...indices.flatMap((index) => args[index] ?? []));
  }
  return { refused: undefined, keys: found, isRead };
}

/** Indices into the arguments; undefined when the command goes nowhere by keys. */
export function keyIndices(
  args: readonly Buffer[],
  decision: Decision,
): readonly number[] | undefined {
  // Inside a transaction nothing waits.
  if (decision.kind === "forward" || decision.kind === "blocking") return decision.keys;
  if (decision.kind !== "split") return undefined;
  const keys: number[] = [];
  for (let index = 1; index < args.length; index += decision.keyStep) keys.push(index);
  return keys;
}
