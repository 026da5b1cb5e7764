// peer.ts: the same under Redis Cluster: two masters, half of the first one's slots moved to the other by redis-cli, under
// clients that follow the cluster and count their writes.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Cluster } from "ioredis";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { freePort } from "../../test/support/port-claims.ts";
import { until } from "../../test/support/redis-server.ts";
import type { Gauge } from "./gauge.ts";

const run = promisify(execFile);
const SLOTS = 4096;
const KEYS = 200;
const PIPELINE = 12;

interface Measured {
  readonly writesPerSecond: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  readonly seconds: number;
}

type Measure = (
  count: () => number,
  gauge: Pick<Gauge, "take">,
  work: () => Promise<unknown>,
) => Promise<Measured>;

/** Counts every write; a batch is a pipeline of twelve, as the writers of Twine's side have. */
class Writer {
  acknowledged = 0;
  errors = 0;
  wrong = 0;
  tookMs: number[] = [];
  readonly #counts = new Map<string, number>();
  readonly #running: Promise<void>[];
  #isOver = false;

  constructor(cluster: Cluster, clients: number) {
    this.#running = Array.from({ length: clients }, (_, client) => this.#run(cluster, client));
  }

  take(): { readonly p99Ms: number; readonly longestMs: number } {
    const sorted = this.tookMs.toSorted((a, b) => a - b);
    this.tookMs = [];
    return { p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0, longestMs: sorted.at(-1) ?? 0 };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #run(cluster: Cluster, client: number): Promise<void> {
    for (let first = 0; !this.#isOver; first = (first + PIPELINE) % KEYS) {
      const beganMs = clock.nowMs();
      await Promise.all(
        Array.from({ length: PIPELINE }, (_, at) =>
          this.#add(cluster, `k:${client}:${first + at}`),
        ),
      );
      this.tookMs.push(clock.nowMs() - beganMs);
      await clock.delay(2);
    }
  }

  async #add(cluster: Cluster, key: string): Promise<void> {
    const expected = (this.#counts.get(key) ?? 0) + 1;
    const found = await cluster.incr(key).catch(() => undefined);
    if (found === undefined) this.errors++;
    else if (found !== expected) this.wrong++;
    else this.acknowledged++;
    this.#counts.set(key, found ?? expected);
  }
}

async function startMaster(folder: string, port: number): Promise<() => void> {
  const args = ["--port", `${port}`, "--cluster-enabled", "yes", "--dir", folder, "--save", ""];
  const file = `nodes-${port}.conf`;
  const child = spawn("redis-server", [...args, "--cluster-config-file", file], {
    stdio: "ignore",
  });
  const isUp = (): Promise<boolean> =>
    run("redis-cli", ["-p", `${port}`, "PING"]).then(
      () => true,
      () => false,
    );
  await until("a master of Redis Cluster answers", isUp);
  return () => child.kill("SIGKILL");
}

async function fill(cluster: Cluster, count: number): Promise<void> {
  for (let first = 0; first < count; first += 500) {
    const length = Math.min(500, count - first);
    await Promise.all(Array.from({ length }, (_, at) => cluster.set(`fill:${first + at}`, "v")));
  }
}

export async function movePeer(
  { keys, writers, before }: { keys: number; writers: number; before: number },
  measured: Measure,
) {
  const folder = await mkdtemp(join(tmpdir(), "twine-bench-"));
  const ports = [await freePort(), await freePort()];
  const ends: (() => void)[] = [];
  try {
    for (const port of ports) ends.push(await startMaster(folder, port));
    const places = ports.map((port) => `127.0.0.1:${port}`);
    await run("redis-cli", ["--cluster", "create", ...places, "--cluster-yes"]);
    const cluster = new Cluster(ports.map((port) => ({ host: "127.0.0.1", port })));
    ends.push(() => {
      cluster.disconnect();
    });
    await until("Redis Cluster is up", async () =>
      (await cluster.cluster("INFO").catch(() => "")).includes("cluster_state:ok"),
    );
    await fill(cluster, keys);
    const ids = await Promise.all(
      ports.map(async (port) =>
        (await run("redis-cli", ["-p", `${port}`, "CLUSTER", "MYID"])).stdout.trim(),
      ),
    );
    const inFirst = Number((await run("redis-cli", ["-p", `${ports[0]}`, "DBSIZE"])).stdout);
    const writer = new Writer(cluster, writers);
    const count = (): number => writer.acknowledged;
    const calm = await measured(count, writer, () => clock.delay(before * 1000));
    const move = ["--cluster-from", ids[0] ?? "", "--cluster-to", ids[1] ?? ""];
    const more = ["--cluster-slots", `${SLOTS}`, "--cluster-yes", "--cluster-pipeline", "100"];
    const args = ["--cluster", "reshard", places[0] ?? "", ...move, ...more];
    const during = await measured(count, writer, () =>
      run("redis-cli", args, { maxBuffer: 64 * 1024 * 1024 }),
    );
    await writer.stop();
    const { errors, wrong } = writer;
    const { seconds } = during;
    return { seconds, keys: Math.round(inFirst / 2), before: calm, during, errors, wrong };
  } finally {
    for (const end of ends.reverse()) end();
    await rm(folder, { recursive: true, force: true });
  }
}
