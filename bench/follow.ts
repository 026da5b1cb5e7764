// follow.ts: how many changes a second one mover follows: a feed of short writes is kept on disk, then copied into two nodes.
// `node bench/follow.ts --help`; needs redis-server and redis-benchmark.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { Command } from "commander";
import { MoveSource } from "../runtime/move/move-source.ts";
import { Spool } from "../runtime/move/spool.ts";
import { openNodeTarget } from "../runtime/move/target.ts";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { infoOf } from "../runtime/replication/node-info.ts";
import { openNodeSocket } from "../runtime/replication/node-socket.ts";
import { startRedis } from "../test/support/redis-server.ts";
import { wholeFrom } from "./option-values.ts";
import { endAll, onEnd } from "./side-by-side.ts";

const { writes } = new Command("bench/follow.ts")
  .description("Follows a feed of SET, SADD, HSET and INCR by one mover, into two nodes.")
  .option("--writes <n>", "writes of the feed", wholeFrom(4), 400_000)
  .addHelpText("after", "\nExample:\n  $ node bench/follow.ts --writes 40000")
  .parse()
  .opts<{ writes: number }>();

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 256mb"];
const KINDS = [
  ["-t", "set"],
  ["-t", "sadd"],
  ["-t", "hset"],
  ["INCR", "c:__rand_int__"],
] as const;
const VALUE_BYTES_MAX = 1024 * 1024;
const run = promisify(execFile);

async function measure(): Promise<void> {
  const [first, ...others] = [
    await startRedis(SETTINGS, onEnd),
    await startRedis([], onEnd),
    await startRedis([], onEnd),
  ];
  const access = { clock, silenceMsMax: 60_000 };
  const address = { host: "127.0.0.1", port: first.port };
  const targets = await Promise.all(
    others.map(({ port }) => openNodeTarget({ host: "127.0.0.1", port }, access)),
  );
  const folder = await mkdtemp(join(tmpdir(), "twine-follow-"));
  const spool = await Spool.open(join(folder, "feed"));
  const asked = await openNodeSocket(address, access);
  const source = new MoveSource({
    ...{ address, db: 0, targets, spool, clock, valueBytesMax: VALUE_BYTES_MAX },
    targetOf: (key) => crc32(key) % targets.length,
    signal: new AbortController().signal,
  });
  onEnd(async () => {
    await source.close();
    await spool.close();
    for (const target of targets) target.close();
    asked.destroy();
    await rm(folder, { recursive: true, force: true });
  });
  await source.load();
  for (const kind of KINDS) {
    const count = String(Math.floor(writes / KINDS.length));
    await run("redis-benchmark", [
      ...["-p", String(first.port), "-P", "32", "-q", "-r", "100000", "-n", count, ...kind],
    ]);
  }
  const goal = Number((await infoOf(asked, "replication")).get("master_repl_offset"));
  while (source.offset + source.waitingBytes < goal) await clock.delay(20);
  const [beganMs, before] = [clock.nowMs(), process.cpuUsage()];
  await source.drainTo(goal);
  const seconds = (clock.nowMs() - beganMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  const perSecond = Math.round(source.changes / seconds);
  const perCpuSecond = Math.round(source.changes / ((user + system) / 1e6));
  const load = loadavg()[0]?.toFixed(0) ?? "-";
  process.stdout.write(
    `${source.changes} changes: ${perSecond} a second, ${perCpuSecond} a second of processor time, load ${load}\n`,
  );
}

try {
  await measure();
} finally {
  await endAll();
}
