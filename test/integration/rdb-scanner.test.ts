// RDBs of real servers, every type and encoding: read without decoding a value, split by key, and loaded again.
import { describe, expect, test } from "vitest";
import { crc32 } from "node:zlib";
import { RdbCounts } from "../../runtime/replication/rdb/rdb-counts.ts";
import { RdbScanner, type RdbPiece } from "../../runtime/replication/rdb/rdb-scanner.ts";
import { splitRdbs, type SplitSource } from "../../runtime/replication/rdb/rdb-splitter.ts";
import {
  contentOf,
  fill,
  functionsOf,
  rdbOf,
  serverWith,
  versionOf,
} from "../support/rdb-content.ts";
import { rdbServers } from "../support/rdb-servers.ts";
import { seededRandom } from "../support/seeded-random.ts";

const SERVERS = rdbServers();

/** All pieces, with the RDB given in chunks of up to `sizeMax` bytes. */
function scan(rdb: Buffer, sizeMax: number, seed = 1): RdbPiece[] {
  const random = seededRandom(seed);
  const scanner = new RdbScanner();
  const pieces: RdbPiece[] = [];
  for (let at = 0; at < rdb.length;) {
    const size = 1 + Math.floor(random.next() * sizeMax);
    pieces.push(...scanner.push(rdb.subarray(at, at + size)));
    at += size;
  }
  scanner.finish();
  expect(scanner.position).toBe(rdb.length);
  return pieces;
}

const keysOf = (pieces: readonly RdbPiece[]): string[] =>
  pieces.flatMap((piece) =>
    piece.kind === "entry" ? [`${piece.db} ${piece.key.toString("latin1")}`] : [],
  );

function sourceOf(rdb: Buffer, name = "the source"): SplitSource {
  const chunks = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < rdb.length; at += 5000) {
      yield await Promise.resolve(rdb.subarray(at, at + 5000));
    }
  };
  return { name, chunks };
}

/** Outputs in memory. */
function memory(count: number): {
  outputs: { write(bytes: Buffer): Promise<void> }[];
  rdbs: () => Buffer[];
} {
  const parts = Array.from({ length: count }, (): Buffer[] => []);
  const outputs = parts.map((list) => ({
    write: (bytes: Buffer) => {
      list.push(Buffer.from(bytes));
      return Promise.resolve();
    },
  }));
  return { outputs, rdbs: () => parts.map((list) => Buffer.concat(list)) };
}

describe.each(SERVERS)("$name", ({ program, hasFieldExpiry }) => {
  test.skipIf(program === undefined)(
    "every key is found whatever the chunks, and the pieces are the RDB again",
    async () => {
      const server = await serverWith(program);
      const keyCount = await fill(server, hasFieldExpiry);
      const version = await versionOf(server);
      const rdb = await rdbOf(server);
      const content = await contentOf(server);
      const whole = scan(rdb, rdb.length * 2);
      expect(keysOf(whole).toSorted()).toEqual([...content.keys()].toSorted());
      expect(keysOf(whole)).toHaveLength(keyCount);
      for (const sizeMax of [3, 40, 70_000]) {
        const pieces = scan(rdb, sizeMax, sizeMax);
        expect(Buffer.concat(pieces.map(({ bytes }) => bytes)).equals(rdb)).toBe(true);
        expect(keysOf(pieces)).toEqual(keysOf(whole));
        const counts = new RdbCounts();
        counts.add(pieces);
        const figures = counts.figures();
        expect(figures).toMatchObject({
          keys: keyCount,
          keysWithExpiry: 2,
          bytes: rdb.length,
          serverVersion: version,
        });
        expect(figures.keysByDb).toEqual({ 0: keyCount - 1, 3: 1 });
        expect(figures.keysByType).toMatchObject({
          list: 3,
          set: 3,
          zset: 2,
          stream: 2,
          hash: hasFieldExpiry ? 4 : 2,
        });
      }
    },
  );

  test.skipIf(program === undefined)(
    "split into three and loaded, every value, expiry and function is the same",
    async () => {
      const server = await serverWith(program);
      await fill(server, hasFieldExpiry);
      const rdb = await rdbOf(server);
      const [magic] = scan(rdb, 1000);
      if (magic?.kind !== "magic") throw new Error("it does not begin with its magic");
      const { outputs, rdbs } = memory(3);
      const partitionOf = (key: Buffer): number => crc32(key) % 3;
      const report = await splitRdbs([sourceOf(rdb)], { format: magic, outputs, partitionOf });
      expect(report).toMatchObject({ misplaced: [], functionConflicts: [] });
      const together = new Map<string, string>();
      for (const [index, part] of rdbs().entries()) {
        const pieces = scan(part, 999);
        expect(keysOf(pieces)).toHaveLength(report.keys[index] ?? -1);
        const loaded = await serverWith(program, part);
        for (const [key, value] of await contentOf(loaded)) {
          expect(crc32(Buffer.from(key.slice(2), "latin1")) % 3).toBe(index);
          together.set(key, value);
        }
        expect(await functionsOf(loaded)).toEqual(await functionsOf(server));
      }
      expect(together).toEqual(await contentOf(server));
    },
  );
});

test("any flipped byte or early end is an error, and no chunk size hides it", async () => {
  const server = await serverWith(undefined);
  await fill(server, false);
  await server.call(
    "DEL",
    "large",
    "long-list",
    "long-set",
    "long-zset",
    "long-hash",
    "list-of-large",
  );
  const rdb = await rdbOf(server);
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const at = Math.floor(random.next() * rdb.length);
    const broken = Buffer.from(rdb);
    broken[at] = (broken[at] ?? 0) ^ (1 + Math.floor(random.next() * 255));
    expect(() => scan(broken, 1 + round * 10, round), `byte ${at}`).toThrow(/^byte \d+: /);
    expect(() => scan(rdb.subarray(0, at), 1 + round * 10, round)).toThrow(
      /there is nothing|ends in the middle/,
    );
  }
});
