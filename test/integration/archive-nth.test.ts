// The archive with the n-th call on its store failing, for each kind of call and several n: while archivers record one after the
// other, and while a restore to the latest moment reads what they recorded. Nothing of it may be missing then, and an error
// names the file and what to do.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { runArchiver } from "../../runtime/backup/archive/archiver.ts";
import { chooseMoment } from "../../runtime/backup/archive/choose-moment.ts";
import { readLegs } from "../../runtime/backup/archive/read-legs.ts";
import { prepareBackup } from "../../runtime/backup/restore/prepare.ts";
import { privateFiles } from "../../runtime/backup/restore/private-files.ts";
import { takeBackup } from "../../runtime/backup/take-backup.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import type { ArchiveStore, BackupTarget } from "../../runtime/backup/targets/target.ts";
import type { ArchiveState } from "../../runtime/core/archive-state.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { takeCut } from "../../runtime/monitor/act/take-cut.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { eachNth, Nth, stepwise } from "../support/nth-fault.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 1 });
const owner = { host: "here", pid: process.pid };

const cleanUp = cleanUpAfterAll();
let home: string;
let master: TestRedis;
let link: RedisLink;
let target: BackupTarget;
let backup: string;
let written = 0;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "twine-archive-nth-"));
  cleanUp(() => rm(home, { recursive: true, force: true }));
  const settings = ["repl-diskless-sync-delay 0"];
  master = await startRedis(settings, cleanUp);
  link = await master.link();
  await write();
  const folder = join(home, "backups");
  target = folderTarget({ name: "backups", folder, cluster: "test", clock, owner });
  const node = { name: "a1", kind: "data", partition: 0, role: "master", inSync: true } as const;
  const at = { host: "localhost", port: master.port, db: 0, since: "", runId: null };
  const partition = { index: 0, master: "a1", replicas: [], dead: [], needs: null };
  const taken = await takeBackup({
    ...{ cluster: "test", conf: "partitions 1\n", hashing, targets: [target] },
    view: {
      nodes: [{ ...node, ...at }],
      partitions: [{ ...partition, replicationId: null, lastMaster: "a1" }],
    },
    ...{ keep: { kind: "last", count: 24 }, compression: "none", twineVersion: "0" },
    ...{ suffix: "001", openStream: openRdbStream, credentials: undefined },
    ...{ signal: new AbortController().signal, clock, partitionOf: () => 0 },
  });
  backup = taken.manifest.id;
}, 60_000);

async function write(): Promise<void> {
  for (let count = 0; count < 20; count++) await link.call("SET", `key:${written++}`, "value");
}

type Call = "sweep" | "list" | "read" | "put";

/** The n-th call of that kind fails: of all others nothing is changed. */
function failing(nth: Nth, kind: Call): BackupTarget {
  const { archive } = target;
  const step = (call: Call, name = ""): void => {
    if (call === kind) nth.step(`${call} ${name}`);
  };
  const store: ArchiveStore = {
    sweep: async () => {
      step("sweep");
      await archive.sweep();
    },
    list: async () => {
      step("list");
      return archive.list();
    },
    read: (name) => (kind === "read" ? stepwise(archive.read(name), nth) : archive.read(name)),
    put: async (name, bytes) => {
      step("put", name);
      await archive.put(name, bytes);
    },
    join: (name, parts) => archive.join(name, parts),
    remove: (name) => archive.remove(name),
  };
  return {
    ...{ name: target.name, archive: store },
    list: () => target.list(),
    sweep: () => target.sweep(),
    begin: (id) => target.begin(id),
    read: (id, file) => target.read(id, file),
    writeNote: (id, name, text) => target.writeNote(id, name, text),
    remove: (id) => target.remove(id),
  };
}

