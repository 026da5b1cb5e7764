#!/usr/bin/env node
// twine-router: runs one router of twine.conf in the foreground: the whole cluster for any Redis client.
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import cluster from "node:cluster";
import { hostname } from "node:os";
import { Option } from "commander";
import { listenOn } from "../cli/listen.ts";
import { loadConf, printWarnings, readPassword, runTool, tool, twineVersion } from "../cli/tool.ts";
import { nodesOf, type ClusterConfig, type RouterNode } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import { EXIT } from "../core/errors.ts";
import { isKnownHost } from "../core/known-hosts.ts";
import { namedNode } from "../core/named-node.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { readHttpToken } from "../ports/http-token.ts";
import { pinoLog, type ProcessLog } from "../ports/process-log.ts";
import { askToEnd } from "../ports/predecessor.ts";
import { openFilesMax } from "../ports/open-files.ts";
import { requireFree } from "../ports/listen.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import type { RouterSnapshot } from "../engine/stats/snapshot.ts";
import { readAdoptedConf } from "../register/adopted-conf.ts";
import { watchConfDrift, type ConfDrift } from "../register/conf-drift.ts";
import { followView } from "../register/follow.ts";
import { takeChangedConf } from "../router/rules/reload.ts";
import { startRouter } from "../router/server.ts";
import type { RouterFacts } from "../router/stats/metrics.ts";
import { startStatsServer, type Figures, type StatsServer } from "../router/stats/server.ts";
import { loadTls } from "../router/rules/tls.ts";
import { WorkerPool, WorkersFailed } from "../router/workers/pool.ts";
import { answerParent, clientIdsFrom, releaseParent } from "../router/workers/process.ts";

const program = tool({
  name: "twine-router",
  summary:
    "Runs one router of the cluster in the foreground: clients speak to it as to one Redis. SIGTERM sends the outstanding replies and ends; SIGHUP reads twine.conf again and reopens the log.",
  examples: ["$ twine-router r1 --conf twine.conf", "$ redis-cli -p 6400 set foo bar"],
})
  .argument("<name>", "a router of twine.conf")
  .addOption(
    // Used by twine-apply only; users do not need it.
    new Option(
      "--take-over <pid>",
      "share the port of that process of the same router, and end it once this one listens",
    ).hideHelp(),
  );

/** A worker has drain-for to send the outstanding replies, and this time to end after that. */
const END_MARGIN_MS = 2000;

interface RouterOptions {
  readonly conf?: string;
  readonly takeOver?: string;
}

interface Start {
  readonly config: ClusterConfig;
  /** The process of this router that this one replaces. */
  readonly predecessor: number | undefined;
  readonly node: RouterNode;
  readonly password: Secret | undefined;
  readonly addresses: readonly string[];
}

async function main(): Promise<number> {
  program.parse();
  const options = program.opts<RouterOptions>();
  const { config, warnings } = loadConf(options);
  requireTwinesMonitors(config, "twine-router", "twine-start, which starts twemproxy");
  if (cluster.isPrimary) printWarnings(warnings);
  const node = namedNode(config, "router", program.args[0] ?? "");
  const password = readPassword();
  const addresses = listenOn(node.host, password !== undefined);
  const predecessor = options.takeOver === undefined ? undefined : Number(options.takeOver);
  const start = { config, predecessor, node, password, addresses };
  if (cluster.isPrimary && predecessor === undefined) await requirePorts(start);
  const isParent = cluster.isPrimary && config.settings.workers > 1;
  return isParent ? runWorkers(start) : runRouter(start);
}

/** Ports can be shared with a process that is to be taken over, so each is checked first. */
async function requirePorts({ node, addresses }: Start): Promise<void> {
  const at = (port: number) => addresses.map((host) => ({ host, port }));
  await requireFree(at(node.port), "the router");
  if (node.statsPort !== undefined)
    await requireFree(at(node.statsPort), "the router's statistics");
}

