// cut.ts: whether backups are of one moment: movers move amounts between keys of two partitions while one backup after the
// other is taken; each is prepared as twine-restore does it and loaded, and the sum of all must be the same. One whole cluster on 127.0.0.1. `node bench/cut.ts --backups 100`; needs redis-server.
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { listBackups } from "../runtime/backup/list-backups.ts";
import { prepareBackup } from "../runtime/backup/restore/prepare.ts";
import { privateFiles } from "../runtime/backup/restore/private-files.ts";
import { openTargets } from "../runtime/backup/targets/open-targets.ts";
import { loadPartitioner } from "../runtime/ports/hash-source.ts";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { openScratchServer } from "../runtime/replication/scratch-server.ts";
import { itemsOf, textOf } from "../runtime/resp/value.ts";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { runTool } from "../test/support/run-tool.ts";
import { moversOf, startTransfers, wrongSums } from "../test/support/transfers.ts";
import { wholeFrom } from "./option-values.ts";

interface Options {
  backups: number;
  uncut: number;
  movers: number;
}

const options = new Command("bench/cut.ts")
  .description(
    "Takes backups while amounts are moved between partitions, and counts those with another sum.",
  )
  .option("--backups <n>", "with a cut", wholeFrom(1), 100)
  .option("--uncut <n>", "without one (--no-cut): these are to be found torn", wholeFrom(0), 5)
  .option("--movers <n>", "each with accounts of its own", wholeFrom(1), 40)
  .parse()
  .opts<Options>();

const MOVERS = moversOf(options.movers);
const LINES = ["cluster cut", "partitions 2", "backup-dir backups", "backup-keep 1"];
const conf = clusterConf({
  ...{ partitions: 2, nodesPerPartition: 2, statusNodes: 1, monitors: 1, nameOf: byLetter },
  lines: [...LINES, "backup-every 24d", "redis repl-diskless-sync-delay 0"],
});

interface Taken {
  readonly id: string;
  readonly whyNoCut: string;
  readonly manifest: { readonly cut?: { readonly pausedMs: number } };
}

/** undefined: there is no backup, and why was printed. */
async function take(cluster: FaultCluster, ...more: string[]): Promise<Taken | undefined> {
  const { file } = cluster.config;
  const { code, out, err } = await runTool("runtime", "twine-backup", file, "--json", ...more);
  if (code === 0 || code === 3) return JSON.parse(out) as Taken;
  process.stdout.write(`twine-backup ended with ${String(code)}: ${err}`);
  return undefined;
}

/** What twine-restore would give the nodes, loaded and compared. */
async function tornIn({ config }: FaultCluster, id: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "twine-cut-"));
  const partitioner = await loadPartitioner(config);
  try {
    const targets = openTargets(config, {
      clock,
      owner: { host: "bench", pid: process.pid },
      env: process.env,
    });
    const { copies } = await listBackups(targets);
    const found = copies.find(({ manifest }) => manifest.id === id);
    if (found === undefined) throw new Error(`${id} is not there`);
    const { partitions } = await prepareBackup(found.target, found.manifest, {
      ...{ folder, files: privateFiles, clock, hashing: partitioner.hashing, dbOf: () => 0 },
      partitionOf: (key) => partitioner.partitionOf(key),
      signal: new AbortController().signal,
    });
    return await wrongSums(MOVERS, async (partition, keys) => {
      const place = await mkdtemp(join(folder, "loaded-"));
      await rename(partitions[partition]?.path ?? "", join(place, "dump.rdb"));
      const server = await openScratchServer({ folder: place, loads: id, clock });
      try {
        return itemsOf(await server.call("MGET", ...keys)).map((value) => textOf(value));
      } finally {
        await server.close();
      }
    });
  } finally {
    await partitioner.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function quantile(sorted: readonly number[], part: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN).toFixed(1);
}

async function main(): Promise<void> {
  const cluster = await FaultCluster.create(conf);
  try {
    await cluster.start();
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    // Their RDBs begin a second after those of partition 0: without a cut nothing fits.
    for (const { name, partition } of view.nodes) {
      if (partition !== 1) continue;
      await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "1");
    }
    const [a = 0, b = 0] = view.partitions.map(({ master }) => cluster.port(master ?? ""));
    const writers = await startTransfers(MOVERS, [a, b]);
    const paused: number[] = [];
    const counts = { cut: 0, torn: 0, none: 0, failed: 0, uncutTorn: 0 };
    for (let at = 0; at < options.backups + options.uncut; at++) {
      const isCut = at < options.backups;
      const taken = await take(cluster, ...(isCut ? [] : ["--no-cut"]));
      if (taken === undefined) {
        counts.failed++;
        continue;
      }
      const torn = await tornIn(cluster, taken.id);
      if (!isCut) {
        counts.uncutTorn += torn.length > 0 ? 1 : 0;
      } else if (taken.manifest.cut === undefined) {
        counts.none++;
        process.stdout.write(`${taken.id} has no cut: ${taken.whyNoCut}\n`);
      } else {
        counts.cut++;
        paused.push(taken.manifest.cut.pausedMs);
        if (torn.length > 0) counts.torn++;
        for (const text of torn) process.stdout.write(`${taken.id} is torn: ${text}\n`);
      }
    }
    const { count: moved } = writers;
    await writers.stop();
    paused.sort((one, other) => one - other);
    process.stdout.write(
      `${counts.cut} backups with a cut under ${moved} transfers of ${MOVERS.length} movers: the sum is wrong in ${counts.torn}; ${counts.none} got no cut, ${counts.failed} failed\n` +
        `${options.uncut} without: wrong in ${counts.uncutTorn}\n` +
        `writes paused, ms: median ${quantile(paused, 0.5)}, p99 ${quantile(paused, 0.99)}, worst ${quantile(paused, 1)}\n`,
    );
    if (counts.torn + counts.none + counts.failed > 0) process.exitCode = 1;
  } finally {
    await cluster.remove();
  }
}

await main();
