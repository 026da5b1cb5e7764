// hash-twemproxy.test.ts: twemproxy's hashes proved against the real nutcracker: keys are written
// through it, and each must lie on the redis-server that builtinPartition names, and on no other.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { TWEMPROXY_HASHES, type TwemproxyHash } from "../../runtime/core/cluster.ts";
import type { Distribution } from "../../runtime/core/hash/distribution.ts";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis, until } from "../support/redis-server.ts";

// Five is prime and no power of two: a wrong bit anywhere in a hash shows in its remainder.
const SERVERS = 5;
const TAGS = [undefined, "{}"] as const;

type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Sends the commands in one go; resolves with their one-line replies. Binary-safe, and says
 * nothing unasked.
 */
async function ask(
  endpoint: Endpoint,
  commands: readonly (readonly Uint8Array[])[],
): Promise<string[]> {
  const socket = connect(endpoint);
  try {
    await once(socket, "connect");
    socket.write(Buffer.concat(commands.map(encode)));
    let text = "";
    for await (const chunk of socket) {
      text += (chunk as Buffer).toString("latin1");
      const lines = text.split("\r\n");
      if (lines.length > commands.length) return lines.slice(0, -1);
    }
    throw new Error(`closed after ${text.split("\r\n").length - 1} of ${commands.length} replies`);
  } finally {
    socket.destroy();
  }
}

function encode(command: readonly Uint8Array[]): Buffer {
  const parts = command.flatMap((part) => [
    Buffer.from(`$${part.length}\r\n`),
    part,
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([Buffer.from(`*${command.length}\r\n`), ...parts]);
}

async function isServing(path: string): Promise<boolean> {
  try {
    return (await ask({ path }, [[Buffer.from("PING")]]))[0] === "+PONG";
  } catch {
    return false;
  }
}

/** The same bytes on every run: xorshift32. */
function byteSource(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 11) & 0xff;
  };
}

/**
 * The empty key, every single byte, names as people write them, and bytes of all values in every
 * length from 1 to 40.
 */
function plainKeys(): Buffer[] {
  const nextByte = byteSource(2463534242);
  const single = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte));
  const names = Array.from({ length: 200 }, (_, at) => Buffer.from(`user:${at}:name`));
  const mixed = Array.from({ length: 400 }, (_, at) =>
    Buffer.from(Array.from({ length: 1 + (at % 40) }, nextByte)),
  );
  const high = Array.from({ length: 160 }, (_, at) =>
    Buffer.from(Array.from({ length: 1 + (at % 40) }, () => nextByte() | 0x80)),
  );
  return distinct([Buffer.alloc(0), ...single, ...names, ...mixed, ...high]);
}

function taggedKeys(): Buffer[] {
  const shapes = [
    "{t}",
    "a{t}b",
    "{}t",
    "{t",
    "t}",
    "}t{",
    "{}{t}",
    "{{t}}",
    "{t}{u}",
    "}{t}",
    "t",
  ];
  return distinct(
    ["1", "apple", "\xc3\xa9", "\xff\x80\x00"].flatMap((tag) =>
      shapes.map((shape) => Buffer.from(shape.replace("t", tag), "latin1")),
    ),
  );
}

function manyKeys(): Buffer[] {
  return Array.from({ length: 2000 }, (_, at) => Buffer.from(`item:${at}`));
}

function distinct(keys: readonly Buffer[]): Buffer[] {
  return [...new Map(keys.map((key) => [key.toString("latin1"), key])).values()];
}

/**
 * A pool per hash with and without tags, its servers named p0 to p4, and one whose servers have no
 * names.
 */
function configOf(folder: string, ports: readonly number[]): string {
  // nutcracker numbers its servers by name, not by their order in the file: the reverse order
  // shows it.
  const named = ports.map((port, at) => `127.0.0.1:${port}:1 p${at}`).reverse();
  const unnamed = ports.map((port) => `127.0.0.1:${port}:1`);
  const pools = TWEMPROXY_HASHES.flatMap((hash) =>
    TAGS.map((tag) => poolText(folder, poolOf(hash, tag), hash, named, tag)),
  );
  return [
    ...pools,
    poolText(folder, "unnamed", "crc32a", unnamed),
    ...TWEMPROXY_HASHES.map((hash) => ringText(folder, ports, hash, "ketama")),
    ringText(folder, ports, "md5", "modula"),
    poolText(folder, "unnamed-ring", "md5", unnamed).replace("modula", "ketama"),
  ].join("\n");
}

// The first one is so small that it gets no point of the ring.
const WEIGHTS = [1, 3, 50, 7, 260];

function ringText(
  folder: string,
  ports: readonly number[],
  hash: TwemproxyHash,
  distribution: "ketama" | "modula",
): string {
  const weighted = ports.map((port, at) => `127.0.0.1:${port}:${WEIGHTS[at]} p${at}`);
  return poolText(folder, `${hash}-${distribution}`, hash, weighted, "{}").replace(
    "distribution: modula",
    `distribution: ${distribution}`,
  );
}

function weightedAs(distribution: "ketama" | "modula"): Distribution {
  return {
    kind: distribution,
    servers: WEIGHTS.map((weight, at) => ({ name: `p${at}`, weight })),
  };
}

function poolText(
  folder: string,
  pool: string,
  hash: TwemproxyHash,
  servers: readonly string[],
  hashTag?: string,
): string {
  return [
    `${pool}:`,
    `  listen: ${join(folder, pool)}`,
    `  hash: ${hash}`,
    "  distribution: modula",
    ...(hashTag === undefined ? [] : [`  hash_tag: "${hashTag}"`]),
    "  redis: true",
    "  servers:",
    ...servers.map((server) => `    - ${server}`),
    "",
  ].join("\n");
}

