// reported-commands.ts: asks a node for its commands and its version, and parses the replies. Pure.
import { FailureError, failureKindOfWords } from "../../core/failure.ts";
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand } from "../../resp/encode.ts";
import { textOf } from "../../resp/value.ts";
import { parseCommandTable, type CommandTable } from "./command-table.ts";

export type ServerName = "redis" | "valkey";

export interface ReportedCommands {
  readonly table: CommandTable;
  readonly redisVersion: string;
  /** The server's name in HELLO's reply. */
  readonly serverName: ServerName;
}

const ERROR = 45;

/** The lowest supported version; used until a node has reported its own. */
export const REDIS_VERSION_LEAST = "7.0.0";

/** A dead node answers both too. */
export const REPORT_COMMANDS: readonly Buffer[] = [["COMMAND"], ["INFO", "server"]].map((args) =>
  encodeCommand(args),
);

/** Parses the raw replies to REPORT_COMMANDS, in their order. Returns the failure if they can't be used. */
export function reportedCommands([commands, info]: readonly Buffer[]):
  ReportedCommands | FailureError {
  if (commands === undefined || info === undefined) return new FailureError("closed", "no answer");
  const table = parseCommandTable(decodeReply(commands));
  if (table.size === 0) {
    const words = commands.toString("utf8", 0, 80).trimEnd();
    const kind = commands[0] === ERROR ? failureKindOfWords(words) : "malformed";
    return new FailureError(kind, `COMMAND was answered by ${words}`);
  }
  const text = textOf(decodeReply(info)) ?? "";
  // Valkey also reports the Redis version that it is compatible with, before its own.
  const valkey = /^valkey_version:(\S+)/m.exec(text)?.[1];
  const version = valkey ?? /^redis_version:(\S+)/m.exec(text)?.[1];
  const serverName = valkey === undefined ? "redis" : "valkey";
  return { table, redisVersion: version ?? REDIS_VERSION_LEAST, serverName };
}
