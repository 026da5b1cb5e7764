// apply.ts: what clients see of changes of a running cluster: each change by one edit of twine.conf and one twine-apply, and
// beside it a rolling restart of Redis with Sentinel (replicas one by one, SENTINEL FAILOVER, then the old master).
// `node bench/apply.ts --help`; needs redis-server. The target is 0 errors, 0 lost, and no gap above 0.1 s.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { Redis } from "ioredis";
import { binPath } from "../runtime/cli/package-root.ts";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { freePort } from "../test/support/port-claims.ts";
import { until } from "../test/support/redis-server.ts";
import { BenchWriters, longestOf, type Written } from "./apply/writer.ts";
import type { Victim } from "./failover/contender.ts";
import { SentinelContender } from "./failover/sentinel.ts";
import { askPort, infoOf, RedisProcess } from "./failover/redis-process.ts";
import { someOf, wholeFrom } from "./option-values.ts";

const CONF = clusterConf({
  ...{ partitions: 2, nodesPerPartition: 3, nameOf: byLetter },
  ...{ statusNodes: 3, monitors: 3, routers: 2 },
  lines: ["partitions 2", "cluster bench", "redis tcp-backlog 200"],
});
/** Before a change the writers go on for so long: what the machine itself makes of them. */
const REST_MS = 10_000;
const AFTER_MS = 1000;
/** twine-apply reports a handover after it; writes wait from a moment before. */
const HANDOVER_WITHIN_MS = 2000;

interface Row {
  readonly change: string;
  readonly durationS: number;
  readonly handovers: number | undefined;
  /** The longest gap before the change, and the longest near a handover. */
  readonly restGapMs: number;
  readonly handoverGapMs: number;
  readonly written: Written;
}

const NAMES = ["twine", "sentinel"] as const;

const { rounds, only, json, newer } = new Command("bench/apply.ts")
  .description("Changes a running cluster under checked writers, and prints what they saw.")
  .option("--rounds <n>", "how often each change is made", wholeFrom(1), 3)
  .option("--only <names>", NAMES.join(","), someOf(NAMES), [...NAMES])
  .option("--newer <folder>", "a folder with another redis-server: the last change of each round")
  .option("--json <file>", "where every change is written down", ".cache/bench/apply.json")
  .parse()
  .opts<{ rounds: number; only: (typeof NAMES)[number][]; json: string; newer?: string }>();

interface Change {
  readonly name: string;
  readonly edit: (text: string) => string;
  /** Put before PATH. */
  readonly servers?: string;
}

async function changes(round: number): Promise<Change[]> {
  const [added, moved, router] = [await freePort(), await freePort(), await freePort()];
  const same = (text: string): string => text;
  const with_ = (line: string) => (text: string) => `${text}${line}\n`;
  return [
    { name: "nothing", edit: same },
    { name: "redis maxmemory", edit: with_(`redis maxmemory ${500 + round}mb`) },
    {
      name: "redis tcp-backlog: every data node restarts",
      edit: (text) => text.replace(/tcp-backlog \d+/, `tcp-backlog ${201 + round}`),
    },
    { name: "redis appendonly yes", edit: with_("redis appendonly yes") },
    { name: "redis appendonly no", edit: (text) => text.replace(/^redis appendonly yes\n/m, "") },
    { name: "a data node added", edit: with_(`a9=data 0 localhost ${added} 0`) },
    {
      name: "a data node moved to another port",
      edit: (text) => text.replace(/^a9=.*$/m, `a9=data 0 localhost ${moved} 0`),
    },
    { name: "a data node removed", edit: (text) => text.replace(/^a9=.*\n/m, "") },
    { name: "a router added", edit: with_(`r9=router localhost ${router}`) },
    { name: "a router removed", edit: (text) => text.replace(/^r9=.*\n/m, "") },
    ...(newer === undefined
      ? []
      : [
          {
            name: "another redis-server: every node of Redis restarts",
            edit: same,
            servers: newer,
          },
        ]),
  ];
}