/** An archiver until it has stored what is written meanwhile; what it said of itself. */
async function recorded(into: BackupTarget): Promise<readonly ArchiveState[]> {
  const end = new AbortController();
  const states: ArchiveState[] = [];
  const source = {
    node: "a1",
    role: "master",
    host: "127.0.0.1",
    port: master.port,
    db: 0,
  } as const;
  const running = runArchiver({
    ...{
      cluster: "test",
      partitions: 1,
      twineVersion: "0",
      targets: [into],
      recipients: undefined,
    },
    ...{ compression: "none", credentials: undefined, signal: end.signal, clock, cutEveryMs: 500 },
    ...{
      pid: process.pid,
      spoolHome: home,
      newSuffix: () => hex(),
      sourcesNow: () => Promise.resolve([source]),
    },
    askCut: async () => {
      const taken = await takeCut([{ node: "a1", link }], clock);
      if (taken.kind === "void") throw new Error(taken.why);
      return taken.cut;
    },
    onState: (state) => states.push(state),
  });
  running.catch(() => undefined);
  try {
    await until("it records", () => states.some(({ storedTo }) => storedTo !== null), 30_000);
    await write();
    const writtenMs = Date.now();
    const isStored = ({ storedTo, lagBytes }: ArchiveState): boolean =>
      lagBytes === 0 && Date.parse(storedTo ?? "") >= writtenMs;
    await until("all of it is stored", () => states.some(isStored), 30_000);
  } finally {
    end.abort();
    await running;
  }
  return states;
}

let suffixes = 0;
const hex = (): string => (suffixes++).toString(16).padStart(6, "0");

/** Of the latest moment: how many keys it has, and from which backup. */
async function restored(from: BackupTarget): Promise<{ keys: number; from: string }> {
  const signal = new AbortController().signal;
  const found = await chooseMoment([from], { toMs: Infinity, partition: 0, signal });
  const folder = await mkdtemp(join(home, "restored-"));
  const { legs, manifest } = found;
  const { partitions } = await prepareBackup(from, manifest, {
    ...{ folder, files: privateFiles, clock, hashing, signal, dbOf: () => 0, partitionOf: () => 0 },
    ...(legs === undefined
      ? {}
      : {
          readFeed: (saved, onChunk) =>
            readLegs(from.archive, legs[0] ?? [], saved, { signal, onChunk, isExact: false }),
        }),
  });
  await rm(folder, { recursive: true });
  return { keys: partitions[0]?.keys ?? 0, from: manifest.id };
}

test("whichever call of an archiver fails: nothing is missing behind it, and the reason is shown", async () => {
  await recorded(target);
  for (const kind of ["sweep", "list", "read", "put"] as const) {
    for (const n of [1, 3]) {
      const nth = new Nth(n);
      const states = await recorded(failing(nth, kind));
      const what = `${kind} ${n}`;
      expect([what, await restored(target)]).toEqual([what, { keys: written, from: backup }]);
      if (kind === "put") {
        const isSaid = states.some(({ failed }) => /^backups: .*EIO/.test(failed));
        expect([what, nth.isReached, isSaid]).toEqual([what, true, true]);
      }
    }
  }
}, 240_000);

test("whichever read of a restore to the latest moment fails: the error names the file, and no older moment takes its place", async () => {
  await recorded(target);
  for (const kind of ["list", "read"] as const) {
    const count = await eachNth(async (nth, n) => {
      const outcome = await restored(failing(nth, kind)).catch((error: unknown) => error);
      const what = `${kind} ${n}`;
      if (!(outcome instanceof TwineError)) {
        expect([what, outcome]).toEqual([what, { keys: written, from: backup }]);
        return;
      }
      const [problem] = outcome.problems;
      const names = kind === "read" ? /\.(run|seg)\b.*EIO/ : /backups: EIO/;
      expect([what, problem]).toEqual([
        what,
        expect.objectContaining({
          message: expect.stringMatching(names) as string,
          remedy: expect.stringMatching(/restore/) as string,
        }),
      ]);
    });
    expect([kind, count]).toEqual([kind, expect.toSatisfy((seen: number) => seen >= 1)]);
  }
}, 240_000);
