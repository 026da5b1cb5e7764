// Restores in which the n-th thing that a restore does fails, for each n: a read of the backup's files, a write into the private
// folder, a connection to a node or the first of each command on it, a piece of the data on its way to a node. Then what is
// left over after the release. All on one cluster of real processes whose partition 1 has one node only.
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { reachCluster, restoreInto } from "../../runtime/backup/restore/into-cluster.ts";
import { chosenBackup } from "../../runtime/backup/restore/chosen-backup.ts";
import type { OpenNode } from "../../runtime/backup/restore/feed-nodes.ts";
import { prepareBackup, type Prepared } from "../../runtime/backup/restore/prepare.ts";
import { privateFiles, type PrivateFiles } from "../../runtime/backup/restore/private-files.ts";
import type { BackupTarget } from "../../runtime/backup/targets/target.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import type { View } from "../../runtime/core/view.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { readChosenView } from "../../runtime/register/chosen-view.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import { eachNth, failingFiles, Nth, stepwise, watchedSockets } from "../support/nth-fault.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { firstBackup } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const CONF = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
b1=data 1 localhost {b1} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
r1=router localhost {r1}
cluster nth
partitions 2
backup-dir backups
backup-every 24d
hold-for 60s
redis repl-diskless-sync-delay 0
`;
const NODES = ["a1", "a2", "b1"] as const;
const WITHIN_MS = 120_000;
const hashingOf = (partitions: number) =>
  builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions });
const keyIn = (partition: number, name: string): string => {
  for (let at = 0; ; at++) if (crc32(`${name}${at}`) % 2 === partition) return `${name}${at}`;
};
/** By partition: one that the backup has, one that is written after it, and one that makes its RDB longer than a piece. */
const KEYS = [0, 1].map((partition) => ({
  saved: keyIn(partition, "saved"),
  later: keyIn(partition, "later"),
  long: keyIn(partition, "long"),
}));

let cluster: FaultCluster;
let found: { readonly target: BackupTarget; readonly manifest: ManifestOf };
type ManifestOf = Awaited<ReturnType<typeof chosenBackup>>["manifest"];
let written = 0;

beforeAll(async () => {
  cluster = await FaultCluster.create(CONF);
  await cluster.start();
  await firstBackup(cluster);
  for (const { saved, long } of KEYS) {
    await cluster.ask("r1", "SET", saved, "saved");
    await cluster.ask("r1", "SET", long, randomBytes(400_000).toString("base64"));
  }
  const taken = await runTool("runtime", "twine-backup", cluster.config.file);
  if (taken.code !== 0) throw new Error(taken.err);
  const owner = { host: "here", pid: process.pid };
  found = await chosenBackup(cluster.config, "latest", { clock, owner, env: {} });
}, 240_000);
afterAll(() => cluster.remove());

const isOver = (view: View): boolean => view.state === "OK" && (view.restore ?? null) === null;
const settled = (): Promise<View> => cluster.viewWhere("OK without a restore", isOver, WITHIN_MS);

function failingReads(nth: Nth): BackupTarget {
  const { target } = found;
  const read = (id: string, file: string) => stepwise(target.read(id, file), nth);
  return { ...target, name: target.name, archive: target.archive, read };
}

const nodeAt = (port: number): string => NODES.find((name) => cluster.port(name) === port) ?? "";

function failingSockets(nth: Nth): OpenNode {
  return watchedSockets(
    nodeAt,
    (node) => {
      nth.step(`connect to ${node}`, "ECONNREFUSED");
    },
    (node, command, end) => {
      if (nth.isNow(`${command} to ${node}`)) end();
    },
  );
}

interface Ports {
  readonly target?: BackupTarget;
  readonly written?: PrivateFiles;
  readonly sent?: PrivateFiles;
  readonly openSocket?: OpenNode;
  /** Of another layout: the splitter runs. */
  readonly partitions?: number;
  /** The backup's RDBs are run in a server of our own. */
  readonly isPlayed?: boolean;
}

async function prepared(ports: Ports, folder: string): Promise<Prepared> {
  const { partitions = 2, isPlayed = false } = ports;
  // A server for one partition shows what one for each would.
  const saved = found.manifest.partitions.slice(0, isPlayed ? 1 : 2);
  const manifest = { ...found.manifest, partitions: saved };
  return prepareBackup(ports.target ?? found.target, manifest, {
    ...{ folder, clock, hashing: hashingOf(partitions), dbOf: () => 0 },
    partitionOf: (key) => crc32(key) % partitions,
    sourcePartitionOf: (key) => crc32(key) % 2,
    signal: new AbortController().signal,
    files: ports.written ?? privateFiles,
    ...(isPlayed ? { readFeed: () => Promise.resolve() } : {}),
  });
}

/** As twine-restore does it; what it throws is answered. */
async function restored(ports: Ports): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), "twine-nth-"));
  const { config } = cluster;
  const signal = new AbortController().signal;
  const password = undefined;
  try {
    const view = await readChosenView({
      ...{ config, password, clock, openLink: openRedisLink, user: "app" },
    });
    const what = await prepared(ports, folder);
    const access = {
      ...{ config, password, tls: undefined, clock, signal },
      ...{ openSocket: ports.openSocket ?? openNodeSocket, files: ports.sent ?? privateFiles },
    };
    const { ready } = await reachCluster(access, view, what);
    await restoreInto(access, view, { prepared: what, ready });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Written by the router; on every node when it resolves. */
async function writeLater(): Promise<void> {
  written++;
  for (const { saved, later } of KEYS) {
    expect(await cluster.ask("r1", "SET", later, String(written))).toBe("OK");
    expect(await cluster.ask("r1", "SET", saved, "overwritten")).toBe("OK");
  }
  const { partitions } = await settled();
  await cluster.ask(partitions[0]?.master ?? "", "WAIT", "1", "30000");
}

/** What each node holds: old, saved, or its values. */
async function held(): Promise<Record<string, string>> {
  await settled();
  const holds: Record<string, string> = {};
  for (const name of NODES) {
    const keys = KEYS[name === "b1" ? 1 : 0];
    if (keys === undefined) throw new Error("there are two partitions");
    let values: readonly unknown[] = [];
    // A replica whose link is not up again yet reads nothing.
    await until(`${name} reads`, async () => {
      const read = cluster.ask(name, "MGET", keys.saved, keys.later).catch(() => undefined);
      values = ((await read) as unknown[] | undefined) ?? [];
      return values.length > 0;
    });
    const long = await cluster.ask(name, "STRLEN", keys.long);
    const text = [...values, long].join(" ");
    const size = Buffer.alloc(400_000).toString("base64").length;
    if (text === `overwritten ${written} ${size}`) holds[name] = "old";
    else holds[name] = text === `saved  ${size}` ? "saved" : text;
  }
  return holds;
}

const ALL = (value: string) => Object.fromEntries(NODES.map((name) => [name, value]));

/** Names what failed, and says what to do. */
function requireClear(error: unknown, what: string): void {
  expect([what, error]).toEqual([what, expect.any(TwineError)]);
  if (!(error instanceof TwineError)) return;
  for (const { message, remedy } of error.problems) {
    expect([what, message]).toEqual([
      what,
      expect.stringMatching(/\b(partition-\d|keys-\d+|cut-\d|a[12]|b1)\b/),
    ]);
    expect([what, remedy ?? ""]).toEqual([what, expect.stringMatching(/restore/)]);
  }
}

test("whichever read of the backup or write into the private folder fails: the error names the file, and no node was asked", async () => {
  await writeLater();
  const folder = await mkdtemp(join(tmpdir(), "twine-nth-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ways: readonly (readonly [string, number, (nth: Nth) => Ports])[] = [
    ["reads", 4, (nth) => ({ target: failingReads(nth) })],
    ["reads, split", 8, (nth) => ({ target: failingReads(nth), partitions: 3 })],
    ["reads, played", 3, (nth) => ({ target: failingReads(nth), isPlayed: true })],
    ["writes", 6, (nth) => ({ written: failingFiles(nth) })],
    ["writes, played", 6, (nth) => ({ written: failingFiles(nth), isPlayed: true })],
    [
      "private reads",
      4,
      (nth) => ({ written: failingFiles(nth, { reads: true }), isPlayed: true }),
    ],
  ];
  for (const [name, least, portsOf] of ways) {
    const count = await eachNth(async (nth, n) => {
      const place = join(folder, `${name} ${n}`);
      await mkdir(place);
      const error = await prepared(portsOf(nth), place).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const what = `${name} ${n}: ${nth.what}`;
      if (!nth.isReached) expect([what, error]).toEqual([what, undefined]);
      else requireClear(error, what);
      const isOfBackup = name.startsWith("reads");
      const code = isOfBackup ? "BACKUP_BROKEN" : "PRIVATE_FOLDER_FAILED";
      if (nth.isReached) expect([what, (error as TwineError).code]).toEqual([what, code]);
    });
    expect([name, count]).toEqual([name, expect.toSatisfy((seen: number) => seen >= least)]);
  }
  expect(await restored({ target: failingReads(new Nth(1)) })).toMatchObject({
    code: "BACKUP_BROKEN",
  });
  expect(await held()).toEqual(ALL("old"));
  await writeLater();
}, 240_000);

test("whichever write of the splitter or of the hashes of keys fails: the error names the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "twine-nth-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // The first files are the partitions', then 256 of hashes, then the RDBs' bytes.
  for (const n of [1, 4, 259, 260, 262]) {
    const place = join(folder, String(n));
    await mkdir(place);
    const nth = new Nth(n);
    const error = await prepared({ written: failingFiles(nth), partitions: 3 }, place).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    requireClear(error, `${n}: ${nth.what}`);
    expect(error).toMatchObject({ code: "PRIVATE_FOLDER_FAILED" });
  }
}, 60_000);

test("whichever connection to a node, or command on it, fails: all the old data or all the new", async () => {
  const outcomes = new Set<string>();
  const count = await eachNth(async (nth) => {
    await writeLater();
    const error = await restored({ openSocket: failingSockets(nth) });
    const what = nth.what;
    if (error !== undefined) requireClear(error, what);
    const code = error instanceof TwineError ? error.code : "";
    outcomes.add(code);
    const isNew = error === undefined || code === "PARTITION_LOST";
    // For a moment after a cancel the view shows a node as it was before.
    await expect
      .poll(async () => ({ what, code, ...(await held()) }), { timeout: 20_000 })
      .toEqual({ what, code, ...ALL(isNew ? "saved" : "old") });
  });
  expect(count).toBeGreaterThanOrEqual(12);
  // Whether one fails behind the release at b1 depends on how often it is asked; another test makes sure of that.
  expect([...outcomes]).toEqual(expect.arrayContaining(["", "NODE_LOST"]));
  await writeLater();
}, 480_000);

test("whichever piece on its way to a node fails: the old masters go on with the old data", async () => {
  const count = await eachNth(async (nth) => {
    await writeLater();
    const error = await restored({ sent: failingFiles(nth, { reads: true }) });
    const what = nth.what;
    if (nth.isReached) requireClear(error, what);
    const code = error instanceof TwineError ? error.code : "";
    expect([what, code, await held()]).toEqual([
      what,
      nth.isReached ? "PRIVATE_FOLDER_FAILED" : "",
      ALL(nth.isReached ? "old" : "saved"),
    ]);
  });
  expect(count).toBeGreaterThanOrEqual(6);
}, 480_000);

test("a node that breaks off again and again, as one with a full disk does, ends the restore", async () => {
  await writeLater();
  const sent: PrivateFiles = {
    ...privateFiles,
    async *read(path) {
      for await (const chunk of privateFiles.read(path)) {
        if (path.includes("partition-1")) {
          const reply = await cluster.ask("b1", "INFO", "replication");
          const info = typeof reply === "string" ? reply : "";
          const [, host = ""] = /master_host:(\S+)/.exec(info) ?? [];
          const [, port = ""] = /master_port:(\S+)/.exec(info) ?? [];
          await cluster.ask("b1", "REPLICAOF", "NO", "ONE");
          await cluster.ask("b1", "REPLICAOF", host, port);
        }
        yield chunk;
      }
    },
  };
  const error = await restored({ sent });
  requireClear(error, "b1 breaks off");
  expect(error).toMatchObject({ code: "NODE_BREAKS_OFF" });
  expect(await held()).toEqual(ALL("old"));
  await writeLater();
}, 240_000);

test("a partition whose only node dies after the release: nobody is served a mixture, and another restore mends it", async () => {
  await writeLater();
  const openSocket = watchedSockets(
    nodeAt,
    () => undefined,
    async (node, command) => {
      if (node === "b1" && command === "INFO persistence") await cluster.kill("b1");
    },
  );
  const error = await restored({ openSocket });
  requireClear(error, "b1 dies");
  expect(error).toMatchObject({ code: "PARTITION_LOST" });
  const view = await cluster.viewWhere("HALT", ({ state }) => state === "HALT", WITHIN_MS);
  expect(view.restore?.phase).toBe("released");
  expect(view.partitions.map(({ master }) => master)).toEqual([null, null]);
  // As the remedy says, and at once.
  expect(await restored({})).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  await cluster.launch("b1");
  await until(
    "b1 answers",
    async () => (await cluster.ask("b1", "ROLE").catch(() => null)) !== null,
    30_000,
  );
  const failed = await restored({ sent: failingFiles(new Nth(1), { reads: true }) });
  requireClear(
    failed instanceof TwineError ? new TwineError(failed.problems.slice(0, 1)) : failed,
    "mixed",
  );
  expect(failed).toMatchObject({
    problems: [{ code: "PRIVATE_FOLDER_FAILED" }, { code: "STILL_MIXED" }],
  });
  expect(await restored({})).toBeUndefined();
  expect(await held()).toEqual(ALL("saved"));
  await writeLater();
}, 240_000);
