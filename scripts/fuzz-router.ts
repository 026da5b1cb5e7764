// fuzz-router.ts: random and mutated inputs against a router in a process of its own, over three redis-servers.
// Run: npm run fuzz:router -- [--inputs 1000000] [--seed 1] [--hostile 24] [--honest 4]
// Ends with 1 when the router broke, answered what is no RESP, mixed replies, or grew without bound while clients did
// not read. Prints the counts, and the router's resident memory along the way.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { encodeCommand } from "../runtime/resp/encode.ts";
import { fuzzRouter } from "../test/support/fuzz-router.ts";
import { freePort } from "../test/support/port-claims.ts";
import { startRedis, until } from "../test/support/redis-server.ts";
import { RawClient } from "../test/support/router-cluster.ts";

/** Throws what makes commander name the option and end. */
function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number, 0 or above.");
}

const values = new Command("fuzz-router")
  .description("Random and mutated inputs against a router, over three redis-servers.")
  .option("--inputs <n>", "how many", wholeNumber, 1_000_000)
  .option("--seed <n>", "the same seed sends the same", wholeNumber, 1)
  .option("--hostile <n>", "clients that send them", wholeNumber, 24)
  .option("--honest <n>", "clients whose replies must be their own", wholeNumber, 4)
  .allowExcessArguments(false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .addHelpText("after", "\nExample:\n  $ npm run fuzz:router -- --inputs 50000 --seed 7")
  .addHelpText("after", "\nExit codes: 0 nothing was broken; 1 something was; 2 wrong usage")
  .parse()
  .opts<{ inputs: number; seed: number; hostile: number; honest: number }>();

const MB = 1024 * 1024;
/** So many clients ask for replies of 100 kB and read none of them. */
const UNREAD_CLIENTS = 20;
/** As much may wait for one of them: half of it as replies on their way, the rest in buffers. */
const UNREAD_BYTES_MAX = 32 * MB;

const cleanUps: (() => Promise<void>)[] = [];

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

function say(what: string): void {
  process.stdout.write(`${what}\n`);
}

/** The router's process; `isAlive` is false once it has ended. */
async function startRouterProcess(): Promise<{ port: number; pid: number; isAlive(): boolean }> {
  const servers = await Promise.all(
    [1, 2, 3].map(() => startRedis([], (task) => cleanUps.push(task))),
  );
  const port = await freePort();
  const program = join(import.meta.dirname, "..", "bench", "router-process.ts");
  const args = [program, port, ...servers.map((server) => server.port)].map(String);
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
  cleanUps.push(
    () =>
      new Promise((resolve) => {
        child.once("exit", () => {
          resolve();
        });
        if (!isAlive() || !child.kill("SIGTERM")) resolve();
      }),
  );
  await until("the router answers", async () => {
    const client = await RawClient.open(port).catch(() => undefined);
    const reply = await client?.call("GET none");
    client?.socket.destroy();
    return reply === "$-1\r\n";
  });
  return { port, pid: child.pid ?? 0, isAlive };
}

/** How much the router grows while clients ask and don't read. */
async function unreadGrowth(port: number, pid: number): Promise<number> {
  const first = await RawClient.open(port);
  await first.callArgs(["SET", "big", "v".repeat(100_000)]);
  const before = await residentBytes(pid);
  const asked = encodeCommand(["GET", "big"]);
  const burst = Buffer.concat(Array.from({ length: 1000 }, () => asked));
  const sockets: Socket[] = [];
  for (let index = 0; index < UNREAD_CLIENTS; index++) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    socket.pause();
    sockets.push(socket);
    for (let count = 0; count < 20; count++) socket.write(burst);
  }
  let [peak, last] = [before, 0];
  await until(
    "the router has stopped growing",
    async () => {
      // Others are still served meanwhile.
      await first.call("STRLEN big");
      const now = await residentBytes(pid);
      const isStill = now <= last;
      last = now;
      peak = Math.max(peak, now);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return isStill;
    },
    60_000,
  );
  for (const socket of sockets) socket.destroy();
  first.socket.destroy();
  return peak - before;
}

async function run(): Promise<number> {
  const router = await startRouterProcess();
  const { port, pid } = router;
  const { inputs, seed, hostile, honest } = values;
  const startMs = performance.now();
  const watch = setInterval(() => {
    void residentBytes(pid).then((bytes) => {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
      say(`  after ${seconds} s: ${(bytes / MB).toFixed(0)} MB`);
    });
  }, 15_000);
  try {
    say(`seed ${seed}, ${inputs} inputs; at first ${(await residentBytes(pid)) / MB} MB`);
    const report = await fuzzRouter({ port, seed, inputs, hostile, honest });
    const seconds = (performance.now() - startMs) / 1000;
    say(JSON.stringify({ ...report, seconds: Math.round(seconds) }));
    say(`router alive: ${router.isAlive()}, ${((await residentBytes(pid)) / MB).toFixed(0)} MB`);
    const grown = await unreadGrowth(port, pid);
    say(`${UNREAD_CLIENTS} clients that don't read: ${(grown / MB).toFixed(0)} MB more`);
    return router.isAlive() && grown <= UNREAD_CLIENTS * UNREAD_BYTES_MAX ? 0 : 1;
  } finally {
    clearInterval(watch);
  }
}

try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
} finally {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}
