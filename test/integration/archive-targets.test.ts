// archive-targets.test.ts: the archive's files in a folder and in a bucket of a real S3 server: whole or not there, whatever fails,
// and a target that takes nothing takes bounded disk.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { printBlock, readBlocks } from "../../runtime/backup/archive/archive-block.ts";
import { readArchiveIndex } from "../../runtime/backup/archive/archive-index.ts";
import {
  headName,
  runId,
  segmentName,
  segmentsThrough,
} from "../../runtime/backup/archive/archive-names.ts";
import { Shipper } from "../../runtime/backup/archive/ship.ts";
import { Spool } from "../../runtime/backup/archive/spool.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import { S3_LIMITS } from "../../runtime/backup/targets/s3-client.ts";
import { s3Target } from "../../runtime/backup/targets/s3-target.ts";
import type { ArchiveStore, BackupTarget } from "../../runtime/backup/targets/target.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { until } from "../support/redis-server.ts";
import { pythonWithS3, startS3, useS3 } from "../support/s3-server.ts";

const python = pythonWithS3() ?? "";
const RUN = runId("2026-12-01T00:00:00Z", "000001");
const owner = { host: "here", pid: process.pid };

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "twine-archived-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
});

function folder(): Promise<BackupTarget> {
  const at = { name: "folder", folder: join(home, "backups"), cluster: "test" };
  return Promise.resolve(folderTarget({ ...at, clock: systemClock, owner }));
}

async function bucket(): Promise<BackupTarget> {
  const server = await startS3(python, ["backups"]);
  useS3(server.url);
  return s3Target({
    ...{ name: "s3://backups/twine", place: { bucket: "backups", prefix: "twine" } },
    ...{ cluster: "test", clock: systemClock, owner, env: process.env, limits: S3_LIMITS },
  });
}

const KINDS = [["a folder", folder], ...(python === "" ? [] : [["a bucket", bucket] as const])] as [
  string,
  () => Promise<BackupTarget>,
][];

function block(number: number): { name: string; bytes: Buffer } {
  const times = { firstMs: number, lastMs: number };
  const name = segmentName({ run: RUN, first: number, last: number, ...times });
  const header = { block: number, atMs: number, from: [number - 1], to: [number] };
  return { name, bytes: printBlock(header, [Buffer.from("x")]) };
}

/** The numbers of all blocks, as a restore reads them. */
async function blocksIn(store: ArchiveStore): Promise<number[]> {
  const { segments } = await readArchiveIndex(store);
  const numbers: number[] = [];
  for (const { name } of segmentsThrough(segments, RUN)) {
    for await (const { header } of readBlocks(store.read(name))) numbers.push(header.block);
  }
  return [...new Set(numbers)];
}

/** The store, whose `n`-th writing call fails before or after it has done its work. */
function faulty(store: ArchiveStore, n: number, isDone: boolean): ArchiveStore {
  let calls = 0;
  const step = async (task: () => Promise<void>): Promise<void> => {
    const isFault = ++calls === n;
    if (!isFault || isDone) await task();
    if (isFault) throw new Error(`call ${n} fails`);
  };
  return {
    ...store,
    put: (name, bytes) => step(() => store.put(name, bytes)),
    join: (name, parts) => step(() => store.join(name, parts)),
    remove: (name) => step(() => store.remove(name)),
  };
}

async function ship(archive: ArchiveStore, count: number, bytesMax = 1_000_000) {
  const dropped: string[] = [];
  const shipper = new Shipper({
    ...{ target: { name: "target", archive }, clock: { ...systemClock, delay: () => pause(5) } },
    onStored: () => undefined,
    onDropped: (name) => dropped.push(name),
  });
  const spoolFolder = Spool.folderIn(home, process.pid);
  const spool = new Spool(spoolFolder, bytesMax, [shipper]);
  const running = shipper.run(spool);
  for (let number = 1; number <= count; number++) {
    const { name, bytes } = block(number);
    await spool.add(name, bytes, false);
  }
  // The next run: what there is of this one is joined.
  const next = runId("2026-12-01T00:01:00Z", "000002");
  await spool.add(headName(next), Buffer.from("{}"), true);
  return {
    ...{ shipper, spool, spoolFolder, dropped },
    end: async () => {
      shipper.stop();
      await running;
      await spool.close();
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each(KINDS)("in %s", (_kind, open) => {
  test("small files become one, which holds every block once", async () => {
    const { archive } = await open();
    const shipping = await ship(archive, 20);
    await until("all is joined", async () => (await archive.list()).length === 2);
    await shipping.end();
    expect(await blocksIn(archive)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    expect(await readdir(home)).not.toContain(expect.stringContaining("twine-archive-"));
  });

  test("a missing folder or an empty bucket holds nothing, and removing nothing is no error", async () => {
    const { archive } = await open();
    expect(await archive.list()).toEqual([]);
    await archive.remove(headName(RUN));
    await archive.sweep();
  });
});

test("whichever call fails, before or after its work, no block is lost and none is mixed", async () => {
  const { archive } = await folder();
  for (let n = 1; n <= 14; n++) {
    for (const isDone of [false, true]) {
      for (const name of await archive.list()) await archive.remove(name);
      const shipping = await ship(faulty(archive, n, isDone), 6);
      await until("all is stored", async () => {
        const { segments } = await readArchiveIndex(archive);
        return segmentsThrough(segments, RUN, 6)[0]?.first === 1;
      });
      await shipping.end();
      expect(await blocksIn(archive)).toEqual([1, 2, 3, 4, 5, 6]);
    }
  }
});

test("a target that takes nothing takes bounded disk; what was left out is told, and it goes on from there", async () => {
  const { archive } = await folder();
  // Where its folder should be.
  await writeFile(join(home, "backups"), "");
  const size = block(1).bytes.length;
  const shipping = await ship(archive, 100, 10 * size);
  expect(shipping.spool.bytes).toBeLessThanOrEqual(11 * size);
  const { length } = await readdir(shipping.spoolFolder);
  expect(length).toBeLessThanOrEqual(12);
  expect(shipping.dropped.length).toBeGreaterThanOrEqual(88);
  expect(shipping.shipper.problem?.message).toContain("backups");
  await rm(join(home, "backups"));
  await until("it goes on", async () => (await blocksIn(archive)).includes(100));
  await shipping.end();
  const blocks = await blocksIn(archive);
  expect(blocks).toEqual(
    Array.from({ length: blocks.length }, (_, at) => 101 - blocks.length + at),
  );
});
