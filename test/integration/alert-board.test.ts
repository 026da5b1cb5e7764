// What was mailed, kept on real status nodes by alphas that take turns.
import { expect, onTestFinished, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { createNoticeBoard, type NoticeBoard } from "../../runtime/register/notice-board.ts";
import { startRedis } from "../support/redis-server.ts";

test("the newest record of mails wins, whoever wrote it and whichever status node was away", async () => {
  const nodes = [await startRedis(), await startRedis(), await startRedis()];
  const lines = nodes.map(({ port }, at) => `s${at + 1}=status localhost ${port} 0`);
  const text = ["cluster test", "a1=data 0 localhost 1 0", "m1=monitor localhost 2", ...lines];
  const { config } = parseConf(text.join("\n"), "twine.conf");
  if (config === undefined) throw new Error("the test's twine.conf is wrong");
  const board = (): NoticeBoard => {
    const opened = createNoticeBoard({
      config,
      user: "monitor",
      password: undefined,
      clock: systemClock,
      openLink: openRedisLink,
    });
    onTestFinished(() => opened.close());
    return opened;
  };
  const [first, second] = [board(), board()];
  expect(await first.readMailed()).toBeNull();
  await first.writeMailed('{"by":"first"}');
  expect(await second.readMailed()).toBe('{"by":"first"}');
  for (const turn of [1, 2, 3]) await second.writeMailed(`{"turn":${turn}}`);
  // The first alpha leads again, and one node misses what it writes.
  const [away] = nodes;
  const link = await away?.link();
  const kept = await link?.call("HGET", "test:mailed", "book");
  if (typeof kept !== "string") throw new Error("nothing was kept");
  await first.writeMailed('{"by":"first again"}');
  await link?.call("HSET", "test:mailed", "book", kept);
  expect(await second.readMailed()).toBe('{"by":"first again"}');
});
