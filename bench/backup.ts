// backup.ts: backup and restore beside redis-cli and redis-server on the same data, interleaved in one run, on 127.0.0.1:
//
//   backup    twine-backup beside `redis-cli --rdb` of the same nodes in parallel (repl-diskless-sync-delay 0 for both)
//   latency   p99 of redis-benchmark through the router beside either of them
//   restore   twine-restore beside redis-servers that load the same RDBs, and into three partitions beside the same layout
// Beside each stands the largest resident size of the tool; --megabytes adds strings of 1 MB, for much data.
//
// `node bench/backup.ts --help`; needs redis-server, redis-cli and redis-benchmark. Read the ratios: absolute figures belong
// to the machine. Processor time is of the tool's own process.
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { Command } from "commander";
import { binPath } from "../runtime/cli/package-root.ts";
import { encodeCommand } from "../runtime/resp/encode.ts";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { someOf, wholeFrom } from "./option-values.ts";

const PARTS = ["backup", "latency", "restore"];
const options = new Command("bench/backup.ts")
  .description("Backup and restore beside redis-cli --rdb and redis-server's own load.")
  .option("--keys <n>", "of mixed types", wholeFrom(1), 1_000_000)
  .option("--megabytes <n>", "of further strings of 1 MB, for memory", wholeFrom(0), 0)
  .option("--rounds <n>", "turns of each, of which the median counts", wholeFrom(1), 5)
  .option("--only <parts>", PARTS.join(","), someOf(PARTS), PARTS)
  .option("--requests <n>", "of redis-benchmark, for latency", wholeFrom(1), 100_000)
  .option("--folder <path>", "where everything lies", tmpdir())
  .option("--timeline", "show when the phases of each twine-restore and twine-backup begin")
  .option("--compiled", "run the compiled tools of dist/ (npm run build), as users do")
  .addHelpText("after", "\nExample:\n  $ node bench/backup.ts --rounds 5 --only backup,restore")
  .parse()
  .opts<{
    readonly keys: number;
    readonly megabytes: number;
    readonly rounds: number;
    readonly requests: number;
    readonly only: string[];
    readonly folder: string;
    readonly compiled?: boolean;
    readonly timeline?: boolean;
  }>();
if (options.timeline === true) process.env["NODE_DEBUG"] = "twine-timeline";

interface Ran {
  readonly ms: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
}

/** Of one process, as the kernel counted it: /usr/bin/time has no peer in Node. */
async function run(program: string, args: readonly string[]): Promise<Ran> {
  const script =
    "import resource,subprocess,sys,time,json\n" +
    "t=time.monotonic()\np=subprocess.run(sys.argv[1:],capture_output=True,text=True)\nms=(time.monotonic()-t)*1000\n" +
    "r=resource.getrusage(resource.RUSAGE_CHILDREN)\n" +
    "print(json.dumps({'code':p.returncode,'said':p.stderr[-2000:],'ms':ms,'cpuMs':(r.ru_utime+r.ru_stime)*1000,'peakBytes':r.ru_maxrss*1024}))";
  const { stdout } = await promisify(execFile)("python3", ["-c", script, program, ...args]);
  const ran = JSON.parse(stdout) as Ran & { readonly code: number; readonly said: string };
  if (ran.code !== 0 && ran.code !== 3)
    throw new Error(`${program} ${args.join(" ")}: ${ran.said}`);
  if (options.timeline === true) print(ran.said.replaceAll(/^TWINE-TIMELINE \d+: /gm, "  "));
  return ran;
}

