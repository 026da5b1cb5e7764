// session-client.ts: CLIENT and its subcommands, for the router's own clients. Pure.
// https://redis.io/docs/latest/commands/client-list/ and its neighbours
import { encodeReply, errorReply, OK_REPLY, type Protocol } from "../../resp/encode.ts";
import type { RespValue } from "../../resp/value.ts";
import { isWord } from "../commands/keys.ts";
import type { ClientFacts, Replies, SessionContext, SessionState } from "./session-state.ts";
import {
  byteError,
  refusal,
  shownText,
  unknownSubcommand,
  wrongArity,
} from "../replies/wire-errors.ts";

export interface ClientAnswer {
  readonly reply: Buffer;
  readonly changed?: Partial<SessionState>;
  /** Set only by CLIENT REPLY. */
  readonly replies?: Replies;
}

const NO_REPLY = Buffer.alloc(0);
const SYNTAX_ERROR = errorReply("ERR syntax error");
export const BAD_NAME: Buffer = errorReply(
  "ERR Client names cannot contain spaces, newlines or special characters.",
);

/** Number of arguments with CLIENT and the subcommand; negative: at least that many. */
const ARITIES: Readonly<Record<string, number>> = {
  id: 2,
  getname: 2,
  setname: 3,
  setinfo: 4,
  info: 2,
  list: -2,
  reply: 3,
  "no-evict": 3,
  "no-touch": 3,
  capa: -3,
  help: 2,
};

const NO_OTHERS = "it reaches into the connections of other clients";
const NO_TRACKING = "a router does not hear of every change that invalidates a value";
const REFUSED: Readonly<Record<string, string>> = {
  kill: NO_OTHERS,
  pause: NO_OTHERS,
  unpause: NO_OTHERS,
  unblock: NO_OTHERS,
  tracking: NO_TRACKING,
  trackinginfo: NO_TRACKING,
  caching: NO_TRACKING,
  getredir: NO_TRACKING,
};

/** Why that subcommand is refused; undefined if it is executed or unknown. `sub` is lower case. */
export function refusedClientReason(sub: string): string | undefined {
  return REFUSED[sub];
}

/** `args` begins with CLIENT. */
export function answerClient(
  state: SessionState,
  args: readonly Buffer[],
  context: SessionContext,
): ClientAnswer {
  const sub = args[1]?.toString("latin1", 0, 128).toLowerCase() ?? "";
  const reason = REFUSED[sub];
  if (reason !== undefined) return { reply: refusal(`client ${sub}`, reason) };
  const arity = ARITIES[sub];
  if (arity === undefined) return { reply: unknownSubcommand("client", args[1]) };
  const fits = arity < 0 ? args.length >= -arity : args.length === arity;
  if (!fits) return { reply: wrongArity(`client|${sub}`) };
  switch (sub) {
    case "id":
      return { reply: Buffer.from(`:${state.id}\r\n`) };
    case "getname":
      return { reply: nameReply(state) };
    case "setname": {
      const name = args[2]?.toString("latin1") ?? "";
      return isPlainName(name) ? { reply: OK_REPLY, changed: { name } } : { reply: BAD_NAME };
    }
    case "setinfo":
      return setInfo(args);
    case "info":
      return { reply: lines(infoLine(state, context.self), state.protocol) };
    case "list":
      return { reply: list(state, args, context) };
    case "reply":
      return replies(args[2]);
    case "help":
      return { reply: HELP };
    case "capa":
      // The client's capabilities beyond the protocol: none is used here.
      return { reply: OK_REPLY };
    default:
      // NO-EVICT, NO-TOUCH: a router evicts no client, and its nodes see one connection for many clients.
      return { reply: isSwitch(args[2]) ? OK_REPLY : SYNTAX_ERROR };
  }
}

function isSwitch(word: Buffer | undefined): boolean {
  return isWord(word, "on") || isWord(word, "off");
}

