// The rescuer against a real redis-server, and against one that breaks off: real sockets, real files.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createRescuer, type Rescuer } from "../../runtime/replication/rescue.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis } from "../support/redis-server.ts";

async function rescuer(password?: string): Promise<{ rescuer: Rescuer; folder: string }> {
  const home = await mkdtemp(join(tmpdir(), "twine-rescue-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const folder = join(home, "rescue");
  const credentials =
    password === undefined ? undefined : ({ username: "monitor", password } as const);
  const ports = { clock: systemClock, openStream: openRdbStream };
  const options = { folder, credentials, rescueMsMax: 90_000, ...ports };
  return { rescuer: createRescuer(options), folder };
}

const target = (port: number) => ({ node: "a1", host: "127.0.0.1", port, epoch: 3, revision: 17 });

test.each([["yes"], ["no"]])(
  "a megabyte of values is saved whole, with diskless replication: %s",
  async (diskless) => {
    const redis = await startRedis([
      `repl-diskless-sync ${diskless}`,
      "repl-diskless-sync-delay 0",
      "rdbcompression no",
    ]);
    const link = await redis.link();
    for (let at = 0; at < 16; at++) await link.call("SET", `k${at}`, `${at}`.repeat(40_000));
    const { rescuer: own, folder } = await rescuer();
    const { path, upTo } = await own.save(target(redis.port));
    // The first replica ever makes Redis give itself a replication id, and count its writes.
    const replication = await link.call("INFO", "replication");
    expect(replication).toContain(`master_replid:${upTo.replicationId}`);
    expect(replication).toContain(`master_repl_offset:${upTo.offset}`);
    expect(replication).toContain("repl_backlog_active:1");
    expect(path).toBe(join(folder, "a1-3-17.rdb"));
    const copy = await startRedis([`dir ${folder}`, "dbfilename a1-3-17.rdb"]);
    const loaded = await copy.link();
    expect(await loaded.call("DBSIZE")).toBe(16);
    expect(await loaded.call("GET", "k15")).toBe("15".repeat(40_000));
    expect(await readdir(folder)).toEqual(["a1-3-17.rdb"]);
    expect((await readFile(path)).subarray(0, 5).toString()).toBe("REDIS");
  },
);

test("the user monitor needs no more than PSYNC and REPLCONF; without the right password nothing is left behind", async () => {
  const redis = await startRedis(["user monitor on >right resetchannels -@all +psync +replconf"]);
  const right = await rescuer("right");
  expect((await right.rescuer.save(target(redis.port))).path).toContain("a1-3-17.rdb");
  const wrong = await rescuer("wrong");
  await expect(wrong.rescuer.save(target(redis.port))).rejects.toThrow(/WRONGPASS/);
  expect(await readdir(wrong.folder)).toEqual([]);
});

test("a file of the same name, left by a cluster that was set up before, stays as it is", async () => {
  const redis = await startRedis(["repl-diskless-sync-delay 0"]);
  const { rescuer: own, folder } = await rescuer();
  const names: string[] = [];
  const contents: Buffer[] = [];
  for (const key of ["first", "second", "third"]) {
    await (await redis.link()).call("SET", key, "1");
    const { path } = await own.save(target(redis.port));
    names.push(basename(path));
    contents.push(await readFile(path));
  }
  expect(names).toEqual(["a1-3-17.rdb", "a1-3-17-2.rdb", "a1-3-17-3.rdb"]);
  expect((await readdir(folder)).sort()).toEqual([...names].sort());
  expect(await readFile(join(folder, "a1-3-17.rdb"))).toEqual(contents[0]);
  expect(contents[0]?.includes("second")).toBe(false);
  expect(contents[2]?.includes("second")).toBe(true);
});

test("a node that follows nobody refuses, and the reason is told", async () => {
  const redis = await startRedis(["replicaof 127.0.0.1 1", "replica-serve-stale-data no"]);
  const { rescuer: own, folder } = await rescuer();
  await expect(own.save(target(redis.port))).rejects.toThrow(/MASTERDOWN|NOMASTERLINK/);
  expect(await readdir(folder)).toEqual([]);
});

test("a stream that breaks off leaves no file", async () => {
  const port = await freePort();
  const history = "0123456789abcdef0123456789abcdef01234567";
  const server = createServer((socket) => {
    socket.once("data", () => {
      socket.write("+OK\r\n");
      socket.once("data", () => {
        socket.end(`+FULLRESYNC ${history} 1\r\n$100\r\nREDIS0010`);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(
    () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
      }),
  );
  const { rescuer: own, folder } = await rescuer();
  await expect(own.save(target(port))).rejects.toThrow(/before the end of its RDB/);
  expect(await readdir(folder)).toEqual([]);
});
