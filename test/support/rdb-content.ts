// rdb-content.ts: keys of every type and encoding on a real server, and what a server holds in a form that can be compared.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import {
  openScratchServer,
  scanned,
  type ScratchServer,
} from "../../runtime/replication/scratch-server.ts";
import { numberOf, textOf } from "../../runtime/resp/value.ts";

/** A server over this RDB, or an empty one; closed with the test. */
export async function serverWith(
  program: string | undefined,
  rdb?: Buffer,
): Promise<ScratchServer> {
  // For digests of values. Redis 6.2 does not know the setting, and needs none.
  return opened(program, rdb, [["enable-debug-command", "local"]]).catch(() =>
    opened(program, rdb, []),
  );
}

async function opened(
  program: string | undefined,
  rdb: Buffer | undefined,
  settings: readonly (readonly [string, ...string[]])[],
): Promise<ScratchServer> {
  const folder = mkdtempSync(join(tmpdir(), "twine-rdb-"));
  if (rdb !== undefined) writeFileSync(join(folder, "dump.rdb"), rdb);
  const server = await openScratchServer({
    folder,
    loads: "the test's RDB",
    clock: systemClock,
    settings: [["repl-diskless-sync-delay", "0"], ...settings],
    ...(program === undefined ? {} : { program }),
  });
  onTestFinished(() => server.close());
  return server;
}

export async function rdbOf(server: ScratchServer): Promise<Buffer> {
  const { signal } = new AbortController();
  const options = { credentials: undefined, signal };
  const parts: Buffer[] = [];
  for await (const chunk of openRdbStream({ path: server.path }, options).chunks()) {
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

const times = (count: number, item: (at: number) => string[]): string[] =>
  Array.from({ length: count }, (_, at) => item(at)).flat();

/** Small and large values of every type, keys of every form; answers how many keys there are. */
export async function fill(server: ScratchServer, hasFieldExpiry: boolean): Promise<number> {
  const long = "a-key-that-repeats-".repeat(20);
  const commands: string[][] = [
    ["SET", "text", "value"],
    ["SET", "12345", "integer-like key"],
    ["SET", "-7", "1"],
    ["SET", "70000", "1000000"],
    ["SET", "2147483648", "beyond 32 bits"],
    ["SET", long, "a key that is compressed"],
    ["SET", "large", "x".repeat(300_000)],
    ["SET", "", "the empty key"],
    ["SET", "expires", "1", "PX", "100000000"],
    ["SETEX", "99", "100000", "both"],
    ["RPUSH", "list", ...times(5, (at) => [`${at}`])],
    ["RPUSH", "long-list", ...times(3000, (at) => [`item ${at} ${"y".repeat(at % 50)}`])],
    ["RPUSH", "list-of-large", "z".repeat(20_000), "small"],
    ["SADD", "numbers", "1", "2", "30000000000"],
    ["SADD", "set", "a", "b"],
    ["SADD", "long-set", ...times(2000, (at) => [`member ${at}`])],
    ["ZADD", "zset", "1", "a", "2.5", "b", "inf", "c", "-inf", "d"],
    ["ZADD", "long-zset", ...times(2000, (at) => [`${at / 3}`, `member ${at}`])],
    ["HSET", "hash", "f", "v"],
    ["HSET", "long-hash", ...times(2000, (at) => [`field ${at}`, `value ${at}`])],
    ["PFADD", "hll", ...times(100, (at) => [`${at}`])],
    ...times(250, (at) => [`${at}`]).map((at) => ["XADD", "stream", "*", "n", at, "m", "x"]),
    ["XGROUP", "CREATE", "stream", "group", "0"],
    ["XGROUP", "CREATE", "stream", "other", "$"],
    ["XREADGROUP", "GROUP", "group", "c1", "COUNT", "30", "STREAMS", "stream", ">"],
    ["XREADGROUP", "GROUP", "group", "c2", "COUNT", "3", "STREAMS", "stream", ">"],
    ["XADD", "emptied", "1-1", "a", "b"],
    ["XDEL", "emptied", "1-1"],
    ...(hasFieldExpiry
      ? [
          ["HSET", "hash-expiring", "f", "v", "g", "w"],
          ["HPEXPIRE", "hash-expiring", "100000000", "FIELDS", "1", "f"],
          ["HSET", "long-hash-expiring", ...times(600, (at) => [`field ${at}`, `${at}`])],
          ["HPEXPIRE", "long-hash-expiring", "100000000", "FIELDS", "2", "field 3", "field 4"],
        ]
      : []),
    ["SELECT", "3"],
    ["SET", "text", "in another database"],
    ["SELECT", "0"],
  ];
  await Promise.all(commands.map((words) => server.call(...words)));
  await server.call("FUNCTION", "LOAD", LIBRARY).catch(() => undefined);
  return (numberOf(await server.call("DBSIZE")) ?? 0) + 1;
}

const LIBRARY = "#!lua name=lib\nredis.register_function('f', function(k, a) return 1 end)";

/** "DB KEY" -> its expiry and a digest of its value. */
export async function contentOf(server: ScratchServer): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const db of [0, 3]) {
    await server.call("SELECT", String(db));
    let cursor = "0";
    do {
      const step = scanned(await server.call("SCAN", cursor, "COUNT", "1000"));
      ({ cursor } = step);
      for (const key of step.keys) {
        const [digest, ttl] = await Promise.all([
          server.call("DEBUG", "DIGEST-VALUE", key),
          server.call("PTTL", key),
        ]);
        const expires = (numberOf(ttl) ?? -1) >= 0 ? "expires" : "stays";
        const name = `${db} ${key.toString("latin1")}`;
        content.set(name, `${expires} ${JSON.stringify(digest, jsonOf)}`);
      }
    } while (cursor !== "0");
  }
  await server.call("SELECT", "0");
  return content;
}

function jsonOf(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

export async function functionsOf(server: ScratchServer): Promise<string> {
  const list = await server.call("FUNCTION", "LIST").catch(() => undefined);
  return list === undefined ? "none" : JSON.stringify(list, jsonOf);
}

export async function versionOf(server: ScratchServer): Promise<string> {
  const info = textOf(await server.call("INFO", "server")) ?? "";
  return (/^valkey_version:(\S+)/m.exec(info) ?? /^redis_version:(\S+)/m.exec(info))?.[1] ?? "";
}
