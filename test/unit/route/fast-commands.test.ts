// fast-commands.test.ts: the short way gives what the long way would give.
import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { parseCommandTable } from "../../../runtime/route/commands/command-table.ts";
import { decide } from "../../../runtime/route/decide.ts";
import { FastCommands, ONE_KEY } from "../../../runtime/route/commands/fast-commands.ts";

const file = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(file))));
const hot = new FastCommands(table);

function find(name: string, count: number): ReturnType<FastCommands["find"]> {
  const bytes = Buffer.from(`..${name}..`);
  return hot.find(bytes, 2, 2 + name.length, count);
}

test("every hot command with any arguments is decided as the long way decides it", () => {
  let hotCount = 0;
  for (const spec of table.values()) {
    for (let count = 1; count < 9; count++) {
      const command = find(spec.name, count);
      if (command === undefined) continue;
      hotCount++;
      const words = ["block", "streams", "store", "by", "get", "db", "nx", "2"];
      for (const word of words) {
        const args = [spec.name, ...Array.from({ length: count - 1 }, () => word)];
        const decision = decide(
          args.map((arg) => Buffer.from(arg)),
          { table, partitions: 3 },
        );
        const { isRead } = command;
        if (command.kind === ONE_KEY)
          expect(decision).toEqual({ kind: "forward", keys: [1], isRead });
        else expect(decision).toEqual({ ...command.shape, kind: "split" });
      }
    }
  }
  expect(hotCount).toBeGreaterThan(400);
});

test("names are found in any case, and nothing else is", () => {
  expect(find("gEt", 2)?.name.toString()).toBe("get");
  expect(find("GET", 3)).toBeUndefined();
  expect(find("MSET", 4)).toBeUndefined();
  expect(find("GE", 2)).toBeUndefined();
  expect(find("SORT", 2)).toBeUndefined();
  expect(find("BLPOP", 3)).toBeUndefined();
  expect(find("nonsense", 2)).toBeUndefined();
  expect(find("", 2)).toBeUndefined();
});
