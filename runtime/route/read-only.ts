// read-only.ts: what a user who may only read is refused, by the server's own table. Pure.
// A script that may write has no flag that says so (its read-only twins have another name), and PUBLISH changes no key
// but what others do.
import { errorReply } from "../resp/encode.ts";
import type { CommandTable } from "./command-table.ts";

const CHANGES: ReadonlySet<string> = new Set([
  "eval",
  "evalsha",
  "fcall",
  "script|load",
  "script|flush",
  "publish",
  "spublish",
]);

/** The refusal, in Redis's words, or undefined when the command only reads. A command that nobody knows is not refused
    here: it is answered as unknown. */
export function refusedToReader(args: readonly Buffer[], table: CommandTable): Buffer | undefined {
  const spec = table.get(lower(args[0]));
  if (spec === undefined) return undefined;
  const sub = spec.subcommands.get(lower(args[1])) ?? spec;
  if (!sub.flags.has("write") && !CHANGES.has(sub.name)) return undefined;
  return errorReply(`NOPERM this user has no permissions to run the '${sub.name}' command`);
}

function lower(arg: Buffer | undefined): string {
  return arg?.toString("latin1", 0, 128).toLowerCase() ?? "";
}
