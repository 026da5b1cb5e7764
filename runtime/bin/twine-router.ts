#!/usr/bin/env node
// twine-router: one hash router of twine.conf in the foreground: any Redis client on the whole cluster.
import { listenOn } from "../cli/listen.ts";
import { loadConf, printWarnings, readPassword, runTool, tool } from "../cli/tool.ts";
import { EXIT } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { pinoLog } from "../ports/log.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { followView } from "../register/follow.ts";
import { startRouter } from "../router/server.ts";

const program = tool({
  name: "twine-router",
  summary:
    "Runs one router of the cluster in the foreground: clients speak to it as to one Redis. SIGTERM answers what is owed and ends.",
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
  const viewSource = followView({ ...ports, openLink: openRedisLink, user: "router" });
  try {
    const hosts = listenOn(node.host, password !== undefined);
    const listen = hosts.map((host) => ({ host, port: node.port }));
    const router = await startRouter({ ...ports, viewSource, partitioner, listen });
    process.on("SIGHUP", () => {
      log.warn("a router reads twine.conf at its start only: restart it to take a changed one");
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
