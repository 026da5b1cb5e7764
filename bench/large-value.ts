// large-value.ts: from which size on a SET through the router keeps a master silent for so long that it is suspended or
// replaced, and how long. `node bench/large-value.ts --help`; needs redis-server.
// The shipped settings: appendonly yes, down-after 1s. A connection of the bench's own asks the master PING without a rest;
// its longest wait is what a monitor could at most have seen as silence.
import { Command } from "commander";
import { loadavg } from "node:os";
import { systemClock } from "../runtime/ports/clock.ts";
import { openRedisLink } from "../runtime/ports/redis-link.ts";
import { clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { RawClient } from "../test/support/router-cluster.ts";
import { wholeFrom } from "./option-values.ts";

const MB = 1024 * 1024;
const REST_MS = 500;

const values = new Command("bench/large-value.ts")
  .description("How long a SET of a large value through the router keeps its master silent.")
  .option("--first <mb>", "the smallest value", wholeFrom(1), 16)
  .option("--last <mb>", "the largest value; each is twice the one before", wholeFrom(1), 256)
  .option("--rounds <n>", "values of each size", wholeFrom(1), 5)
  .option("--ack-replicas <n>", "as in twine.conf", wholeFrom(0), 0)
  .addHelpText(
    "after",
    "\nExample:\n  $ node bench/large-value.ts --first 64 --last 512 --rounds 3",
  )
  .parse()
  .opts<{ first: number; last: number; rounds: number; ackReplicas: number }>();

interface Watched {
  readonly longestMs: number;
}

/** The longest time that the node let a PING wait until `isOver`. */
async function watchSilence(port: number, isOver: () => boolean): Promise<Watched> {
  const link = await openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 5000 });
  let longestMs = 0;
  while (!isOver()) {
    const fromMs = performance.now();
    await link.call("PING");
    longestMs = Math.max(longestMs, performance.now() - fromMs);
  }
  link.close();
  return { longestMs };
}

async function setOnce(cluster: FaultCluster, megabytes: number): Promise<string> {
  const { master } = await cluster.partition(0);
  const before = new Date();
  const client = await RawClient.open(cluster.port("r1"));
  let isOver = false;
  const watched = watchSilence(cluster.port(master ?? ""), () => isOver);
  const fromMs = performance.now();
  const reply = await client.call(`SET large ${"x".repeat(megabytes * MB)}`);
  const tookMs = performance.now() - fromMs;
  // What is not replaced by now will not be: its next answer counts.
  await systemClock.delay(REST_MS);
  isOver = true;
  const { longestMs } = await watched;
  client.socket.destroy();
  const timeline = await cluster.timeline(before);
  const isReplaced = timeline.some((line) => / [-+]master /.test(line));
  const views = timeline.filter((line) => / \+view /.test(line)).length;
  const now = (await cluster.partition(0)).master;
  return `${megabytes} MB: ${reply.trim()} after ${tookMs.toFixed(0)} ms, longest silence ${longestMs.toFixed(0)} ms, views ${views}, ${isReplaced || now !== master ? "REPLACED" : "kept"}`;
}

const conf = clusterConf({
  partitions: 1,
  nodesPerPartition: 3,
  monitors: 3,
  statusNodes: 3,
  routers: 1,
  lines: ["redis appendonly yes", `ack-replicas ${values.ackReplicas}`],
});
const cluster = await FaultCluster.create(conf);
try {
  await cluster.start();
  for (let megabytes = values.first; megabytes <= values.last; megabytes *= 2) {
    for (let round = 0; round < values.rounds; round++) {
      const line = await setOnce(cluster, megabytes);
      process.stdout.write(`${line} (load ${loadavg()[0]?.toFixed(1) ?? ""})\n`);
      await cluster.viewWhere("OK", ({ state }) => state === "OK", 120_000);
    }
  }
} finally {
  await cluster.remove();
}
