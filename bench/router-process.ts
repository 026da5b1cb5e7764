// router-process.ts: one router in a process of its own, for bench/router.ts: node bench/router-process.ts PORT NODE_PORT...
// The view is fixed, partition p's master being the p-th port; everything else is the router as it is shipped.
import { parseConf } from "../runtime/core/conf/parse.ts";
import { systemClock } from "../runtime/ports/clock.ts";
import { loadPartitioner } from "../runtime/ports/hash-source.ts";
import { pinoLog } from "../runtime/ports/process-log.ts";
import { startRouter } from "../runtime/router/server.ts";
import { HandKeptView } from "../test/support/router-cluster.ts";

const [port = 0, ...masters] = process.argv.slice(2).map(Number);
const lines = masters.map(
  (master, partition) => `n${master}=data ${partition} localhost ${master} 0`,
);
const { config } = parseConf(`${lines.join("\n")}\n`, "twine.conf");
if (config === undefined) throw new Error("give a port and the ports of the masters");
const viewSource = new HandKeptView();
viewSource.show(
  masters.map((master, partition) => ({ port: master, partition })),
  masters,
);
const partitioner = await loadPartitioner(config);
const router = await startRouter({
  config,
  viewSource,
  partitioner,
  password: undefined,
  clock: systemClock,
  log: pinoLog("bench"),
  listen: { host: "127.0.0.1", port },
});
process.once("SIGTERM", () => void router.close().then(() => partitioner.close()));
