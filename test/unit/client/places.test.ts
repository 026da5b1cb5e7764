// places.test.ts: where keys lie, by hashes that answer at once and by those that don't, and what is said when they fail.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { strayReply, withPlace, withPlaces } from "../../../runtime/client/places.ts";
import { examineTransaction } from "../../../runtime/client/transaction.ts";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { parseCommandTable } from "../../../runtime/route/command-table.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const TABLE = parseCommandTable(decodeReply(gunzipSync(readFileSync(fixture))));
const keys = ["a", "bb", "ccc"].map((key) => Buffer.from(key));
const command = (text: string): Buffer[] => text.split(" ").map((word) => Buffer.from(word));

/** What withPlaces told, and whether it told it at once. */
async function told(
  partitionOf: (key: Uint8Array) => number | Promise<number>,
): Promise<{ readonly said: string; readonly isAtOnce: boolean }> {
  const said: string[] = [];
  const partitioner = { partitionOf, close: () => Promise.resolve() };
  const later = withPlaces(
    keys,
    partitioner,
    (places) => said.push(places.join(" ")),
    (reply) => said.push(reply.toString()),
  );
  const isAtOnce = later === undefined && said.length === 1;
  await later;
  return { said: said.join(" and "), isAtOnce };
}

test("a hash that answers at once is used at once, another one when the last key is placed", async () => {
  expect(await told((key) => key.length)).toEqual({ said: "1 2 3", isAtOnce: true });
  const slow = (key: Uint8Array): Promise<number> => Promise.resolve(key.length);
  expect(await told(slow)).toEqual({ said: "1 2 3", isAtOnce: false });
});

test("a hash that fails is an error reply that says so, whichever way it fails", async () => {
  const failed = "-ERR twine: the hash of twine.conf failed: no\r\n";
  const throws = (): number => {
    throw new Error("no");
  };
  expect(await told(throws)).toEqual({ said: failed, isAtOnce: true });
  expect((await told(() => Promise.reject(new Error("no")))).said).toBe(failed);
});

test("one key alone is placed in the same ways", async () => {
  const said: string[] = [];
  const place = (partitionOf: () => number | Promise<number>): Promise<void> | undefined =>
    withPlace(
      Buffer.from("a"),
      { partitionOf, close: () => Promise.resolve() },
      (partition) => said.push(String(partition)),
      (reply) => said.push(reply.toString("latin1", 0, 10)),
    );
  expect(place(() => 1)).toBeUndefined();
  await place(() => Promise.resolve(2));
  await place(() => Promise.reject(new Error("no")));
  const fails = (): number => {
    throw new Error("no");
  };
  expect(place(fails)).toBeUndefined();
  expect(said).toEqual(["1", "2", "-ERR twine:", "-ERR twine:"].map((text) => text.slice(0, 10)));
});

test("keys that lie apart are told by the first two that do", () => {
  expect(strayReply(keys, [1, 1, 1])).toBeUndefined();
  expect(strayReply([], [])).toBeUndefined();
  expect(strayReply(keys, [1, 1, 2])?.toString()).toMatch(/'a' in 1, 'ccc' in 2; .*'hash-tag/);
});

test("a transaction is known by its keys, and reads only when every command does", () => {
  const examine = (...texts: string[]): unknown => {
    const found = examineTransaction(texts.map(command), { table: TABLE, partitions: 4 });
    if (found.refused !== undefined) return found.refused.toString();
    return [found.keys.map(String).join(" "), found.isRead];
  };
  expect(examine("get a", "mget b c")).toEqual(["a b c", true]);
  expect(examine("get a", "mset b 1 c 2", "blpop l 0")).toEqual(["a b c l", false]);
  expect(examine("get a", "dbsize")).toMatch(/'dbsize' is not supported: a transaction here/);
  expect(examine("get a", "get")).toMatch(/wrong number of arguments for 'get'/);
});