function twine(tool: string, conf: string, ...args: readonly string[]): Promise<Ran> {
  const source = binPath(tool, "runtime");
  const path =
    options.compiled === true
      ? source.replace("/runtime/bin/", "/dist/runtime/bin/").replace(/ts$/, "js")
      : source;
  return run(process.execPath, [path, "--conf", conf, ...args]);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function show(what: string, ours: readonly Ran[], ms: readonly number[], reach: string): void {
  const ratios = ours.map((ran, at) => ran.ms / (ms[at] ?? NaN));
  const mb = Math.max(...ours.map(({ peakBytes }) => peakBytes)) / 1e6;
  print(
    `${what}: ${median(ours.map((ran) => ran.ms)).toFixed(0)} ms beside ${median(ms).toFixed(0)} ms, ` +
      `${median(ratios).toFixed(2)} times (${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}; reach ${reach}); ` +
      `processor ${median(ours.map(({ cpuMs }) => cpuMs)).toFixed(0)} ms, peak ${mb.toFixed(0)} MB`,
  );
}

/** The n-th key's command: mostly strings, and every other type. */
function commandOf(at: number): readonly string[] {
  const key = `key:${at}`;
  const items = (count: number, of: (index: number) => string[]): string[] =>
    Array.from({ length: count }, (_, index) => of(index)).flat();
  switch (at % 20) {
    case 0:
    case 1:
      return ["HSET", key, ...items(5, (index) => [`field${index}`, `value ${at + index}`])];
    case 2:
    case 3:
      return ["RPUSH", key, ...items(10, (index) => [`item ${at + index}`])];
    case 4:
      return ["SADD", key, ...items(8, (index) => [`member ${at * index}`])];
    case 5:
      return ["ZADD", key, ...items(8, (index) => [String(index), `member ${at + index}`])];
    case 6:
      return ["SET", key, `expires ${at}`, "PX", "86400000"];
    case 7:
      return ["XADD", key, "*", "field", `value ${at}`];
    default:
      return ["SET", key, `value ${at} ${"x".repeat(at % 60)}`];
  }
}

/** Straight to the masters, in pipelines. */
async function fill(ports: readonly number[]): Promise<void> {
  const sockets = ports.map((port) => connect(port, "127.0.0.1"));
  const write = async (command: readonly (string | Buffer)[]): Promise<void> => {
    const socket = sockets[crc32(command[1] ?? "") % ports.length];
    if (socket?.write(encodeCommand(command)) === false) {
      await new Promise((resolve) => socket.once("drain", resolve));
    }
  };
  for (const socket of sockets) socket.resume();
  for (let at = 0; at < options.keys; at++) await write(commandOf(at));
  // Random, because Redis compresses whatever repeats itself.
  for (let at = 0; at < options.megabytes; at++) {
    await write(["SET", `large:${at}`, randomBytes(1_000_000)]);
  }
  for (const socket of sockets) {
    await new Promise<void>((resolve) => {
      let text = "";
      socket.removeAllListeners("data");
      socket.on("data", (data) => {
        text = (text + data.toString("latin1")).slice(-20);
        if (text.endsWith("+all there\r\n") || text.endsWith("all there\r\n")) resolve();
      });
      socket.write(encodeCommand(["ECHO", "all there"]));
    });
    socket.destroy();
  }
}

/** For much data on a busy machine. */
const LARGE_MS = 600_000;
const BACKUPS = join(options.folder, `twine-bench-backups-${process.pid}`);
const LINES = ["backup-every 24d", "redis repl-diskless-sync-delay 0", 'redis save ""'];

async function clusterOf(partitions: number, nodesPerPartition: number): Promise<FaultCluster> {
  const lines = [`cluster bench`, `partitions ${partitions}`, "backup-keep 1", ...LINES];
  const cluster = await FaultCluster.create(
    clusterConf({
      ...{ partitions, nodesPerPartition, routers: 1, nameOf: byLetter },
      lines: [...lines, `backup-dir ${BACKUPS}`],
    }),
  );
  await cluster.start();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  return cluster;
}

/** `redis-cli --rdb` of these nodes in parallel. */
async function redisCliRdb(ports: readonly number[], folder: string): Promise<number> {
  const startedMs = performance.now();
  await Promise.all(
    ports.map((port) =>
      promisify(execFile)("redis-cli", ["-p", String(port), "--rdb", join(folder, `${port}.rdb`)]),
    ),
  );
  return performance.now() - startedMs;
}

/** p99 in ms of redis-benchmark through the router while `job` runs again and again. */
async function p99Beside(port: number, job: () => Promise<unknown>): Promise<number> {
  const args = ["-p", String(port), "-c", "20", "-n", String(options.requests), "-r", "100000"];
  const state = { isOver: false };
  const bench = promisify(execFile)("redis-benchmark", [...args, "-t", "set", "--csv"]).finally(
    () => {
      state.isOver = true;
    },
  );
  while (!state.isOver) await job();
  const cells = ((await bench).stdout.trim().split("\n").at(-1) ?? "").split('","');
  return Number(cells[6]?.replaceAll('"', ""));
}

/** Redis-servers that load these RDBs at once, until the last has. */
async function ownLoad(paths: readonly string[], folder: string): Promise<number> {
  const servers = await Promise.all(
    paths.map(async (path, at) => {
      const place = join(folder, `load-${at}`);
      await mkdir(place, { recursive: true });
      await copyFile(path, join(place, "dump.rdb"));
      return place;
    }),
  );
  const startedMs = performance.now();
  const loaded = await Promise.all(
    servers.map(async (place) => {
      const settings = [
        "--port",
        "0",
        "--unixsocket",
        join(place, "s"),
        "--dir",
        place,
        "--save",
        "",
      ];
      const child = spawn("redis-server", settings, { stdio: ["ignore", "pipe", "ignore"] });
      let text = "";
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (data: Buffer) => {
          text += data.toString();
          if (/Ready to accept connections|ready to accept connections/.test(text)) resolve();
        });
      });
      return child;
    }),
  );
  const ms = performance.now() - startedMs;
  await Promise.all(
    loaded.map(
      (child) =>
        new Promise((resolve) => {
          child.once("exit", resolve);
          child.kill("SIGKILL");
        }),
    ),
  );
  return ms;
}

