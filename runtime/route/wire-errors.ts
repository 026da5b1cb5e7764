// wire-errors.ts: the errors that a router says itself, as bytes. Pure.
// Where Redis has an error for the case, it is Redis's own text: clients look for it.
import { encodeReply, errorReply } from "../resp/encode.ts";

/** The reply `-text`, each of whose characters is one byte: what a client sent comes back as it came. */
export function byteError(text: string): Buffer {
  return encodeReply({ type: "error", text }, 2);
}

/** Up to `max` bytes of an argument, one character for each, as far as its first NUL: Redis prints it so. */
export function shownText(arg: Buffer | undefined, max: number): string {
  const [shown = ""] = (arg?.toString("latin1", 0, max) ?? "").split("\0", 1);
  return shown;
}

/** As Redis words it (src/server.c, commandCheckExistence): the name and up to 128 bytes of arguments. */
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

/** Every refusal of something that Redis knows begins the same: the command's name and then the reason. */
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

/** A key as it can stand in one line, cut when it is long. */
export function shownKey(key: Buffer): string {
  const text = key.toString("latin1", 0, 64).replaceAll(/[^\x20-\x7e]/g, "?");
  return key.length > 64 ? `${text}...` : text;
}
