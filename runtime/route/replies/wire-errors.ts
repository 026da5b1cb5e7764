// wire-errors.ts: the router's own errors, as bytes. Pure.
// Where Redis has an error for the case, the text is Redis's own, because clients compare it.
import { encodeReply, errorReply } from "../../resp/encode.ts";

/** The reply `-text`. Each character is one byte, so a client's bytes are returned unchanged. */
export function byteError(text: string): Buffer {
  return encodeReply({ type: "error", text }, 2);
}

/** Up to `max` bytes of an argument, one character for each, up to the first NUL, as Redis prints it. */
export function shownText(arg: Buffer | undefined, max: number): string {
  const [shown = ""] = (arg?.toString("latin1", 0, max) ?? "").split("\0", 1);
  return shown;
}

/** In the form of Redis (src/server.c, commandCheckExistence): the name and up to 128 bytes of arguments. */
export function unknownCommand(args: readonly Buffer[]): Buffer {
  let shown = "";
  for (const arg of args.slice(1)) {
    if (shown.length >= 128) break;
    shown += `'${shownText(arg, 128 - shown.length)}' `;
  }
  const name = shownText(args[0], 128);
  return byteError(`ERR unknown command '${name}', with args beginning with: ${shown}`);
}

export function unknownSubcommand(name: string, sub: Buffer | undefined): Buffer {
  const shown = shownText(sub, 128);
  return byteError(`ERR unknown subcommand '${shown}'. Try ${name.toUpperCase()} HELP.`);
}

export function wrongArity(name: string): Buffer {
  return errorReply(`ERR wrong number of arguments for '${name}' command`);
}

/** All refusals of a command that Redis knows begin alike: the command's name, then the reason. */
export function refusal(name: string, reason: string): Buffer {
  return errorReply(`ERR twine: '${name}' is not supported: ${reason}`);
}

export function crossSlot(
  key: Buffer,
  partition: number,
  other: Buffer,
  elsewhere: number,
): Buffer {
  return errorReply(
    `CROSSSLOT Keys in request are in different partitions: '${shownKey(key)}' in ${partition}, ` +
      `'${shownKey(other)}' in ${elsewhere}; keys like {tag}a and {tag}b share one ` +
      "where twine.conf says 'hash-tag {}'",
  );
}

/** A key as one printable line, cut if it is long. */
export function shownKey(key: Buffer): string {
  const text = key.toString("latin1", 0, 64).replaceAll(/[^\x20-\x7e]/g, "?");
  return key.length > 64 ? `${text}...` : text;
}

const WRITES_WITHOUT_KEY =
  /^-ERR (?:Can not execute a script with write flag|Write commands are not allowed from read-only scripts)/;

/** Replaces the error of a script without keys that tried to write in a read-only command. The new text names the remedy;
    Redis's text is about a command that the client did not send. */
export function keylessScriptReply(reply: Buffer): Buffer {
  if (!WRITES_WITHOUT_KEY.test(reply.toString("latin1", 0, 128))) return reply;
  return errorReply(
    "ERR twine: a script or function that names no key runs in any one partition and must not write: name the keys that " +
      "it writes (a hash tag keeps them in one partition), or give the function the flag no-writes",
  );
}