export function isPlainName(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

function nameReply({ name, protocol }: SessionState): Buffer {
  const value: RespValue =
    name === ""
      ? { type: "null", of: "any" }
      : { type: "bulk", bytes: Buffer.from(name, "latin1") };
  return encodeReply(value, protocol);
}

function setInfo(args: readonly Buffer[]): ClientAnswer {
  const value = args[3]?.toString("latin1") ?? "";
  const shown = shownText(args[2], 64);
  if (!isPlainName(value)) {
    const why = `ERR ${shown} cannot contain spaces, newlines or special characters.`;
    return { reply: byteError(why) };
  }
  if (isWord(args[2], "lib-name")) return { reply: OK_REPLY, changed: { libName: value } };
  if (isWord(args[2], "lib-ver")) return { reply: OK_REPLY, changed: { libVersion: value } };
  return { reply: byteError(`ERR Unrecognized option '${shown}'`) };
}

/** OFF and SKIP get no reply. https://redis.io/docs/latest/commands/client-reply/ */
function replies(mode: Buffer | undefined): ClientAnswer {
  if (isWord(mode, "on")) return { reply: OK_REPLY, replies: "on" };
  if (isWord(mode, "off")) return { reply: NO_REPLY, replies: "off" };
  return isWord(mode, "skip") ? { reply: NO_REPLY, replies: "skip" } : { reply: SYNTAX_ERROR };
}

/** CLIENT LIST [TYPE type] or [ID id ...]. */
function list(state: SessionState, args: readonly Buffer[], context: SessionContext): Buffer {
  const clients = [...(context.clients?.() ?? [{ state, ageSeconds: 0, idleSeconds: 0 }])];
  const text = (chosen: readonly ClientFacts[]): Buffer =>
    lines(chosen.map((one) => infoLine(one.state, one)).join(""), state.protocol);
  if (args.length === 2) return text(clients);
  if (args.length === 4 && isWord(args[2], "type")) {
    const type = shownText(args[3], 64);
    // The protocol's old word for a replica is still a valid type.
    if (!/^(normal|master|replica|slave|pubsub)$/i.test(type)) {
      return byteError(`ERR Unknown client type '${type}'`);
    }
    return text(clients.filter((one) => typeOf(one.state) === type.toLowerCase()));
  }
  if (args.length > 3 && isWord(args[2], "id")) {
    const ids = args.slice(3).map((id) => Number(id.toString("latin1")));
    if (!ids.every((id) => Number.isSafeInteger(id) && id > 0)) {
      return errorReply("ERR Invalid client ID");
    }
    return text(clients.filter((one) => ids.includes(one.state.id)));
  }
  return SYNTAX_ERROR;
}

function typeOf(state: SessionState): string {
  return (state.subscriptions ?? 0) > 0 ? "pubsub" : "normal";
}

/** RESP3 returns these lines as verbatim text, as Redis does. */
function lines(text: string, protocol: Protocol): Buffer {
  return encodeReply({ type: "verbatim", format: "txt", bytes: Buffer.from(text) }, protocol);
}

/** The client's line in CLIENT INFO and CLIENT LIST, with its newline. It has Redis's fields, because clients parse them
    by name; fields without a meaning here are 0. */
export function infoLine(
  state: SessionState,
  { ageSeconds, idleSeconds }: Omit<ClientFacts, "state"> = { ageSeconds: 0, idleSeconds: 0 },
): string {
  const channels = state.subscriptions ?? 0;
  return (
    `id=${state.id} addr=${state.address} laddr=${state.localAddress} fd=0 name=${state.name} ` +
    `age=${ageSeconds} idle=${idleSeconds} flags=${channels > 0 ? "P" : "N"} db=0 ` +
    `sub=${channels} psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 ` +
    `rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client user=${state.user} redir=-1 ` +
    `resp=${state.protocol} lib-name=${state.libName} lib-ver=${state.libVersion}\n`
  );
}

const HELP = encodeReply(
  {
    type: "array",
    items: [
      "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GETNAME",
      "    Return the name of the current connection.",
      "HELP",
      "    Print this help.",
      "ID",
      "    Return the ID of the current connection at this router.",
      "INFO",
      "    Return information about the current client connection.",
      "LIST [TYPE <type> | ID <id> ...]",
      "    Return information about the clients of this router.",
      "NO-EVICT (ON|OFF)",
      "    Accepted: a router evicts no client.",
      "NO-TOUCH (ON|OFF)",
      "    Accepted without effect.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETINFO (LIB-NAME|LIB-VER) <value>",
      "    Set what the client's library is.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
    ].map((text) => ({ type: "simple", text })),
  },
  2,
);