/** The router itself: the only process, or one worker. */
async function runRouter(start: Start): Promise<number> {
  const { config, node, password, addresses } = start;
  const { worker } = cluster;
  const log = pinoLog(worker === undefined ? node.name : `${node.name}/${worker.id}`);
  const partitioner = await loadPartitioner(config);
  const ports = { config, password, clock: systemClock, log };
  const { nodes: tls } = loadTls(config);
  const openLink: OpenLink = (address, options) => openRedisLink(address, { ...options, tls });
  const viewSource = followView({ ...ports, openLink, user: "router" });
  let stats: StatsServer | undefined;
  try {
    const listen = addresses.map((host) => ({ host, port: node.port }));
    const ofWorker = worker === undefined ? {} : { clientIdsFrom: clientIdsFrom(worker.id) };
    const { name } = node;
    const ownPorts = { ...ports, viewSource, partitioner, listen, descriptors: openFilesMax() };
    const router = await startRouter({ ...ownPorts, name, isPortShared: true, ...ofWorker });
    const drift = watchConfDrift({
      ...{ config, viewSource, log },
      readConf: (digest) => readAdoptedConf({ ...ports, openLink, user: "router" }, digest),
    });
    const snapshot = (): RouterSnapshot => withDrift(router.snapshot(), drift);
    const read = (): ClusterConfig => loadConf(program.opts<RouterOptions>()).config;
    const reload = async (changed: ClusterConfig): Promise<readonly string[]> => {
      const waiting = await router.reload(changed);
      drift.reload(changed);
      return waiting;
    };
    let reloading = Promise.resolve();
    process.on("SIGHUP", () => {
      log.reopen();
      reloading = reloading.then(() => takeChangedConf({ reload }, read, log));
    });
    const ended = untilEnded();
    if (worker === undefined) {
      const facts = factsOf(config, node, log);
      stats = await openStats(config, addresses, node, () =>
        Promise.resolve({ snapshot: snapshot(), facts: facts(0) }),
      ).catch(async (error: unknown) => {
        await router.close();
        throw error;
      });
      log.info("started", { port: node.port, cluster: config.settings.cluster });
      await takeOver(start, log);
    } else {
      answerParent(process, snapshot);
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

function withDrift(snapshot: RouterSnapshot, drift: ConfDrift): RouterSnapshot {
  const confDiffers = drift.difference() === null ? 0 : 1;
  return { ...snapshot, levels: { ...snapshot.levels, confDiffers } };
}

/** The parent of several workers. */
async function runWorkers(start: Start): Promise<number> {
  const { config, node, addresses } = start;
  const { workers: count, cluster: name } = config.settings;
  const log = pinoLog(node.name);
  const pool = new WorkerPool({ cluster, count, clock: systemClock, log });
  process.on("SIGHUP", () => {
    log.reopen();
    pool.reload();
  });
  const endWaitMs = config.settings.drainForMs + END_MARGIN_MS;
  let stats: StatsServer | undefined;
  const ended = untilEnded();
  try {
    if ((await Promise.race([pool.listening(), ended])) === "ended")
      return await pool.end(endWaitMs);
    const facts = factsOf(config, node, log);
    stats = await openStats(config, addresses, node, async () => ({
      snapshot: await pool.snapshot(),
      facts: facts(pool.restarts),
    }));
    log.info("started", { port: node.port, cluster: name, workers: count });
    await takeOver(start, log);
    await ended;
  } catch (error) {
    await pool.end(endWaitMs);
    // The worker has logged its error.
    if (error instanceof WorkersFailed) return error.exitCode;
    throw error;
  } finally {
    await stats?.close();
  }
  const exitCode = await pool.end(endWaitMs);
  log.info("stopped");
  return exitCode;
}

/** The predecessor sends the outstanding replies and ends; new clients come to this process from now on. */
async function takeOver({ predecessor, node }: Start, log: ProcessLog): Promise<void> {
  if (predecessor === undefined) return;
  const isAsked = await askToEnd(predecessor, ["twine-router", node.name]);
  if (isAsked) log.info("takes over", { from: predecessor });
}

async function openStats(
  config: ClusterConfig,
  addresses: readonly string[],
  { statsPort: port }: RouterNode,
  collect: () => Promise<Figures>,
): Promise<StatsServer | undefined> {
  if (port === undefined) return undefined;
  // Errors in the file must be reported now, not at the first request.
  readHttpToken(config);
  return startStatsServer({
    ...{ addresses, port, collect, clock: systemClock, isPortShared: true },
    filesMax: openFilesMax(),
    isKnownHost: (header) => isKnownHost(header, config),
    token: () => readHttpToken(config),
  });
}

/** Facts about the router besides its statistics; the number of restarts is read at each call. */
function factsOf(
  config: ClusterConfig,
  { name }: RouterNode,
  log: ProcessLog,
): (restarts: number) => RouterFacts {
  const nowS = (): number => Date.parse(systemClock.wallTime()) / 1000;
  const { cluster: ofCluster, workers } = config.settings;
  const fixed = {
    ...{ name, workers, cluster: ofCluster, host: hostname(), version: twineVersion() },
    ...{ startedAtS: nowS(), nodeNames: nodesOf(config, "data").map((node) => node.name) },
  };
  return (workerRestarts) => ({
    ...fixed,
    workerRestarts,
    logLinesDropped: log.droppedCount(),
    nowS: nowS(),
  });
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
releaseParent(process);