/** `work` answers the times at which it was told of a handover. */
async function under(connect: () => Redis, prefix: string, work: () => Promise<readonly number[]>) {
  const writers = new BenchWriters(connect, prefix);
  writers.start();
  // The first writes wait for the connections.
  await delay(AFTER_MS);
  const restMs = performance.now();
  await delay(REST_MS);
  const beganMs = performance.now();
  const handovers = await work();
  const durationS = (performance.now() - beganMs) / 1000;
  await delay(AFTER_MS);
  const written = await writers.stop();
  const gaps = writers.gaps();
  const near = handovers.map((atMs) => longestOf(gaps, atMs - HANDOVER_WITHIN_MS, atMs));
  return {
    ...{ durationS, written: { ...written, longestGapMs: longestOf(gaps, beganMs) } },
    ...{ restGapMs: longestOf(gaps, restMs, beganMs), handoverGapMs: Math.max(0, ...near) },
  };
}

/** Answers when each handover was reported. */
async function apply(file: string, servers: string | undefined): Promise<readonly number[]> {
  const path = process.env["PATH"] ?? "";
  const env = { ...process.env, PATH: servers === undefined ? path : servers + delimiter + path };
  const args = [binPath("twine-apply", "infra"), "--conf", file];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  const lines: string[] = [];
  const handovers: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.includes(": master of partition ")) handovers.push(performance.now());
  }
  const [code] = (await ended) as [number | null];
  if (code !== 0) throw new Error(`twine-apply ended with ${String(code)}: ${lines.join("\n")}`);
  return handovers;
}

async function twineRows(round: number): Promise<Row[]> {
  const cluster = await FaultCluster.create(CONF);
  const rows: Row[] = [];
  try {
    await cluster.start();
    let next = 0;
    const connect = (): Redis =>
      new Redis({ port: cluster.port(`r${(next++ % 2) + 1}`), maxRetriesPerRequest: 0 });
    for (const { name, edit, servers } of await changes(round)) {
      const { file } = cluster.config;
      writeFileSync(file, edit(readFileSync(file, "utf8")));
      let handovers = 0;
      const seen = await under(connect, `w${round}:${rows.length}`, async () => {
        const reported = await apply(file, servers);
        handovers = reported.length;
        return reported;
      });
      rows.push({ change: name, handovers, ...seen });
      show(rows.at(-1));
      await cluster.viewWhere("OK", ({ state }) => state === "OK");
    }
  } finally {
    await cluster.remove();
  }
  return rows;
}

/** How a master leaves before its restart: asked of the sentinels, or stopped, so that they notice. */
type Leaving = "SENTINEL FAILOVER" | "SIGTERM";

async function sentinelRow(round: number, leaving: Leaving): Promise<Row> {
  const sentinel = new SentinelContender(1000, ["repl-diskless-sync-delay 0"]);
  try {
    await sentinel.start();
    const { route } = sentinel.place;
    const ports = "ports" in route ? route.ports : [];
    const sentinels = ports.map((port) => ({ host: "127.0.0.1", port }));
    // The detector leaves the old master as soon as a sentinel reports another one.
    const connect = (): Redis => new Redis({ sentinels, name: "mymaster", failoverDetector: true });
    const prefix = `${leaving}:${round}`;
    const seen = await under(connect, prefix, async () => {
      const { master, replicas } = await sentinel.roles();
      for (const replica of replicas) await restart(sentinel, replica);
      if (leaving === "SIGTERM") await restart(sentinel, master);
      else {
        await failOver(sentinel, ports[0] ?? 0, master.port);
        await restart(sentinel, master);
      }
      return [];
    });
    const change = `Redis with Sentinel: every data node restarts, the master after ${leaving}`;
    return { change, handovers: 1, ...seen };
  } finally {
    await sentinel.stop();
  }
}

