import { expect, test } from "vitest";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";
import type { OpenLink, RedisReply } from "../../../runtime/ports/redis-link.ts";
import { openSharedHashes, type SharedHashes } from "../../../runtime/register/shared-hashes.ts";

const CONF = `
a1=data 0 h1 7001 0
s1=status h1 7101 0
s2=status h2 7102 0
s3=status h3 7103 0
m1=monitor h1 7201
m2=monitor h2 7202
`;

/** Three status nodes, as far as shared hashes need them: hashes by port, and ports that are away. */
function threeHashes() {
  const hashes = new Map<number, Map<string, string>>();
  const away = new Set<number>();
  const execute = (port: number, command: string, args: readonly string[]): RedisReply => {
    // Of the scripts only the reading one is needed here: no entry of these tests is malformed.
    const hash = hashes.get(port) ?? new Map<string, string>();
    hashes.set(port, hash);
    if (command === "EVAL") return [[...hash].flat(), []];
    if (command !== "HSET") return null;
    for (let index = 1; index + 1 < args.length; index += 2) {
      hash.set(args[index] ?? "", args[index + 1] ?? "");
    }
    return args.length;
  };
  const openLink: OpenLink = ({ port }) =>
    Promise.resolve({
      call: (command, ...args) =>
        away.has(port)
          ? Promise.reject(new Error("away"))
          : Promise.resolve(execute(port, command, args.map(String))),
      subscribe: () => Promise.reject(new Error("nobody asks for that here")),
      onClose: () => undefined,
      close: () => undefined,
      isOpen: true,
    });
  return { away, openLink };
}

function hashesOver(openLink: OpenLink): SharedHashes {
  const { config } = parseConf(CONF, "twine.conf");
  if (config === undefined) throw new Error("the conf of this test has errors");
  return openSharedHashes({
    config,
    password: undefined,
    clock: systemClock,
    openLink,
    user: "monitor",
  });
}

const offsetOf = (offset: number): ReadonlyMap<string, string> =>
  new Map([["a1", JSON.stringify({ replicationId: "r", offset, keys: 1 })]]);

test("what an alpha that leads again records outweighs what the alpha between left on a node that was away", async () => {
  // Method: m1 leads, m2 leads for longer, m1 leads again while s3 is away; then s3 is back with m2's last record.
  const { away, openLink } = threeHashes();
  const [m1, m2] = [hashesOver(openLink), hashesOver(openLink)];
  await m1.writeOffsets(1, offsetOf(10));
  for (const offset of [20, 21, 22, 23]) await m2.writeOffsets(2, offsetOf(offset));
  away.add(7103);
  await m1.writeOffsets(3, offsetOf(30));
  away.clear();
  const reader = hashesOver(openLink);
  expect(await reader.readOffsets()).toEqual(offsetOf(30));
  for (const hashes of [m1, m2, reader]) await hashes.close();
});

test("a record goes on above what an earlier version of Twine has left, which counted without epochs", async () => {
  const { away, openLink } = threeHashes();
  const hashes = hashesOver(openLink);
  const link = await openLink({ host: "h3", port: 7103 }, { connectTimeoutMs: 1 });
  await link.call("HSET", "twine:offsets", "a1", '86400 {"replicationId":"r","offset":5,"keys":1}');
  away.add(7103);
  await hashes.writeOffsets(1, offsetOf(6));
  away.clear();
  expect(await hashes.readOffsets()).toEqual(offsetOf(6));
  await hashes.close();
});