async function measureBackup(cluster: FaultCluster, nodes: readonly number[], folder: string) {
  const [ours, uncut, theirs]: [Ran[], Ran[], number[]] = [[], [], []];
  for (let round = 0; round < options.rounds; round++) {
    theirs.push(await redisCliRdb(nodes, folder));
    ours.push(await twine("twine-backup", cluster.config.file));
    uncut.push(await twine("twine-backup", cluster.config.file, "--no-cut"));
  }
  show("backup beside redis-cli --rdb", ours, theirs, "1.1");
  show("backup without a cut", uncut, theirs, "1.1");
}

async function measureLatency(cluster: FaultCluster, nodes: readonly number[], folder: string) {
  const [ours, theirs, alone]: [number[], number[], number[]] = [[], [], []];
  const port = cluster.port("r1");
  for (let round = 0; round < options.rounds; round++) {
    alone.push(await p99Beside(port, () => new Promise((resolve) => setTimeout(resolve, 50))));
    theirs.push(await p99Beside(port, () => redisCliRdb(nodes, folder)));
    ours.push(await p99Beside(port, () => twine("twine-backup", cluster.config.file)));
  }
  const ratios = ours.map((ms, at) => ms / (theirs[at] ?? NaN));
  print(
    `p99 through the router: ${median(ours).toFixed(2)} ms beside twine-backup, ${median(theirs).toFixed(2)} ms beside ` +
      `redis-cli --rdb, ${median(alone).toFixed(2)} ms alone; ${median(ratios).toFixed(2)} times (reach 1.5)`,
  );
}

async function measureRestore(copy: string, rdbs: readonly string[], folder: string) {
  const [same, three] = [await clusterOf(2, 1), await clusterOf(3, 1)];
  try {
    const [ours, other, theirs]: [Ran[], Ran[], number[]] = [[], [], []];
    for (let round = 0; round < options.rounds; round++) {
      theirs.push(await ownLoad(rdbs, folder));
      for (const [cluster, list] of [[same, ours] as const, [three, other] as const]) {
        list.push(await twine("twine-restore", cluster.config.file, copy, "--yes"));
      }
    }
    show("restore beside redis-server's own load", ours, theirs, "1.3");
    const rate = ours.map(({ ms }, at) => ms / (other[at]?.ms ?? NaN));
    print(
      `restore into three partitions: ${median(other.map(({ ms }) => ms)).toFixed(0)} ms, ` +
        `${median(rate).toFixed(2)} times the rate of the same layout (reach 0.8); ` +
        `peak ${(Math.max(...other.map(({ peakBytes }) => peakBytes)) / 1e6).toFixed(0)} MB`,
    );
  } finally {
    await same.remove();
    await three.remove();
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(options.folder, "twine-bench-"));
  const cluster = await clusterOf(2, 2);
  try {
    await fill(["a1", "b1"].map((name) => cluster.port(name)));
    await cluster.viewWhere("OK", ({ state }) => state === "OK", LARGE_MS);
    // The alpha takes the first backup by itself, and two never run side by side.
    await cluster.viewWhere(
      "the alpha's backup",
      ({ backup }) => (backup?.lastAt ?? null) !== null,
      LARGE_MS,
    );
    const nodes = ["a2", "b2"].map((name) => cluster.port(name));
    if (options.only.includes("backup")) await measureBackup(cluster, nodes, folder);
    if (options.only.includes("latency")) await measureLatency(cluster, nodes, folder);
    if (!options.only.includes("restore")) return;
    await twine("twine-backup", cluster.config.file);
    const [id = ""] = (await readdir(BACKUPS)).toSorted().slice(-1);
    const copy = join(folder, id);
    await rename(join(BACKUPS, id), copy);
    const rdbs = [0, 1].map((partition) => join(copy, `partition-${partition}.rdb`));
    const bytes = (await Promise.all(rdbs.map((path) => stat(path)))).map(({ size }) => size);
    print(
      `${options.keys} keys, ${(bytes.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(0)} MB in two RDBs`,
    );
    // Room for the restored ones.
    await cluster.remove();
    await measureRestore(copy, rdbs, folder);
  } finally {
    await cluster.remove();
    for (const path of [folder, BACKUPS]) await rm(path, { recursive: true, force: true });
  }
}

await main();
