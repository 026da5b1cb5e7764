#!/usr/bin/env node
// twine-router: one hash router of twine.conf in the foreground: any Redis client on the whole cluster.
import { listenOn } from "../cli/listen.ts";
import { loadConf, printWarnings, readPassword, runTool, tool } from "../cli/tool.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { pinoLog } from "../ports/log.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { followView } from "../register/follow.ts";
import { takeChangedConf } from "../router/reload.ts";
import { startRouter } from "../router/server.ts";
import { loadTls } from "../router/tls.ts";

const program = tool({
  name: "twine-router",
  summary:
    "Runs one router of the cluster in the foreground: clients speak to it as to one Redis. SIGTERM answers what is owed and ends; SIGHUP reads twine.conf anew.",
  examples: ["$ twine-router r1 --conf twine.conf", "$ redis-cli -p 6400 set foo bar"],
}).argument("<name>", "a router of twine.conf");

async function main(): Promise<number> {
  program.parse();
  const { config, warnings } = loadConf(program.opts<{ conf?: string }>());
  printWarnings(warnings);
  const node = namedNode(config, "router", program.args[0] ?? "");
  const password = readPassword();
  const log = pinoLog(node.name);
  const partitioner = await loadPartitioner(config);
  const ports = { config, password, clock: systemClock, log };
  const { nodes: tls } = await loadTls(config);
  const openLink: OpenLink = (address, options) => openRedisLink(address, { ...options, tls });
  const viewSource = followView({ ...ports, openLink, user: "router" });
  try {
    const hosts = listenOn(node.host, password !== undefined);
    const listen = hosts.map((host) => ({ host, port: node.port }));
    const { name } = node;
    const router = await startRouter({ ...ports, viewSource, partitioner, listen, name });
    const read = (): ClusterConfig => loadConf(program.opts<{ conf?: string }>()).config;
    let reloading = Promise.resolve();
    process.on("SIGHUP", () => {
      reloading = reloading.then(() => takeChangedConf(router, read, log));
    });
    log.info("started", { port: node.port, cluster: config.settings.cluster });
    await untilEnded();
    log.info("draining");
    await router.close();
    log.info("stopped");
    return EXIT.ok;
  } finally {
    await viewSource.close();
    await partitioner.close();
  }
}

function untilEnded(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve();
      });
    }
  });
}

await runTool(main);
