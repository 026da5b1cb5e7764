// node-greeting.ts: the first words on a connection to a node: what is said there, and what its answers tell. Pure.
import type { Credentials } from "../core/credentials.ts";
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand, type Protocol } from "../resp/encode.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../resp/value.ts";

/** A connection as its node knows it. */
export interface ConnectionIdentity {
  readonly id: number;
  readonly runId: string;
}

export interface Greeting {
  readonly protocol: Protocol;
  readonly credentials: Credentials | undefined;
  /** As CLIENT LIST names the connection. */
  readonly clientName: string;
  readonly db: number;
}

export interface Greeted {
  readonly identity: ConnectionIdentity;
  /** What the node called itself. */
  readonly isMaster: boolean;
}

/** HELLO (redis.io/commands/hello) says everything in one command; a dead or loading node answers it too. */
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

/** Reads the raw replies to greetingOf's commands, in their order; none of them is an error. */
export function greetedBy([hello, info]: readonly Buffer[]): Greeted {
  const said = hello === undefined ? [] : itemsOf(decodeReply(hello));
  const text = info === undefined ? undefined : textOf(decodeReply(info));
  const runId = /^run_id:(\S+)/m.exec(text ?? "")?.[1] ?? "";
  return {
    identity: { id: numberOf(fieldOf(said, "id")) ?? 0, runId },
    isMaster: textOf(fieldOf(said, "role")) === "master",
  };
}

/** HELLO's reply is field, value, field, value, by either protocol. */
function fieldOf(said: readonly RespValue[], field: string): RespValue | undefined {
  const at = said.findIndex((item) => textOf(item) === field);
  return at === -1 ? undefined : said[at + 1];
}
