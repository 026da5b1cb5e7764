// pause-writes.test.ts: the writes of a master that hands over are paused when nobody is in WAIT any more, on real servers.
import { describe, expect, test } from "vitest";
import { hasWaiter, pauseWrites } from "../../runtime/monitor/act/pause-writes.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";

async function masterWithReplica() {
  const master = await startRedis(["repl-diskless-sync-delay 0"]);
  const link = await master.link();
  await startRedis([`replicaof 127.0.0.1 ${master.port}`]);
  await until("the replica is in sync", async () => {
    await link.call("SET", "sync", "1");
    return (await link.call("WAIT", 1, 100)) === 1;
  });
  return { master, link };
}

const clients = (link: { call(...words: [string, ...string[]]): Promise<unknown> }) =>
  link.call("CLIENT", "LIST", "TYPE", "normal") as Promise<string>;

describe.skipIf(isMissing("redis-server"))("pausing the writes of a master that hands over", () => {
  test("who waits for replicas is told their number, and not cut off when the master steps down", async () => {
    const { master, link } = await masterWithReplica();
    const writer = await master.link();
    for (let round = 0; round < 20; round++) {
      // As when the pause comes in the turn in which the write and its WAIT were read: no replica is asked.
      await writer.call("SET", "a", String(round));
      await link.call("CLIENT", "PAUSE", "4000", "WRITE");
      let isAnswered = false;
      const waiting = writer.call("WAIT", 1, 0).finally(() => (isAnswered = true));
      await until("it waits", async () => isAnswered || hasWaiter(await clients(link)));
      await pauseWrites(link, systemClock, { forMs: 4000, waitersFirst: true });
      expect(hasWaiter(await clients(link))).toBe(false);
      expect(await waiting).toBe(1);
      await link.call("CLIENT", "UNPAUSE");
    }
  });

  test("who waits for replicas that don't exist is not waited for, and the pause stands", async () => {
    const { master, link } = await masterWithReplica();
    const [waiter, writer] = [await master.link(), await master.link()];
    await waiter.call("SET", "a", "1");
    const waiting = waiter.call("WAIT", 7, 5000).catch(String);
    await until("it waits", async () => hasWaiter(await clients(link)));
    const pause = await pauseWrites(link, systemClock, { forMs: 4000, waitersFirst: true });
    expect(pause.untilMs).toBeGreaterThan(pause.sinceMs);
    const written = writer.call("SET", "b", "1");
    await until("the write is held", async () =>
      (await clients(link)).split("\n").some((line) => /flags=b.* cmd=set/.test(line)),
    );
    await link.call("CLIENT", "UNPAUSE");
    expect(await written).toBe("OK");
    expect(hasWaiter(await clients(link))).toBe(true);
    await link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    expect(await waiting).toMatch(/closed|ended|broke/i);
  });
});
