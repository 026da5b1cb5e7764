// reshard-verify.test.ts: twine-reshard compares every key before its switch, under writers, and refuses to switch what differs.
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinRouting } from "../../runtime/core/routing.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { CountedWriter } from "../support/counted-writer.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { ReshardCluster } from "../support/reshard-cluster.ts";

const LIMIT_MS = 240_000;

async function startUnderWriters(): Promise<{ cluster: ReshardCluster; writer: CountedWriter }> {
  const lines = ["redis repl-backlog-size 64mb"];
  const two = { partitions: 2, lines: [] };
  const cluster = await ReshardCluster.start(two, { partitions: 3, lines: [] }, lines);
  onTestFinished(() => cluster.remove());
  // Sets and hashes with hash tables: RESTORE orders them in another way, so their bytes differ.
  const members = Array.from({ length: 600 }, (_, at) => [`m${at}`, `${at}`]).flat();
  for (let at = 0; at < 20; at++) {
    await cluster.old.ask("r1", "SADD", `set:${at}`, ...members);
    await cluster.old.ask("r1", "HSET", `hash:${at}`, ...members);
    await cluster.old.ask("r1", "SET", `text:${at}`, "text", "EX", `${at + 1}`);
  }
  await cluster.old.ask("r1", "RPUSH", "shortened", "a", "b", "c");
  const writer = new CountedWriter(cluster.port("r1"), 3, 40);
  onTestFinished(() => writer.stop());
  await until("the writers write", () => writer.acknowledged > 500);
  return { cluster, writer };
}

/** Takes an element from a list as soon as its new master has it; resolves when it has. */
async function shorten(cluster: ReshardCluster): Promise<void> {
  const routing = builtinRouting({ hash: "crc32", partitions: 3 });
  const partition = await routing.partitionOf(Buffer.from("shortened"));
  const address = { host: "127.0.0.1", port: cluster.port(`n${partition}-1`) };
  const link = await openRedisLink(address, { connectTimeoutMs: 5000, commandTimeoutMs: LIMIT_MS });
  onTestFinished(() => {
    link.close();
  });
  for (;;) {
    // The node is dead until twine-reshard makes it master: it refuses, and ends what waits.
    const reply = await link.call("BLPOP", "shortened", "0").catch(() => undefined);
    if (Array.isArray(reply)) return;
    await systemClock.delay(5);
  }
}

describe.skipIf(isMissing("redis-server"))("twine-reshard", () => {
  test(
    "a key that the new nodes have with another value stops the switch; the next try goes through",
    async () => {
      const { cluster, writer } = await startUnderWriters();
      const shortened = shorten(cluster);
      const refused = cluster.reshard();
      const { code } = await refused.ended;
      await shortened;
      expect([code, refused.lines()]).toEqual([1, expect.stringContaining("nothing was switched")]);
      expect(refused.lines()).toContain("1 with another value or expiry: 'shortened'");
      expect(refused.lines()).toContain("verifying: ");
      const view = await cluster.old.viewWhere("no record", ({ reshard }) => !reshard);
      expect(view.partitions.map(({ master }) => master)).toEqual(["p0-1", "p1-1"]);
      expect(await cluster.old.ask("r1", "LLEN", "shortened")).toBe(3);

      // They are empty again: it needs no --empty.
      const again = cluster.reshard("--json");
      const { code: ended, out } = await again.ended;
      expect([ended, again.lines()]).toEqual([0, ""]);
      const { verified } = JSON.parse(out) as { verified: Record<string, number> };
      expect(verified["sourceKeys"]).toBeGreaterThan(40);
      expect(await cluster.old.ask("r1", "LRANGE", "shortened", "0", "-1")).toEqual([
        "a",
        "b",
        "c",
      ]);
      const before = writer.acknowledged;
      await until("the writers write on", () => writer.acknowledged > before + 100, 60_000);
      await writer.stop();
      await writer.check();
      expect([writer.wrong, writer.errors]).toEqual([[], []]);
    },
    LIMIT_MS,
  );

  test(
    "with --no-verify nothing is compared, and it says so",
    async () => {
      const { cluster, writer } = await startUnderWriters();
      const shortened = shorten(cluster);
      const run = cluster.reshard("--no-verify");
      const { code, out } = await run.ended;
      await shortened;
      expect([code, run.lines()]).toEqual([0, expect.not.stringContaining("verifying")]);
      expect(out).toContain("nothing was compared before the switch (--no-verify)");
      await writer.stop();
    },
    LIMIT_MS,
  );
});
