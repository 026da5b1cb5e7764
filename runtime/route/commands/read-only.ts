// read-only.ts: refuses commands of a read-only user, by the server's table. Pure.
// Refused are commands that change keys, and those that administer the server or show other clients: Redis flags the
// latter as admin (BGSAVE, CONFIG, SLOWLOG, CLIENT LIST). CHANGES lists the others: scripts that may write have no such
// flag (their read-only variants have other names), and PUBLISH changes no key, but has an effect.
import { errorReply } from "../../resp/encode.ts";
import type { CommandTable } from "./command-table.ts";

const CHANGES: ReadonlySet<string> = new Set([
  "eval",
  "evalsha",
  "fcall",
  "script|load",
  "script|flush",
  "script|kill",
  "function|kill",
  "publish",
  "spublish",
  "memory|purge",
]);

/** Redis's error, or undefined if the command only reads. An unknown command is not refused here: it gets the error for
    unknown commands. */
export function refusedToReader(args: readonly Buffer[], table: CommandTable): Buffer | undefined {
  const spec = table.get(lower(args[0]));
  if (spec === undefined) return undefined;
  const sub = spec.subcommands.get(lower(args[1])) ?? spec;
  if (!sub.flags.has("write") && !sub.flags.has("admin") && !CHANGES.has(sub.name)) {
    return undefined;
  }
  return errorReply(`NOPERM this user has no permissions to run the '${sub.name}' command`);
}

function lower(arg: Buffer | undefined): string {
  return arg?.toString("latin1", 0, 128).toLowerCase() ?? "";
}
