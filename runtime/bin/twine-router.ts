#!/usr/bin/env node
// twine-router: one hash router of twine.conf in the foreground: any Redis client on the whole cluster.
import { isIP } from "node:net";
import { loadConf, printWarnings, readPassword, runTool, tool } from "../cli/tool.ts";
import { addressOf, nodesOf, type ClusterConfig, type RouterNode } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { pinoLog } from "../ports/log.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { followView } from "../register/follow.ts";
import { startRouter, type ListenAddress } from "../router/server.ts";

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
  const node = routerNamed(config, program.args[0] ?? "");
  const password = readPassword();
  const log = pinoLog(node.name);
  const partitioner = await loadPartitioner(config);
  const ports = { config, password, clock: systemClock, log };
  const viewSource = followView({ ...ports, openLink: openRedisLink, user: "router" });
  try {
    const listen = listenAddresses(node, password);
    const router = await startRouter({ ...ports, viewSource, partitioner, listen });
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

/** Throws NODE_UNKNOWN, listing the routers there are. */
function routerNamed(config: ClusterConfig, name: string): RouterNode {
  const routers = nodesOf(config, "router");
  const found = routers.find((router) => router.name === name);
  if (found !== undefined) return found;
  const other = config.nodes.find((node) => node.name === name);
  const what = other === undefined ? "is not in" : `is a ${other.kind} node, not a router, in`;
  const names = routers.map((router) => router.name).join(", ");
  throw new TwineError(
    {
      code: "NODE_UNKNOWN",
      message: `${name} ${what} ${config.file}`,
      remedy:
        names === ""
          ? "add a line like r1=router localhost 6400"
          : `name one of its routers: ${names}`,
    },
    { exitCode: EXIT.usage },
  );
}

/** Without a password nothing leaves this machine. A host that is a name is resolved by the system. */
function listenAddresses(node: RouterNode, password: string | undefined): ListenAddress[] {
  const { port } = node;
  const address = addressOf(node.host);
  if (address.startsWith("127.") || password === undefined) return [{ host: "127.0.0.1", port }];
  if (isIP(address) === 0) return [{ host: "0.0.0.0", port }];
  return [
    { host: "127.0.0.1", port },
    { host: address, port },
  ];
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
