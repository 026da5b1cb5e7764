// seed-failover.ts: how long a shard takes no writes after a kill -9 of its master: twemproxy with Sentinel beside Twine's router
// with Twine's monitors, both as twine-setup writes them, kill by kill in turns. `node bench/seed-failover.ts --help`.
import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { openRouter, loadItems } from "../infra/check/items.ts";
import { killNodes, mend, requireWhole, type KillPorts } from "../infra/check/kill-nodes.ts";
import { readShard } from "../infra/check/shards.ts";
import { setup, start } from "../infra/local/commands.ts";
import type { LocalRequest } from "../infra/local/context.ts";
import { silentProgress } from "../infra/local/progress.ts";
import { twineHome } from "../runtime/cli/package-root.ts";
import { nodesOf } from "../runtime/core/cluster.ts";
import { systemClock } from "../runtime/ports/clock.ts";
import { openRedisLink } from "../runtime/ports/redis-link.ts";
import { readChosenView } from "../runtime/register/chosen-view.ts";
import { ClusterFolder } from "../test/support/cluster-folder.ts";
import { wholeFrom } from "./option-values.ts";

const DATA = [0, 1]
  .flatMap((partition) =>
    ["a", "b", "c"].map((name) => ({ partition, name: `${name}${partition}` })),
  )
  .map(({ partition, name }) => `${name}=data ${partition} {${name}} 0`)
  .join("\n");
/** Three Sentinels and three monitors: one alone needs nobody's vote. */
const WATCHERS = ["m1", "m2", "m3"].map((name) => `${name}=monitor {${name}}`).join("\n");
const STATUS = ["s1", "s2", "s3"].map((name) => `${name}=status {${name}}`).join("\n");
const STACKS: Readonly<Record<string, string>> = {
  "twemproxy + Sentinel": `${WATCHERS}\nr1=router {r1} {stats}\nrouter twemproxy\nfailover sentinel\n`,
  Twine: `${WATCHERS}\n${STATUS}\nr1=router {r1}\n`,
};

const { kills, downAfter, json } = new Command("bench/seed-failover.ts")
  .description("From kill -9 of a master until a write in its shard is taken through the router.")
  .option("--kills <n>", "of each", wholeFrom(1), 20)
  .option("--down-after <time>", "of both", "1s")
  .option("--json <file>", "where the times are written, in ms")
  .addHelpText("after", "\nExample:\n  $ node bench/seed-failover.ts --kills 3")
  .parse()
  .opts<{ readonly kills: number; readonly downAfter: string; readonly json?: string }>();

interface Contender {
  readonly name: string;
  readonly cluster: ClusterFolder;
  readonly ports: KillPorts;
  readonly timesMs: number[];
}

async function begin(name: string, lines: string): Promise<Contender> {
  const cluster = await ClusterFolder.create(
    `${DATA}\n${lines}down-after ${downAfter}\ncluster bench\n`,
  );
  const { config } = cluster;
  const request: LocalRequest = { config, home: twineHome(), progress: silentProgress };
  await setup(request);
  await start(request);
  const [router] = nodesOf(config, "router");
  if (router === undefined) throw new Error("the bench has a router");
  const ports: KillPorts = {
    ...{ config, password: undefined },
    openRouter: () => openRouter(config, router, undefined),
    pidOf: (node) => cluster.pid(node.name),
    readView: () =>
      readChosenView({
        ...{
          config,
          password: undefined,
          clock: systemClock,
          openLink: openRedisLink,
          user: "app",
        },
      }),
    signal: new AbortController().signal,
    startAgain: () => start(request),
  };
  await requireWhole(ports, [0, 1]);
  const redis = ports.openRouter();
  await loadItems(redis);
  redis.disconnect();
  return { name, cluster, ports, timesMs: [] };
}

async function kill({ name, ports, timesMs }: Contender, partition: number): Promise<void> {
  const { master } = await readShard(ports, partition);
  if (master === undefined) throw new Error(`${name}: shard ${partition + 1} has no master`);
  const { backAfterMs } = await killNodes(ports, [master]);
  timesMs.push(Math.round(backAfterMs));
  process.stdout.write(`${name}: ${Math.round(backAfterMs)} ms\n`);
  await mend(ports, [partition]);
}

function summary({ name, timesMs }: Contender): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    ((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) / 1000).toFixed(
      2,
    );
  return `${name}: ${sorted.length} kills, median ${at(0.5)} s, least ${at(0)} s, p90 ${at(0.9)} s, most ${at(1)} s\n`;
}

const contenders: Contender[] = [];
try {
  for (const [name, lines] of Object.entries(STACKS)) contenders.push(await begin(name, lines));
  for (let round = 0; round < kills; round++) {
    for (const contender of contenders) await kill(contender, round % 2);
  }
  for (const contender of contenders) process.stdout.write(summary(contender));
  if (json !== undefined) {
    const times = Object.fromEntries(contenders.map(({ name, timesMs }) => [name, timesMs]));
    await writeFile(json, `${JSON.stringify(times, null, 2)}\n`);
  }
} finally {
  for (const { cluster } of contenders) await cluster.end();
}
