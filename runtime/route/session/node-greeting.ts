// node-greeting.ts: the first commands on a connection to a node, and their replies. Pure.
import type { Credentials } from "../../core/credentials.ts";
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../resp/value.ts";

/** Identifies a connection at its node. */
export interface ConnectionIdentity {
  readonly id: number;
  readonly runId: string;
}

export interface Greeting {
  readonly protocol: Protocol;
  readonly credentials: Credentials | undefined;
  /** The connection's name in CLIENT LIST. */
  readonly clientName: string;
  readonly db: number;
}

export interface Greeted {
  readonly identity: ConnectionIdentity;
  /** The role in HELLO's reply. */
  readonly isMaster: boolean;
}

/** HELLO (redis.io/commands/hello) does all of it in one command. A dead or loading node answers it too. */
export function greetingOf({ protocol, credentials, clientName, db }: Greeting): Buffer[] {
  const auth =
    credentials === undefined ? [] : ["AUTH", credentials.username, credentials.password];
  const commands = [
    encodeCommand(["HELLO", String(protocol), ...auth, "SETNAME", clientName]),
    encodeCommand(["INFO", "server"]),
  ];
  if (db !== 0) commands.push(encodeCommand(["SELECT", String(db)]));
  return commands;
}

/** Parses the raw replies to greetingOf's commands, in their order. None may be an error. */
export function greetedBy([hello, info]: readonly Buffer[]): Greeted {
  const said = hello === undefined ? [] : itemsOf(decodeReply(hello));
  const text = info === undefined ? undefined : textOf(decodeReply(info));
  const runId = /^run_id:(\S+)/m.exec(text ?? "")?.[1] ?? "";
  return {
    identity: { id: numberOf(fieldOf(said, "id")) ?? 0, runId },
    isMaster: textOf(fieldOf(said, "role")) === "master",
  };
}

/** Finds a field in HELLO's reply: field, value, field, value in both protocols. */
function fieldOf(said: readonly RespValue[], field: string): RespValue | undefined {
  const at = said.findIndex((item) => textOf(item) === field);
  return at === -1 ? undefined : said[at + 1];
}
