// lost-partition.test.ts: a cut whose feed was lost on a real server: its partition is saved once more, again and again while
// its nodes do not give it, and not longer than that.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ConsistentCut } from "../../runtime/backup/consistent-cut.ts";
import type { Source } from "../../runtime/replication/choose-source.ts";
import { Copies } from "../../runtime/backup/copies.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import type { HistoryMark } from "../../runtime/core/view.ts";
import { takeCut } from "../../runtime/monitor/act/take-cut.ts";
import { systemClock, type Clock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { startRedis, until } from "../support/redis-server.ts";

const LOST_MARK = { replicationId: "e".repeat(40), offset: 1 };
const AGAIN_MS = 3000;
const unavailable = new TwineError({ code: "PARTITION_UNAVAILABLE", message: "none", remedy: "" });

async function replicationOf(link: RedisLink): Promise<string> {
  const info = await link.call("INFO", "replication");
  return typeof info === "string" ? info : "";
}

async function markOf(link: RedisLink): Promise<HistoryMark> {
  const info = await replicationOf(link);
  return {
    replicationId: /master_replid:(\w+)/.exec(info)?.[1] ?? "",
    offset: Number(/master_repl_offset:(\d+)/.exec(info)?.[1]),
  };
}

/** One partition, whose recorded feed begins in a history that its master does not know. */
async function lostScene() {
  const server = await startRedis(["repl-diskless-sync-delay 0"]);
  await startRedis([`replicaof 127.0.0.1 ${server.port}`]);
  const link = await server.link();
  await until("it is followed", async () => (await replicationOf(link)).includes("state=online"));
  const source: Source = {
    node: "a1",
    role: "master",
    host: "127.0.0.1",
    port: server.port,
    db: 0,
  };
  const folder = await mkdtemp(join(tmpdir(), "twine-lost-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const abort = new AbortController();
  let waits = 0;
  // The wait between two attempts is counted, not waited for.
  const clock: Clock = {
    ...systemClock,
    delay: (ms) => {
      if (ms !== AGAIN_MS) return systemClock.delay(ms);
      waits++;
      return systemClock.delay(0);
    },
  };
  const owner = { host: "here", pid: process.pid };
  const target = folderTarget({ name: "backups", folder, cluster: "test", clock, owner });
  const copies = await Copies.begin("test-20260101T000000Z-abcdef", [target]);
  const cut = new ConsistentCut(
    {
      ...{ copies, clock, compression: "none", credentials: undefined, signal: abort.signal },
      sourcesNow: () => Promise.resolve([source]),
    },
    async () => {
      const taken = await takeCut([{ node: "a1", link }], systemClock);
      if (taken.kind === "sampled") return taken.cut;
      throw new TwineError({ code: "REFUSED", message: taken.why, remedy: "" });
    },
  );
  onTestFinished(async () => {
    await cut.abort();
    await copies.abort();
  });
  cut.start(0, source, LOST_MARK);
  return { cut, link, source, abort, waits: () => waits };
}

/** Takes the cut once the feed is known to be lost: until then the cut is asked for in vain. */
async function taking(
  { cut, source, link }: Awaited<ReturnType<typeof lostScene>>,
  saveAgain: (times: number) => Promise<"begun" | "lost again">,
) {
  let times = 0;
  const result = await cut.take(async (partition) => {
    expect(partition).toBe(0);
    times++;
    const outcome = await saveAgain(times);
    cut.start(0, source, outcome === "begun" ? await markOf(link) : LOST_MARK);
  });
  return { ...result, times };
}

test("a lost partition that its nodes give only at the fourth attempt is saved then, and the cut is made with that", async () => {
  const of = await lostScene();
  const { cut, why, feeds, times } = await taking(of, async (attempt) => {
    if (attempt < 4) throw unavailable;
    await of.link.call("SET", "key", "later");
    return "begun";
  });
  expect([why, times, of.waits()]).toEqual(["", 4, 3]);
  expect(cut?.marks).toMatchObject([{ master: "a1" }]);
  expect(feeds).toMatchObject([{ file: "partition-0.feed" }]);
  expect(feeds[0]?.replicationId).toBe((await markOf(of.link)).replicationId);
});

test("one that no node gives any more ends the backup, after ten attempts", async () => {
  const of = await lostScene();
  let times = 0;
  const taken = taking(of, (attempt) => {
    times = attempt;
    throw unavailable;
  });
  await expect(taken).rejects.toBe(unavailable);
  expect([times, of.waits()]).toEqual([10, 9]);
});

test("what another attempt would not mend, and an interruption, end it at once", async () => {
  const full = new TwineError({ code: "BACKUP_TARGET_FAILED", message: "full", remedy: "" });
  const of = await lostScene();
  await expect(taking(of, () => Promise.reject(full))).rejects.toBe(full);
  expect(of.waits()).toBe(0);
  const other = await lostScene();
  const enough = new Error("enough");
  const taken = taking(other, () => {
    other.abort.abort(enough);
    throw unavailable;
  });
  await expect(taken).rejects.toBe(enough);
  expect(other.waits()).toBe(0);
});

test("one that is lost a second time is not saved a third time: there is no cut, and the reason is said", async () => {
  const of = await lostScene();
  const { cut, why, times } = await taking(of, () => Promise.resolve("lost again"));
  expect([cut, times]).toEqual([undefined, 1]);
  expect(why).toBe("partition 0: no node of it continues the feed that was recorded");
});
