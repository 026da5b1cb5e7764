#!/usr/bin/env node
// twine-twemproxy: runs one twemproxy of twine.conf in the foreground and keeps its servers equal to the current masters.
//   NAME            asks Sentinel (or watches twemproxy-staging), restarts nutcracker with a new nutcracker.yml
//   NAME --notify   asks Sentinel once and writes twemproxy-staging; Sentinel runs this after a failover
import { dirname, resolve } from "node:path";
import { listenOn } from "../cli/listen.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../cli/tool.ts";
import { nodesOf, type ClusterConfig, type RouterNode } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import { systemClock } from "../ports/clock.ts";
import { pinoLog } from "../ports/process-log.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { SentinelPanel } from "../twemproxy/sentinel-panel.ts";
import { keepMasters } from "../twemproxy/keep-masters.ts";
import { notify } from "../twemproxy/notify.ts";
import { Nutcracker } from "../twemproxy/nutcracker.ts";
import { printAddress } from "../twemproxy/pool-file.ts";
import { nutcrackerProgram } from "../twemproxy/programs.ts";
import { takePoolFile } from "../twemproxy/take-pool-file.ts";
import { stagingSource } from "../twemproxy/staging.ts";

interface TwemproxyOptions extends ToolOptions {
  readonly file: string;
  readonly from?: string;
  readonly notify?: boolean;
}

const program = tool({
  name: "twine-twemproxy",
  summary:
    "Runs one twemproxy of twine.conf in the foreground. After a failover it writes the new masters into nutcracker.yml and restarts nutcracker. SIGTERM ends both.",
  examples: [
    "$ twine-twemproxy nutcracker --file partitions/localhost/nutcracker/nutcracker.yml",
    "$ twine-twemproxy nutcracker --notify   # writes the masters into twemproxy-staging, once",
  ],
  exitCodes: { 1: "it failed; the error says why; with --notify nothing was written" },
})
  .argument("<name>", "a router of twine.conf")
  .argument("[ignored...]", "what Sentinel passes to a script")
  .option("--file <file>", "the nutcracker.yml to keep", "nutcracker.yml")
  .option("--from <file>", "begin with the settings of this file, and with the present masters")
  .option("--notify", "ask Sentinel once and write the file that twemproxy-staging names");

async function main(): Promise<number> {
  program.parse();
  const options = program.opts<TwemproxyOptions>();
  const { config, warnings } = loadConf(options);
  const node = namedNode(config, "router", program.args[0] ?? "");
  if (config.settings.router !== "twemproxy") throw notTwemproxy(config, node);
  if (options.notify === true) return await notifyOnce(config, options);
  // The twine.conf of a container has every setting, also those that have no effect here.
  if (options.from === undefined) printWarnings(warnings);
  return await run(config, node, options);
}

function sentinels(config: ClusterConfig): SentinelPanel {
  const ports = { clock: systemClock, openLink: openRedisLink };
  return new SentinelPanel({ config, password: readPassword(), ...ports });
}

async function run(
  config: ClusterConfig,
  node: RouterNode,
  options: TwemproxyOptions,
): Promise<number> {
  const file = resolve(options.file);
  const log = pinoLog(node.name);
  const [host = "127.0.0.1"] = listenOn(node.host, readPassword() !== undefined);
  const staging = stagingOf(config);
  const source =
    staging === undefined ? sentinels(config) : stagingSource(config, staging, systemClock);
  if (options.from !== undefined) await takePoolFile(options.from, file, source);
  const keeper = new Nutcracker({
    program: nutcrackerProgram(process.env["PATH"] ?? ""),
    file,
    listen: { host: host === "0.0.0.0" ? "127.0.0.1" : host, port: node.port },
    stats: { host, port: node.statsPort ?? 0 },
    clock: systemClock,
    log,
    onEnd: () => {
      task.trigger();
    },
  });
  const ended = new Promise<void>((resolveEnd) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => {
        resolveEnd();
      });
  });
  process.on("SIGHUP", () => {
    log.reopen();
  });
  const task = keepMasters({
    ...{ source, keeper, file, log },
    password: readPassword(),
    clock: systemClock,
  });
  log.info("started", {
    port: node.port,
    cluster: config.settings.cluster,
    follows: staging ?? "Sentinel",
  });
  await ended;
  source.close();
  await task.stop();
  await keeper.stop();
  log.info("stopped");
  return EXIT.ok;
}

async function notifyOnce(
  config: ClusterConfig,
  { file, json }: TwemproxyOptions,
): Promise<number> {
  const staging = stagingOf(config);
  if (staging === undefined) {
    throw new TwineError({
      code: "STAGING_NONE",
      message: `${config.file} has no twemproxy-staging`,
      remedy: "write twemproxy-staging FILE; without it twine-twemproxy asks Sentinel by itself",
    });
  }
  const panel = sentinels(config);
  try {
    const masters = await notify({ reading: await panel.read(), file: resolve(file), staging });
    const text = masters.map(printAddress);
    if (json === true) process.stdout.write(`${JSON.stringify({ staging, masters: text })}\n`);
    else process.stdout.write(`${staging}: ${text.join(", ")}\n`);
    return EXIT.ok;
  } finally {
    panel.close();
  }
}

/** Absolute. */
function stagingOf({ file, settings }: ClusterConfig): string | undefined {
  const { twemproxyStaging } = settings;
  return twemproxyStaging === undefined ? undefined : resolve(dirname(file), twemproxyStaging);
}

function notTwemproxy(config: ClusterConfig, { name }: RouterNode): TwineError {
  return new TwineError({
    code: "ROUTER_NOT_TWEMPROXY",
    message: `${config.file} says router twine, and ${name} is one of ${nodesOf(config, "router").length} of those`,
    remedy: `write router twemproxy, or run twine-router ${name}`,
  });
}

await runTool(main);
