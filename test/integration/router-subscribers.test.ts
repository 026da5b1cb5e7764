// router-subscribers.test.ts: hundreds of subscribers that don't read cost a bounded amount of memory together, and it is
// given back when they have gone. Each alone is far below its own bound.
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import type { RawClient } from "../support/router-cluster.ts";
import { RouterProcess } from "../support/router-process.ts";

const SUBSCRIBERS = 300;
const BOUND_MB = 256;
const MESSAGE = "x".repeat(250_000);
const CLOSED = "clients leave too much unread: the slowest one is closed";

async function residentMb({ child }: RouterProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid ?? 0}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function subscribe(router: RouterProcess): Promise<RawClient> {
  const client = await router.client();
  expect(await client.call("SUBSCRIBE news")).toContain("subscribe");
  return client;
}

describe.skipIf(isMissing("redis-server") || process.platform !== "linux")("subscribers", () => {
  test("that don't read are bounded together, and their memory is given back", async () => {
    const settings = [`output-bytes-total ${BOUND_MB}mb`];
    const router = await RouterProcess.start({ partitions: 1, settings });
    const [reader, publisher] = [await subscribe(router), await router.client()];
    const slow: RawClient[] = [];
    while (slow.length < SUBSCRIBERS) slow.push(await subscribe(router));
    for (const { socket } of slow) socket.pause();
    const closedCount = (): number => router.log.split(CLOSED).length - 1;
    const beforeMb = await residentMb(router);
    let count = 0;
    // The system itself takes a few megabytes for each before anything waits in the router.
    while (closedCount() < SUBSCRIBERS / 2) {
      expect(await publisher.callArgs(["PUBLISH", "news", MESSAGE])).toMatch(/^:[1-9]/);
      expect(await reader.reply()).toContain(MESSAGE);
      // Bounded one by one they would take forty times as much.
      expect((await residentMb(router)) - beforeMb).toBeLessThan(BOUND_MB * 3);
      expect(++count).toBeLessThan(400);
    }
    for (const { socket } of slow) socket.destroy();
    // The C library keeps some of it for later: less than what was there together.
    await until("the memory is given back", async () => {
      expect(await publisher.callArgs(["PUBLISH", "news", MESSAGE])).toMatch(/^:[1-9]/);
      expect(await reader.reply()).toContain(MESSAGE);
      return (await residentMb(router)) - beforeMb < BOUND_MB;
    });
  });
});
