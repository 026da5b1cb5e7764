#!/usr/bin/env node
// twine-router: one hash router of twine.conf in the foreground: any Redis client on the whole cluster.
import cluster from "node:cluster";
import { hostname } from "node:os";
import { listenOn } from "../cli/listen.ts";
import { loadConf, printWarnings, readPassword, runTool, tool, twineVersion } from "../cli/tool.ts";
import { nodesOf, type ClusterConfig, type RouterNode } from "../core/cluster.ts";
import { EXIT } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { pinoLog } from "../ports/log.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { followView } from "../register/follow.ts";
import { demandFree } from "../router/free-port.ts";
import { takeChangedConf } from "../router/rules/reload.ts";
import { startRouter } from "../router/server.ts";
import type { RouterFacts } from "../router/stats/metrics.ts";
import { startStatsServer, type Figures, type StatsServer } from "../router/stats/server.ts";
import { loadTls } from "../router/rules/tls.ts";
import { WorkerPool, WorkersFailed } from "../router/workers/pool.ts";
import { answerParent, clientIdsFrom, leaveParent } from "../router/workers/process.ts";

const program = tool({
  name: "twine-router",
  summary:
    "Runs one router of the cluster in the foreground: clients speak to it as to one Redis. SIGTERM answers what is owed and ends; SIGHUP reads twine.conf anew.",
  examples: ["$ twine-router r1 --conf twine.conf", "$ redis-cli -p 6400 set foo bar"],
}).argument("<name>", "a router of twine.conf");

/** A worker has drain-for to answer what it owes, and so long to end after that. */
const END_MARGIN_MS = 2000;

interface Start {
  readonly config: ClusterConfig;
  readonly node: RouterNode;
  readonly password: string | undefined;
  readonly addresses: readonly string[];
}

async function main(): Promise<number> {
  program.parse();
  const { config, warnings } = loadConf(program.opts<{ conf?: string }>());
  if (cluster.isPrimary) printWarnings(warnings);
  const node = namedNode(config, "router", program.args[0] ?? "");
  const password = readPassword();
  const addresses = listenOn(node.host, password !== undefined);
  const start = { config, node, password, addresses };
  const isParent = cluster.isPrimary && config.settings.workers > 1;
  return isParent ? runWorkers(start) : runRouter(start);
}

/** The router itself: the only process, or one worker. */
async function runRouter({ config, node, password, addresses }: Start): Promise<number> {
  const { worker } = cluster;
  const log = pinoLog(worker === undefined ? node.name : `${node.name}/${worker.id}`);
  const partitioner = await loadPartitioner(config);
  const ports = { config, password, clock: systemClock, log };
  const { nodes: tls } = await loadTls(config);
  const openLink: OpenLink = (address, options) => openRedisLink(address, { ...options, tls });
  const viewSource = followView({ ...ports, openLink, user: "router" });
  let stats: StatsServer | undefined;
  try {
    const listen = addresses.map((host) => ({ host, port: node.port }));
    const ofWorker =
      worker === undefined ? {} : { isPortShared: true, clientIdsFrom: clientIdsFrom(worker.id) };
    const { name } = node;
    const ownPorts = { ...ports, viewSource, partitioner, listen };
    const router = await startRouter({ ...ownPorts, name, ...ofWorker });
    const read = (): ClusterConfig => loadConf(program.opts<{ conf?: string }>()).config;
    let reloading = Promise.resolve();
    process.on("SIGHUP", () => {
      reloading = reloading.then(() => takeChangedConf(router, read, log));
    });
    const ended = untilEnded();
    if (worker === undefined) {
      const facts = factsOf(config, node);
      stats = await openStats(addresses, node, () =>
        Promise.resolve({ snapshot: router.snapshot(), facts: facts(0) }),
      ).catch(async (error: unknown) => {
        await router.close();
        throw error;
      });
      log.info("started", { port: node.port, cluster: config.settings.cluster });
    } else {
      answerParent(process, () => router.snapshot());
    }
    await ended;
    log.info("draining");
    await router.close();
    log.info("stopped");
    return EXIT.ok;
  } finally {
    await stats?.close();
    await viewSource.close();
    await partitioner.close();
  }
}

/** The parent of several workers. */
async function runWorkers({ config, node, addresses }: Start): Promise<number> {
  const { workers: count, cluster: name } = config.settings;
  const log = pinoLog(node.name);
  await demandFree(addresses.map((host) => ({ host, port: node.port })));
  const pool = new WorkerPool({ cluster, count, clock: systemClock, log });
  process.on("SIGHUP", () => {
    pool.hangUp();
  });
  const endWaitMs = config.settings.drainForMs + END_MARGIN_MS;
  let stats: StatsServer | undefined;
  const ended = untilEnded();
  try {
    if ((await Promise.race([pool.listening(), ended])) === "ended")
      return await pool.end(endWaitMs);
    const facts = factsOf(config, node);
    stats = await openStats(addresses, node, async () => ({
      snapshot: await pool.snapshot(),
      facts: facts(pool.restarts),
    }));
    log.info("started", { port: node.port, cluster: name, workers: count });
    await ended;
  } catch (error) {
    await pool.end(endWaitMs);
    // The worker has said it.
    if (error instanceof WorkersFailed) return error.exitCode;
    throw error;
  } finally {
    await stats?.close();
  }
  const exitCode = await pool.end(endWaitMs);
  log.info("stopped");
  return exitCode;
}

function openStats(
  addresses: readonly string[],
  { statsPort: port }: RouterNode,
  collect: () => Promise<Figures>,
): Promise<StatsServer | undefined> {
  if (port === undefined) return Promise.resolve(undefined);
  return startStatsServer({ addresses, port, collect, clock: systemClock });
}

/** What is said of the router beside its figures; the number of restarts is told anew each time. */
function factsOf(config: ClusterConfig, { name }: RouterNode): (restarts: number) => RouterFacts {
  const nowS = (): number => Date.parse(systemClock.wallTime()) / 1000;
  const { cluster: ofCluster, workers } = config.settings;
  const fixed = {
    ...{ name, workers, cluster: ofCluster, host: hostname(), version: twineVersion() },
    ...{ startedAtS: nowS(), nodeNames: nodesOf(config, "data").map((node) => node.name) },
  };
  return (workerRestarts) => ({ ...fixed, workerRestarts, nowS: nowS() });
}

function untilEnded(): Promise<"ended"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve("ended");
      });
    }
  });
}

await runTool(main);
leaveParent(process);
