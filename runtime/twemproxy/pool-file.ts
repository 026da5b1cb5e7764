// pool-file.ts: nutcracker.yml: who its servers are, and the same text with other masters. Pure.
// Only the servers' addresses change: settings and comments, also those that a person wrote, stay as they are.
import {
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Document,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { TwineError } from "../core/errors.ts";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface PoolServer extends ServerAddress {
  readonly weight: number;
  /** Empty when the line has none. */
  readonly name: string;
}

/** A nutcracker.yml is short; a longer file is something else. */
export const POOL_FILE_BYTES_MAX = 1024 ** 2;

/**
 * The servers of the one pool in `text`, in their order. `path` only names the file.
 * Throws POOL_UNREADABLE for anything that is not the whole of such a file.
 */
export function readServers(text: string, path: string): PoolServer[] {
  return serversOf(parsed(text, path), path).items.map((item, index) => {
    const line = isScalar(item) ? String(item.value) : "";
    const server = serverIn(line);
    if (server !== undefined) return server;
    throw unreadable(
      path,
      `server ${index + 1} of its pool, '${line.slice(0, 80)}', is not HOST:PORT:WEIGHT NAME`,
    );
  });
}

/** The same text with these addresses, one for each server, in their order. Throws POOL_UNREADABLE. */
export function withServers(
  text: string,
  path: string,
  addresses: readonly ServerAddress[],
): string {
  const before = readServers(text, path);
  if (before.length !== addresses.length) {
    throw unreadable(
      path,
      `its pool has ${before.length} servers, and there are ${addresses.length} partitions`,
    );
  }
  const document = parsed(text, path);
  const servers = serversOf(document, path);
  for (const [index, { weight, name }] of before.entries()) {
    const { host, port } = addresses[index] ?? { host: "", port: 0 };
    servers.set(index, [`${host}:${port}:${weight}`, name].join(" ").trim());
  }
  return document.toString({ lineWidth: 0 });
}

/**
 * The same text with a password that counts: its own as long as that is one of `passwords`, then the first. twemproxy has one
 * password for its clients and its servers, so a change is a restart, and comes as late as possible. Throws POOL_UNREADABLE.
 */
export function withPassword(text: string, path: string, passwords: readonly string[]): string {
  const [first] = passwords;
  if (first === undefined) return text;
  const document = parsed(text, path);
  const pool = poolOf(document, path);
  const present: unknown = pool.get("redis_auth");
  // Without quotes it may be a number.
  const isKnown = typeof present === "string" || typeof present === "number";
  if (isKnown && passwords.includes(String(present))) return text;
  pool.set("redis_auth", first);
  return document.toString({ lineWidth: 0 });
}

/** The same text for a file that more users may read. Throws POOL_UNREADABLE. */
export function withoutPassword(text: string, path: string): string {
  const document = parsed(text, path);
  const pool = poolOf(document, path);
  if (!pool.has("redis_auth")) return text;
  pool.delete("redis_auth");
  return document.toString({ lineWidth: 0 });
}

export function isSameAddress(a: ServerAddress | undefined, b: ServerAddress | undefined): boolean {
  return a?.host === b?.host && a?.port === b?.port;
}

export function printAddress({ host, port }: ServerAddress): string {
  return `${host}:${port}`;
}

function serverIn(line: string): PoolServer | undefined {
  const [, host = "", port = "", weight = "", name = ""] =
    /^(\S+):(\d{1,5}):(\d{1,7})(?: +(\S+))?$/.exec(line.trim()) ?? [];
  const number = Number(port);
  if (host === "" || number < 1 || number > 65_535) return undefined;
  return { host, port: number, weight: Number(weight), name };
}

function parsed(text: string, path: string): Document {
  const document = parseDocument(text, { maxAliasCount: 0 } as object);
  const [error] = document.errors;
  if (error !== undefined) throw unreadable(path, error.message.split("\n")[0] ?? "no YAML");
  return document;
}

function serversOf(document: Document, path: string): YAMLSeq {
  const servers: unknown = poolOf(document, path).get("servers");
  if (isSeq(servers)) return servers;
  throw unreadable(path, "its pool has no servers; perhaps the file is only half written");
}

function poolOf(document: Document, path: string): YAMLMap {
  const pools = isMap(document.contents) ? document.contents.items : [];
  const [pool] = pools;
  if (pools.length !== 1 || pool === undefined || !isMap(pool.value)) {
    throw unreadable(path, `it has ${pools.length} pools, and Twine writes one`);
  }
  return pool.value;
}

function unreadable(path: string, why: string): TwineError {
  return new TwineError({
    code: "POOL_UNREADABLE",
    message: `${path} is no whole nutcracker.yml: ${why}`,
    remedy:
      "twine-setup --overwrite writes it anew; a file that somebody else writes must be written whole",
  });
}
