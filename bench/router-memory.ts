// router-memory.ts: what a router's memory does: per idle client, and over many commands at full speed.
// `node bench/router-memory.ts --help`; needs redis-server and redis-benchmark.
// Resident memory is the router process's own, from /proc. Idle clients have each asked once, so what a first command
// leaves behind counts. At full speed redis-benchmark runs SET, GET, MSET and LRANGE_100 in turn, over four partitions.
import { execFile, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { freePort } from "../test/support/port-claims.ts";
import { startRedis, until } from "../test/support/redis-server.ts";
import { RawClient } from "../test/support/router-cluster.ts";
import { wholeFrom } from "./option-values.ts";

const values = new Command("bench/router-memory.ts")
  .description("The router's memory per idle client, and over many commands at full speed.")
  .option("--clients <n>", "idle clients", wholeFrom(0), 10_000)
  .option("--commands <n>", "commands at full speed", wholeFrom(0), 50_000_000)
  .option("--minutes <n>", "as long at most", wholeFrom(0), 60)
  .option("--json <file>", "where the figures are written")
  .addHelpText(
    "after",
    "\nExample:\n  $ node bench/router-memory.ts --clients 1000 --commands 5000000",
  )
  .parse()
  .opts<{
    readonly clients: number;
    readonly commands: number;
    readonly minutes: number;
    readonly json?: string;
  }>();

const KB = 1024;
const MB = 1024 * KB;
const cleanUps: (() => Promise<void>)[] = [];
/** The system may refuse more at once. */
const OPEN_AT_ONCE = 200;
/** One run of redis-benchmark, and what a command of it counts for: MSET sets ten keys, LRANGE reads a hundred. */
const TURNS = [
  { test: "set", count: 1_000_000 },
  { test: "get", count: 1_000_000 },
  { test: "mset", count: 200_000 },
  { test: "lrange_100", count: 100_000 },
];

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * KB;
}

async function startRouterProcess(): Promise<{ port: number; pid: number }> {
  const servers = await Promise.all(
    [1, 2, 3, 4].map(() => startRedis([], (task) => cleanUps.push(task))),
  );
  const port = await freePort();
  const program = join(import.meta.dirname, "router-process.ts");
  const args = [program, port, ...servers.map((server) => server.port)].map(String);
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  cleanUps.push(
    () =>
      new Promise((resolve) => {
        child.once("exit", () => {
          resolve();
        });
        if (child.exitCode !== null || !child.kill("SIGTERM")) resolve();
      }),
  );
  await until("the router answers", async () => {
    const client = await RawClient.open(port).catch(() => undefined);
    const reply = await client?.call("GET none");
    client?.socket.destroy();
    return reply === "$-1\r\n";
  });
  return { port, pid: child.pid ?? 0 };
}

/** A connection that has asked once. */
function openIdle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write("GET none\r\n"));
    socket.once("data", () => {
      resolve(socket);
    });
    socket.once("error", reject);
    socket.once("close", () => {
      reject(new Error("the router closed a connection"));
    });
  });
}

async function measureIdle(port: number, pid: number): Promise<number> {
  const count = values.clients;
  // The first thousand warm up what all of them share.
  const sockets: Socket[] = [];
  const grow = async (to: number): Promise<void> => {
    while (sockets.length < to) {
      const more = Math.min(OPEN_AT_ONCE, to - sockets.length);
      sockets.push(...(await Promise.all(Array.from({ length: more }, () => openIdle(port)))));
    }
  };
  await grow(Math.min(1000, count / 2));
  const [warmCount, warmBytes] = [sockets.length, await residentBytes(pid)];
  await grow(count);
  const perClient = ((await residentBytes(pid)) - warmBytes) / (count - warmCount);
  for (const socket of sockets) socket.destroy();
  return perClient;
}

interface Sample {
  readonly commands: number;
  readonly seconds: number;
  readonly residentMb: number;
}

async function soak(port: number, pid: number): Promise<Sample[]> {
  const startMs = performance.now();
  const samples: Sample[] = [];
  let commands = 0;
  for (let turn = 0; commands < values.commands; turn++) {
    const seconds = Math.round((performance.now() - startMs) / 1000);
    if (seconds > values.minutes * 60) break;
    const residentMb = Math.round((await residentBytes(pid)) / MB);
    samples.push({ commands, seconds, residentMb });
    process.stdout.write(`${commands} commands, ${seconds} s: ${residentMb} MB\n`);
    for (const { test, count } of TURNS) {
      await promisify(execFile)("redis-benchmark", [
        ...["-p", String(port), "-c", "100", "-P", "16", "-r", "100000", "--csv"],
        ...["-n", String(count), "-t", test],
      ]);
      commands += count;
    }
  }
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const residentMb = Math.round((await residentBytes(pid)) / MB);
  samples.push({ commands, seconds, residentMb });
  process.stdout.write(`${commands} commands, ${seconds} s: ${residentMb} MB\n`);
  return samples;
}

try {
  const { port, pid } = await startRouterProcess();
  const idleBytes = await measureIdle(port, pid);
  process.stdout.write(`${values.clients} idle clients: ${(idleBytes / KB).toFixed(1)} KB each\n`);
  const samples = await soak(port, pid);
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify({ idleBytes, samples }, null, 2)}\n`);
  }
} finally {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}
