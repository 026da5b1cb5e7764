// archive.ts: what the archive costs the writers: redis-benchmark SET -P 16 at a master, with an archiver beside it and without, in
// turn; the archiver's own processor time, memory and lag beside. One whole cluster on 127.0.0.1.
// `node bench/archive.ts --help`; needs redis-server and redis-benchmark.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { parseArchiveState, type ArchiveState } from "../runtime/core/archive-state.ts";
import { binPath } from "../runtime/cli/package-root.ts";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { until } from "../test/support/redis-server.ts";
import { wholeFrom } from "./option-values.ts";

interface Options {
  readonly rounds: number;
  readonly commands: number;
  readonly bytes: number;
  readonly json?: string;
}

const options = new Command("bench/archive.ts")
  .description("Writes per second at -P 16 with an archiver and without, in turn.")
  .option("--rounds <n>", "of both", wholeFrom(1), 10)
  .option("--commands <n>", "SET in each run", wholeFrom(1000), 2_000_000)
  .option("--bytes <n>", "of each value", wholeFrom(1), 100)
  .option("--json <file>", "where the figures are written")
  .addHelpText("after", "\nExample:\n  $ node bench/archive.ts --rounds 3 --commands 500000")
  .parse()
  .opts<Options>();

const KB = 1024;
const TICKS_PER_SECOND = 100;

interface Archiver {
  readonly pid: number;
  readonly states: readonly ArchiveState[];
  end(): Promise<void>;
}

async function startArchiver({ config }: FaultCluster): Promise<Archiver> {
  const args = [binPath("twine-backup", "runtime"), "--conf", config.file, "--archive", "--json"];
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const states: ArchiveState[] = [];
  let text = "";
  child.stdout?.on("data", (data: Buffer) => {
    const lines = (text + data.toString()).split("\n");
    text = lines.pop() ?? "";
    states.push(...lines.flatMap((line) => parseArchiveState(line) ?? []));
  });
  const gone = new Promise<void>((resolve) =>
    child.once("exit", () => {
      resolve();
    }),
  );
  await until(
    "the archiver records",
    () => states.some(({ storedTo }) => storedTo !== null),
    30_000,
  );
  return {
    pid: child.pid ?? 0,
    states,
    end: async () => {
      child.kill("SIGTERM");
      await gone;
    },
  };
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) / TICKS_PER_SECOND;
}

async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * KB;
}

/** Writes per second. */
async function written(port: number): Promise<number> {
  const args = ["-p", port, "-P", 16, "-c", 50, "-n", options.commands, "-d", options.bytes];
  const { stdout } = await promisify(execFile)("redis-benchmark", [
    ...args.map(String),
    "-r",
    "100000",
    "-t",
    "set",
    "--csv",
  ]);
  const [, rate] = /"SET","([\d.]+)"/.exec(stdout) ?? [];
  if (rate === undefined) throw new Error(`redis-benchmark said ${stdout}`);
  return Number(rate);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

interface Round {
  readonly withArchive: number;
  readonly without: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
  readonly peakMb: number;
  readonly lagMsMax: number;
}

async function round(cluster: FaultCluster, port: number, isFirstWith: boolean): Promise<Round> {
  const run = async () => {
    const archiver = await startArchiver(cluster);
    const [cpu, startMs] = [await cpuSeconds(archiver.pid), performance.now()];
    const rate = await written(port);
    const seconds = (performance.now() - startMs) / 1000;
    const spent = (await cpuSeconds(archiver.pid)) - cpu;
    const peakMb = (await peakBytes(archiver.pid)) / KB / KB;
    const lagMsMax = Math.max(...archiver.states.map(({ lagMs }) => lagMs));
    await archiver.end();
    return { withArchive: rate, cpuSeconds: spent, seconds, peakMb, lagMsMax };
  };
  if (isFirstWith) {
    const first = await run();
    return { ...first, without: await written(port) };
  }
  const without = await written(port);
  return { ...(await run()), without };
}

async function main(): Promise<void> {
  const lines = ["cluster archived", "partitions 1", "backup-dir backups", "backup-every 24d"];
  const cluster = await FaultCluster.create(
    clusterConf({
      ...{ partitions: 1, nodesPerPartition: 2, statusNodes: 1, monitors: 1, nameOf: byLetter },
      lines: [...lines, "redis repl-backlog-size 64mb"],
    }),
  );
  try {
    await cluster.start();
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const port = cluster.port(view.partitions[0]?.master ?? "");
    // Keys are there, memory is grown.
    await written(port);
    const rounds: Round[] = [];
    for (let at = 0; at < options.rounds; at++) {
      const figures = await round(cluster, port, at % 2 === 0);
      rounds.push(figures);
      process.stdout.write(
        `${at + 1}: ${Math.round(figures.withArchive)} with, ${Math.round(figures.without)} without; ` +
          `${figures.cpuSeconds.toFixed(1)} s of a core in ${figures.seconds.toFixed(1)} s, ` +
          `peak ${figures.peakMb.toFixed(0)} MB, lag up to ${figures.lagMsMax} ms\n`,
      );
      await rm(join(cluster.folder, "backups", "archived-archive"), { recursive: true });
    }
    const ratio = median(rounds.map(({ withArchive, without }) => withArchive / without));
    const cores = median(rounds.map((one) => one.cpuSeconds / one.seconds));
    process.stdout.write(
      `median: ${(ratio * 100).toFixed(1)} % of the writes without an archive; ${cores.toFixed(2)} of a core; ` +
        `peak ${Math.max(...rounds.map(({ peakMb }) => peakMb)).toFixed(0)} MB\n`,
    );
    if (options.json !== undefined) {
      await writeFile(
        options.json,
        `${JSON.stringify({ options, ratio, cores, rounds }, null, 2)}\n`,
      );
    }
  } finally {
    await cluster.remove();
  }
}

await main();
