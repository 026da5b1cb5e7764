// cut-pause.ts: how long the writes of all masters stand still for a consistent cut: a whole cluster of N partitions on
// 127.0.0.1, whose alpha is asked for one cut after the other while clients write to every partition.
// `node bench/cut-pause.ts --partitions 64 --cuts 300`; needs redis-server.
import { randomUUID } from "node:crypto";
import { Command } from "commander";
import { CUT_CHECK, type Cut } from "../runtime/core/cut.ts";
import { parseJson } from "../runtime/core/schema.ts";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { openRedisLink, type RedisLink } from "../runtime/ports/redis-link.ts";
import { askAlpha } from "../runtime/register/ask-alpha.ts";
import { openSharedHashes } from "../runtime/register/shared-hashes.ts";
import { clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { wholeFrom } from "./option-values.ts";

interface Options {
  partitions: number;
  nodes: number;
  cuts: number;
  writesPerSecond: number;
}

const options = new Command("bench/cut-pause.ts")
  .description(
    "Asks the alpha of a running cluster for consistent cuts and prints how long writes were paused.",
  )
  .option("--partitions <n>", "of the cluster", wholeFrom(1), 64)
  .option("--nodes <n>", "of each partition", wholeFrom(2), 2)
  .option("--cuts <n>", "asked for, one after the other", wholeFrom(1), 300)
  .option("--writes-per-second <n>", "of all partitions together", wholeFrom(0), 640)
  .parse()
  .opts<Options>();

const MAX_CHARS = 16 * 1024 * 1024;

function quantile(sorted: readonly number[], part: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN).toFixed(1);
}

/** Writes to one master after the other, at a steady pace. */
function startWriting(links: readonly RedisLink[], perSecond: number): () => void {
  if (perSecond === 0) return () => undefined;
  let at = 0;
  const perTick = Math.max(1, Math.round(perSecond / 100));
  const timer = setInterval(
    () => {
      for (let done = 0; done < perTick; done++) {
        links[at++ % links.length]?.call("INCR", "counter").catch(() => undefined);
      }
    },
    (1000 * perTick) / perSecond,
  );
  return () => {
    clearInterval(timer);
  };
}

async function main(): Promise<void> {
  const { partitions, nodes: nodesPerPartition } = options;
  const conf = clusterConf({
    ...{ partitions, nodesPerPartition, statusNodes: 1, monitors: 1 },
    lines: ["cluster cut", `partitions ${partitions}`],
  });
  const cluster = await FaultCluster.create(conf);
  const links: RedisLink[] = [];
  const board = openSharedHashes({
    ...{ config: cluster.config, password: undefined, clock, openLink: openRedisLink },
    user: "monitor",
  });
  try {
    await cluster.start();
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK", 120_000);
    for (const { master } of view.partitions) {
      const address = { host: "127.0.0.1", port: cluster.port(master ?? "") };
      links.push(await openRedisLink(address, { connectTimeoutMs: 5000 }));
    }
    const stopWriting = startWriting(links, options.writesPerSecond);
    const paused: number[] = [];
    const refused = new Map<string, number>();
    for (let at = 0; at < options.cuts; at++) {
      const asking = { clock, id: randomUUID(), withinMs: 15_000 };
      try {
        const answer = await askAlpha(board, { kind: "cut", by: "bench" }, asking);
        const parsed = parseJson<Cut>(answer, CUT_CHECK, MAX_CHARS);
        if (parsed.kind !== "parsed") throw new Error(parsed.why);
        paused.push(parsed.value.pausedMs);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        refused.set(why, (refused.get(why) ?? 0) + 1);
      }
      await clock.delay(20);
    }
    stopWriting();
    paused.sort((one, other) => one - other);
    process.stdout.write(
      `${paused.length} cuts of ${partitions} partitions of ${nodesPerPartition} nodes, ${options.writesPerSecond} writes/s\n` +
        `writes paused, ms: median ${quantile(paused, 0.5)}, p90 ${quantile(paused, 0.9)}, p99 ${quantile(paused, 0.99)}, worst ${quantile(paused, 1)}\n`,
    );
    for (const [why, count] of refused) process.stdout.write(`${count} refused: ${why}\n`);
    if (paused.length < options.cuts) process.exitCode = 1;
  } finally {
    for (const link of links) link.close();
    await board.close();
    await cluster.remove();
  }
}

await main();
