// load.ts: what twine-load costs the clients of its source, and how fast it is: from a plain Redis, a twemproxy pool and a Redis
// Cluster. Beside it `redis-cli --cluster import` of the plain Redis into a Redis Cluster, and `redis-cli --rdb`.
// `node bench/load.ts --help`; needs redis-server and redis-cli.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { binPath } from "../runtime/cli/package-root.ts";
import { parseDistribution } from "../runtime/core/hash/distribution.ts";
import { builtinPlace } from "../runtime/core/routing.ts";
import { openNodeTarget, type Words } from "../runtime/move/target.ts";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { openNodeSocket } from "../runtime/replication/node-socket.ts";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { SLOT_RANGES, startRedisCluster } from "../test/support/redis-cluster.ts";
import { startRedis, type TestRedis } from "../test/support/redis-server.ts";
import { someOf, wholeFrom } from "./option-values.ts";
import { endAll, onEnd } from "./side-by-side.ts";

const CASES = ["redis", "twemproxy", "cluster", "import", "rdb"] as const;
type Case = (typeof CASES)[number];

const { keys, rounds, cases } = new Command("bench/load.ts")
  .description(
    "Loads a running system into a cluster of two partitions under a client that writes.",
  )
  .option("--keys <n>", "mixed keys of the source", wholeFrom(1000), 300_000)
  .option("--rounds <n>", "of each case, alternating; the median counts", wholeFrom(1), 3)
  .option("--cases <list>", CASES.join(","), someOf(CASES), [...CASES])
  .addHelpText("after", "\nExample:\n  $ node bench/load.ts --keys 20000 --rounds 1 --cases redis")
  .parse()
  .opts<{ readonly keys: number; readonly rounds: number; readonly cases: Case[] }>();

interface Source {
  readonly servers: readonly TestRedis[];
  /** As twine-load takes it. */
  readonly url: string;
  readonly homeOf: (key: Buffer) => number;
}

interface Row {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly beforeMs: number;
  readonly duringMs: number;
  /** From a write at the source until the cluster has it. */
  readonly lagMs: number;
}

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"];
const BATCH = 1_000;
const BEFORE_MS = 3_000;
const LAG_SAMPLES = 20;
const NONE = Number.NaN;

const startPair = () => Promise.all([startRedis(SETTINGS, onEnd), startRedis(SETTINGS, onEnd)]);
const startClustered = () => startRedisCluster(["repl-backlog-size 64mb"], SLOT_RANGES, onEnd);
const portOf = (server: TestRedis | undefined): number => server?.port ?? 0;

async function sourceOf(kind: Case): Promise<Source> {
  if (kind === "cluster") {
    const servers = await startClustered();
    const distribution = parseDistribution(["slots", ...SLOT_RANGES]);
    if (typeof distribution === "string") throw new Error(distribution);
    const homeOf = builtinPlace({ hash: "crc16", hashTag: "{}", partitions: 3, distribution });
    return { servers, homeOf, url: `cluster://127.0.0.1:${portOf(servers[0])}` };
  }
  if (kind === "twemproxy") {
    const servers = await startPair();
    const url = join(tmpdir(), `twine-bench-load-${process.pid}.yml`);
    onEnd(() => rm(url, { force: true }));
    const lines = servers.map(({ port }) => `    - 127.0.0.1:${port}:1`).join("\n");
    await writeFile(
      url,
      `pool:\n  listen: 127.0.0.1:22121\n  hash: crc32a\n  distribution: modula\n  redis: true\n  servers:\n${lines}\n`,
    );
    // twemproxy's crc32a is Twine's crc32.
    return { servers, url, homeOf: builtinPlace({ hash: "crc32", partitions: 2 }) };
  }
  const server = await startRedis(SETTINGS, onEnd);
  return { servers: [server], url: `redis://127.0.0.1:${server.port}`, homeOf: () => 0 };
}

/** A sixth of each: texts, counters, lists, hashes, sets, sorted sets. */
function commandOf(at: number): Words {
  const key = `key:${at}`;
  switch (at % 6) {
    case 0:
      return ["SET", key, "x".repeat(100)];
    case 1:
      return ["SET", key, String(at), "EX", "100000"];
    case 2:
      return ["RPUSH", key, "a", "b", "c", "d"];
    case 3:
      return ["HSET", key, "one", "1", "two", "2"];
    case 4:
      return ["SADD", key, "a", "b", "c"];
    default:
      return ["ZADD", key, "1", "a", "2", "b"];
  }
}

async function fill({ servers, homeOf }: Source): Promise<void> {
  const options = { clock, silenceMsMax: 60_000 };
  const targets = await Promise.all(
    servers.map(({ port }) => openNodeTarget({ host: "127.0.0.1", port }, options)),
  );
  for (let from = 0; from < keys; from += BATCH) {
    const batches = servers.map((): Words[] => []);
    for (let at = from; at < Math.min(keys, from + BATCH); at++) {
      batches[homeOf(Buffer.from(`key:${at}`))]?.push(commandOf(at));
    }
    await Promise.all(targets.map((target, at) => target.send(batches[at] ?? [])));
  }
  for (const target of targets) target.close();
}

/** One client of the first server that writes one key after the other, and knows how long each took. */
class Client {
  #tookMs: number[] = [];
  #isOver = false;
  readonly #running: Promise<void>;