function poolOf(hash: string, tag: string | undefined): string {
  return tag === undefined ? hash : `${hash}-tagged`;
}

describe.skipIf(isMissing("nutcracker", "redis-server"))("the real nutcracker", () => {
  const cleanUp = cleanUpAfterAll();
  let folder = "";
  let ports: number[] = [];
  let servers: Endpoint[] = [];

  beforeAll(async () => {
    const redises = await Promise.all(
      Array.from({ length: SERVERS }, () => startRedis([], cleanUp)),
    );
    ports = redises.map((redis) => redis.port);
    servers = ports.map((port) => ({ host: "127.0.0.1", port }));
    folder = await mkdtemp(join(tmpdir(), "twine-nutcracker-"));
    cleanUp(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "nutcracker.yml");
    await writeFile(file, configOf(folder, ports));
    const stats = ["-a", "127.0.0.1", "-s", String(await freePort())];
    const nutcracker = spawn("nutcracker", ["-c", file, "-m", "16384", ...stats], {
      stdio: "ignore",
    });
    cleanUp(async () => {
      if (nutcracker.exitCode !== null || nutcracker.signalCode !== null) return;
      const exit = once(nutcracker, "exit");
      nutcracker.kill("SIGKILL");
      await exit;
    });
    await until("nutcracker answers", () => isServing(join(folder, "unnamed")));
  });

  async function flushServers(): Promise<void> {
    await Promise.all(servers.map((server) => ask(server, [[Buffer.from("FLUSHALL")]])));
  }

  /**
   * Writes the keys through a pool; the servers that hold each of them, by their place in the
   * pool.
   */
  async function placesOf(pool: string, keys: readonly Buffer[]): Promise<number[][]> {
    await flushServers();
    const path = join(folder, pool);
    const value = Buffer.from("1");
    const replies = await ask(
      { path },
      keys.map((key) => [Buffer.from("SET"), key, value]),
    );
    expect(new Set(replies)).toEqual(new Set(["+OK"]));
    const held = await Promise.all(
      servers.map((server) =>
        ask(
          server,
          keys.map((key) => [Buffer.from("EXISTS"), key]),
        ),
      ),
    );
    return keys.map((_, at) =>
      servers.flatMap((__, server) => (held[server]?.[at] === ":1" ? [server] : [])),
    );
  }

  test.each(TWEMPROXY_HASHES)("puts keys by %s where twemproxy-%s says", async (hash) => {
    const keys = plainKeys();
    const partitionOf = builtinPartition(`twemproxy-${hash}`, SERVERS);
    const places = await placesOf(hash, keys);
    expect(places).toEqual(keys.map((key) => [partitionOf(key)]));
    // A hash that sent everything to one server would prove nothing.
    expect(new Set(places.flat()).size).toBe(SERVERS);
  });

  test.each(TWEMPROXY_HASHES)("puts keys with a hash tag by %s where Twine does", async (hash) => {
    const keys = [...taggedKeys(), ...plainKeys()];
    const partitionOf = builtinPartition(`twemproxy-${hash}`, SERVERS, "{}");
    expect(await placesOf(`${hash}-tagged`, keys)).toEqual(keys.map((key) => [partitionOf(key)]));
  });

  test.each(TWEMPROXY_HASHES)(
    "puts keys on the weighted ring by %s where Twine does",
    async (hash) => {
      const keys = [...plainKeys(), ...taggedKeys(), ...manyKeys()];
      const partitionOf = builtinPartition(
        `twemproxy-${hash}`,
        SERVERS,
        "{}",
        weightedAs("ketama"),
      );
      const places = await placesOf(`${hash}-ketama`, keys);
      expect(places).toEqual(keys.map((key) => [partitionOf(key)]));
      // The smallest weight has no point.
      expect(places.flat()).not.toContain(0);
    },
  );

  test("puts keys by weighted modulo where Twine does", async () => {
    const keys = manyKeys();
    const partitionOf = builtinPartition("twemproxy-md5", SERVERS, "{}", weightedAs("modula"));
    const places = await placesOf("md5-modula", keys);
    expect(places).toEqual(keys.map((key) => [partitionOf(key)]));
    expect(new Set(places.flat()).size).toBe(SERVERS);
  });

  test("puts keys on the ring of servers without names where Twine does", async () => {
    const keys = manyKeys();
    const names = ports.map((port) => `127.0.0.1:${port}`);
    const byName = names.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1));
    const partitionOf = builtinPartition("twemproxy-md5", SERVERS, undefined, {
      kind: "ketama",
      servers: byName.map((name) => ({ name, weight: 1 })),
    });
    const places = await placesOf("unnamed-ring", keys);
    expect(places).toEqual(keys.map((key) => [names.indexOf(byName[partitionOf(key)] ?? "")]));
    expect(new Set(places.flat()).size).toBe(SERVERS);
  });

  test("numbers servers without names by the length, then the text of host:port", async () => {
    const keys = plainKeys();
    const partitionOf = builtinPartition("twemproxy-crc32a", SERVERS);
    const names = ports.map((port) => `127.0.0.1:${port}`);
    const byName = names.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1));
    const places = keys.map((key) => [names.indexOf(byName[partitionOf(key)] ?? "")]);
    expect(await placesOf("unnamed", keys)).toEqual(places);
  });
});