async function failOver(sentinel: SentinelContender, port: number, master: number): Promise<void> {
  // Refused until the sentinels have noticed that the replicas are back.
  const ask = (): Promise<boolean> =>
    askPort(port, "SENTINEL", "FAILOVER", "mymaster").then(
      () => true,
      () => false,
    );
  await until("the sentinel fails over", ask, 60_000);
  await until("another one is master", async () => (await sentinel.readPort()) !== master);
  const follows = async (): Promise<boolean> =>
    (await infoOf(master, "replication")).get("role") !== "master";
  await until("the old master follows", follows, 60_000);
}

async function restart(sentinel: SentinelContender, node: Victim): Promise<void> {
  node.signal("SIGTERM");
  // Its port may refuse before the process is gone.
  if (!(node instanceof RedisProcess)) throw new Error(`${node.name} is a process of this bench`);
  await until("it is stopped", () => !node.isRunning);
  const isMaster = (await sentinel.readPort()) === node.port;
  if (isMaster)
    await until(
      "another one is master",
      async () => (await sentinel.readPort()) !== node.port,
      60_000,
    );
  await node.launch();
  const isOnline = async (): Promise<boolean> => {
    const replication = await infoOf(await sentinel.readPort(), "replication");
    const replicas = ["slave0", "slave1"].map((name) => replication.get(name) ?? "");
    return replicas.every((line) => line.includes("state=online"));
  };
  await until("both replicas are online", isOnline, 60_000);
}

function show(row: Row | undefined): void {
  if (row === undefined) return;
  const { change, written, handovers, durationS, restGapMs, handoverGapMs } = row;
  const { errors, lost, acknowledged, longestGapMs } = written;
  process.stdout.write(
    `${change}: ${errors} errors, ${lost} of ${acknowledged} lost, gap ${(longestGapMs / 1000).toFixed(2)} s ` +
      `(before ${(restGapMs / 1000).toFixed(2)}, in a handover ${(handoverGapMs / 1000).toFixed(2)}), ` +
      `${handovers ?? "-"} handovers, ${durationS.toFixed(1)} s\n`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function tableOf(rows: readonly Row[]): string {
  const lines = [...new Set(rows.map(({ change }) => change))].map((change) => {
    const same = rows.filter((row) => row.change === change);
    const gaps = same.map(({ written }) => written.longestGapMs / 1000);
    const sum = (of: (row: Row) => number): number => same.reduce((all, row) => all + of(row), 0);
    return [
      change,
      sum(({ written }) => written.errors),
      `${sum(({ written }) => written.lost)} of ${sum(({ written }) => written.acknowledged)}`,
      median(gaps).toFixed(2),
      Math.max(...gaps).toFixed(2),
      median(same.map(({ restGapMs }) => restGapMs / 1000)).toFixed(2),
      median(same.map(({ handoverGapMs }) => handoverGapMs / 1000)).toFixed(2),
      median(same.map(({ handovers = 0 }) => handovers)),
      median(same.map(({ durationS }) => durationS)).toFixed(1),
    ];
  });
  const head = [
    ...["change", "errors", "lost", "gap s", "longest", "before it s", "in a handover s"],
    ...["handovers", "takes s"],
  ];
  return [head, head.map(() => "---"), ...lines].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const rows: Row[] = [];
for (let round = 0; round < rounds; round++) {
  if (only.includes("twine")) rows.push(...(await twineRows(round)));
  if (!only.includes("sentinel")) continue;
  for (const leaving of ["SENTINEL FAILOVER", "SIGTERM"] as const) {
    const row = await sentinelRow(round, leaving);
    show(row);
    rows.push(row);
  }
}
const file = resolve(join(import.meta.dirname, ".."), json);
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
const machine = `${cpus().length} processors, load ${(loadavg()[0] ?? 0).toFixed(1)} at the end`;
process.stdout.write(`\n${tableOf(rows)}\n\n${machine}; every change: ${file}\n`);