  constructor(source: Source) {
    this.#running = this.#run(source).catch((error: unknown) => {
      process.stderr.write(`the source's client: ${String(error)}\n`);
    });
  }

  /** The p99 since the last call. */
  take(): number {
    const sorted = this.#tookMs.sort((a, b) => a - b);
    this.#tookMs = [];
    return sorted[Math.floor(sorted.length * 0.99)] ?? NONE;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run({ servers, homeOf }: Source): Promise<void> {
    const address = { host: "127.0.0.1", port: portOf(servers[0]) };
    const socket = await openNodeSocket(address, { clock, silenceMsMax: 60_000 });
    for (let at = 0; !this.#isOver; at = (at + 1) % 10_000) {
      const key = `client:${at}`;
      if (homeOf(Buffer.from(key)) !== 0) continue;
      const beganMs = performance.now();
      await socket.call("SET", key, String(beganMs));
      this.#tookMs.push(performance.now() - beganMs);
      await clock.delay(1);
    }
    socket.destroy();
  }
}

/** Processor time so far, in seconds; 100 ticks are one. */
async function cpuOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
}

async function lagOf({ servers, homeOf }: Source, routerPort: number): Promise<number> {
  const options = { clock, silenceMsMax: 60_000 };
  const [from, to] = await Promise.all(
    [portOf(servers[0]), routerPort].map((port) =>
      openNodeSocket({ host: "127.0.0.1", port }, options),
    ),
  );
  const lags: number[] = [];
  for (let at = 0; lags.length < LAG_SAMPLES; at++) {
    const key = `lag:${at}`;
    if (homeOf(Buffer.from(key)) !== 0) continue;
    await from?.call("SET", key, "1");
    const beganMs = performance.now();
    while ((await to?.call("GET", key))?.type !== "bulk") await clock.delay(1);
    lags.push(performance.now() - beganMs);
  }
  for (const socket of [from, to]) socket?.destroy();
  return median(lags);
}

async function loaded(source: Source, client: Client): Promise<Omit<Row, "beforeMs">> {
  const cluster = await FaultCluster.create(
    clusterConf({
      ...{ partitions: 2, nodesPerPartition: 1, routers: 1, nameOf: byLetter },
      lines: ["partitions 2", "cluster loaded"],
    }),
  );
  try {
    await cluster.start();
    client.take();
    const beganMs = performance.now();
    const args = [binPath("twine-load", "runtime"), source.url, "--no-verify"];
    const child = spawn(process.execPath, [...args, "--conf", cluster.config.file], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(child, "close");
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    while (!said.includes("following:")) {
      if (child.exitCode !== null) throw new Error(said);
      await clock.delay(5);
    }
    const seconds = (performance.now() - beganMs) / 1000;
    const duringMs = client.take();
    const cpuSeconds = await cpuOf(child.pid ?? 0);
    const lagMs = await lagOf(source, cluster.port("r1"));
    child.kill("SIGINT");
    await ended;
    return { seconds, duringMs, cpuSeconds, lagMs };
  } finally {
    await cluster.remove();
  }
}

/** What redis-cli does by itself. It follows nothing: writes meanwhile are missing. */
async function byRedisCli(kind: Case, source: Source, client: Client) {
  const from = `127.0.0.1:${portOf(source.servers[0])}`;
  const file = join(tmpdir(), `twine-bench-load-${process.pid}.rdb`);
  onEnd(() => rm(file, { force: true }));
  const targets = kind === "import" ? await startClustered() : [];
  const first = `127.0.0.1:${portOf(targets[0])}`;
  const copy = ["--cluster-from", from, "--cluster-copy", "--cluster-replace"];
  const args =
    kind === "import"
      ? ["--cluster", "import", first, ...copy]
      : ["-p", String(portOf(source.servers[0])), "--rdb", file];
  client.take();
  const beganMs = performance.now();
  await promisify(execFile)("redis-cli", args, { maxBuffer: 256 * 1024 * 1024 });
  const seconds = (performance.now() - beganMs) / 1000;
  return { seconds, duringMs: client.take(), cpuSeconds: NONE, lagMs: NONE };
}

async function one(kind: Case): Promise<Row> {
  const source = await sourceOf(kind);
  await fill(source);
  const client = new Client(source);
  try {
    await clock.delay(BEFORE_MS);
    const beforeMs = client.take();
    const isPeer = kind === "import" || kind === "rdb";
    const row = await (isPeer ? byRedisCli(kind, source, client) : loaded(source, client));
    return { beforeMs, ...row };
  } finally {
    await client.stop();
    await endAll();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NONE;
}

function show(kind: Case, rows: readonly Row[]): void {
  const of = (name: keyof Row): number => median(rows.map((row) => row[name]));
  const shown = (value: number, unit: string): string =>
    Number.isNaN(value) ? "-" : `${value.toFixed(1)} ${unit}`;
  const rate = Math.round(keys / of("seconds"));
  const cells = [
    `${rate} keys/s`,
    shown(of("seconds"), "s"),
    shown(of("cpuSeconds"), "s"),
    shown(of("beforeMs"), "ms"),
    shown(of("duringMs"), "ms"),
    shown(of("lagMs"), "ms"),
  ];
  process.stdout.write(
    `${kind.padEnd(10)}${cells.map((cell) => cell.padStart(15)).join("")}  load ${loadavg()[0]?.toFixed(1) ?? ""}\n`,
  );
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void endAll().then(() => process.exit(1)));
}
try {
  const rows = new Map<Case, Row[]>();
  for (let round = 0; round < rounds; round++) {
    for (const kind of cases) rows.set(kind, [...(rows.get(kind) ?? []), await one(kind)]);
  }
  const heads = ["rate", "wall", "processor", "p99 before", "p99 during", "lag"];
  process.stdout.write(`${" ".repeat(10)}${heads.map((head) => head.padStart(15)).join("")}\n`);
  for (const [kind, found] of rows) show(kind, found);
} finally {
  await endAll();
}
