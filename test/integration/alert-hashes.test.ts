// What was mailed, kept on real status nodes by alphas that take turns; and how the entries are numbered.
import { expect, onTestFinished, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openSharedHashes, type SharedHashes } from "../../runtime/register/shared-hashes.ts";
import { startRedis } from "../support/redis-server.ts";

async function statusNodes() {
  const nodes = [await startRedis(), await startRedis(), await startRedis()];
  const lines = nodes.map(({ port }, at) => `s${at + 1}=status localhost ${port} 0`);
  const text = ["cluster test", "a1=data 0 localhost 1 0", "m1=monitor localhost 2", ...lines];
  const { config } = parseConf(text.join("\n"), "twine.conf");
  if (config === undefined) throw new Error("the test's twine.conf is wrong");
  const hashes = (): SharedHashes => {
    const opened = openSharedHashes({
      config,
      user: "monitor",
      password: undefined,
      clock: systemClock,
      openLink: openRedisLink,
    });
    onTestFinished(() => opened.close());
    return opened;
  };
  return { nodes, hashes };
}

test("the newest record of mails wins, whoever wrote it and whichever status node was away", async () => {
  const { nodes, hashes } = await statusNodes();
  const [first, second] = [hashes(), hashes()];
  expect(await first.readMailed()).toBeNull();
  await first.writeMailed('{"by":"first","incidents":[]}');
  expect(await second.readMailed()).toBe('{"by":"first","incidents":[]}');
  for (const turn of [1, 2, 3]) await second.writeMailed(`{"turn":${turn},"incidents":[]}`);
  // The first alpha leads again, and one node misses what it writes.
  const [away] = nodes;
  const link = await away?.link();
  const kept = await link?.call("HGET", "test:mailed", "book");
  if (typeof kept !== "string") throw new Error("nothing was kept");
  await first.writeMailed('{"by":"first again","incidents":[]}');
  await link?.call("HSET", "test:mailed", "book", kept);
  expect(await second.readMailed()).toBe('{"by":"first again","incidents":[]}');
});

const LAST = 2 ** 50;

test.each(["m1", "m9"])(
  "a number as high as it may be, which somebody wrote under %s, does not silence a monitor that starts",
  async (field) => {
    const { nodes, hashes } = await statusNodes();
    const observed = (of: string): string =>
      JSON.stringify({ sequence: of, confDigest: "d", suspects: [] });
    for (const node of nodes) {
      const link = await node.link();
      await link.call("HSET", "test:observed", field, `${LAST} ${observed("foreign")}`);
    }
    const [writer, reader] = [hashes(), hashes()];
    for (const turn of ["1", "2"]) {
      await writer.writeObserved("m1", observed(turn));
      expect((await reader.readObserved()).get("m1")).toBe(observed(turn));
    }
    expect(reader.malformed()).toEqual([]);
  },
);

test("a record of mails with a number as high as it may be is followed by the next one", async () => {
  const { nodes, hashes } = await statusNodes();
  for (const node of nodes) {
    const link = await node.link();
    await link.call("HSET", "test:mailed", "book", `${LAST} {"by":"foreign","incidents":[]}`);
  }
  const [writer, reader] = [hashes(), hashes()];
  await writer.writeMailed('{"by":"writer","incidents":[]}');
  expect(await reader.readMailed()).toBe('{"by":"writer","incidents":[]}');
  expect(reader.malformed()).toEqual([]);
});
