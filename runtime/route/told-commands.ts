// told-commands.ts: which commands a node knows and which version it is: what is asked for it, and how it is read. Pure.
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand } from "../resp/encode.ts";
import { textOf } from "../resp/value.ts";
import { parseCommandTable, type CommandTable } from "./command-table.ts";

export interface ToldCommands {
  readonly table: CommandTable;
  readonly redisVersion: string;
}

/** The lowest version that Twine supports, for as long as no node has told its own. */
export const REDIS_VERSION_LEAST = "7.0.0";

/** A dead node answers both as well. */
export const TELL_COMMANDS: readonly Buffer[] = [["COMMAND"], ["INFO", "server"]].map((args) =>
  encodeCommand(args),
);

/** Reads the raw replies to TELL_COMMANDS, in their order; gives why the node has told nothing when it hasn't. */
export function toldCommands([commands, info]: readonly Buffer[]): ToldCommands | string {
  if (commands === undefined || info === undefined) return "no answer";
  const table = parseCommandTable(decodeReply(commands));
  if (table.size === 0) return `COMMAND was answered by ${commands.toString("utf8", 0, 80)}`;
  const text = textOf(decodeReply(info)) ?? "";
  const version = /^(?:valkey_version|redis_version):(\S+)/m.exec(text)?.[1];
  return { table, redisVersion: version ?? REDIS_VERSION_LEAST };
}
