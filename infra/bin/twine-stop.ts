#!/usr/bin/env node
// twine-stop [host|node]: stops what twine-start started on this machine, routers first, status nodes last; or one node
// alone, and when that is a master, another node of its partition takes over before.
// Listens for Ctrl-C before it loads the rest of itself, so that even an early one is answered with what still runs.
import { randomUUID } from "node:crypto";
import type { ToolOptions } from "../../runtime/cli/tool.ts";
import type { ClusterConfig, ClusterNode } from "../../runtime/core/cluster.ts";
import { interruption } from "../local/interruption.ts";

const { signal } = interruption();
const { addressOf, nodesOf } = await import("../../runtime/core/cluster.ts");
const { credentialsOf } = await import("../../runtime/core/credentials.ts");
const { EXIT, TwineError } = await import("../../runtime/core/errors.ts");
const { askRole } = await import("../local/ask.ts");
const { loadConf, printWarnings, readPassword, runTool, tool } =
  await import("../../runtime/cli/tool.ts");
const { twineHome } = await import("../../runtime/cli/package-root.ts");
const { stop } = await import("../local/commands.ts");
const { toolProgress } = await import("../local/tool-progress.ts");

/** A handover takes a fraction of a second; a new alpha may have to be found first. */
const HANDOVER_WITHIN_MS = 15_000;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-stop",
    summary:
      "Stops the routers, monitors and nodes of this machine, in an order that loses nothing, with their data saved.",
    examples: [
      "$ twine-stop",
      "$ twine-stop db1",
      "$ twine-stop a6666",
      "$ twine-stop --json | jq .stopped",
    ],
    exitCodes: {
      1: "a node refuses to end, or another error; the text says which and why",
      130: "interrupted; the text says what was stopped and what still runs",
    },
  })
    .argument(
      "[what]",
      "a host of twine.conf, or one node (default: the hosts whose address is this machine's)",
    )
    .option(
      "--no-handover",
      "stop a master at once: its partition is without one until a replica is promoted",
    );
  program.parse();
  const options = program.opts<ToolOptions & { handover: boolean }>();
  const { config } = loadConf(options);
  const password = readPassword();
  const [what] = program.args;
  const node = nodeNamed(config, what);
  if (node !== undefined && options.handover) await handOver(config, node, password);
  const report = await stop({
    config,
    dir: options.dir,
    host: node?.host ?? what,
    nodes: node === undefined ? undefined : [node.name],
    password,
    home: twineHome(),
    progress: toolProgress(options.json === true),
    signal,
  });
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    printWarnings(report.warnings);
    const { stopped, notRunning } = report;
    process.stdout.write(`${stopped.length} stopped, ${notRunning.length} were not running\n`);
  }
  return EXIT.ok;
}

/** A host of that name is meant before a node. */
function nodeNamed(config: ClusterConfig, what: string | undefined): ClusterNode | undefined {
  if (config.nodes.some(({ host }) => host === what)) return undefined;
  return config.nodes.find(({ name }) => name === what);
}

/**
 * Has another node of the partition become master, when `node` is one that could be followed. Throws HANDOVER_FAILED, and
 * nothing is stopped.
 */
async function handOver(
  config: ClusterConfig,
  node: ClusterNode,
  password: string | undefined,
): Promise<void> {
  if (node.kind !== "data") return;
  const partition = nodesOf(config, "data").filter((other) => other.partition === node.partition);
  if (partition.length < 2) return;
  const role = await askRole(addressOf(node.host), node.port, credentialsOf("health", password));
  if (role !== "master") return;
  // Only whoever needs them loads them.
  const [{ systemClock: clock }, { openRedisLink }, { askAlpha }, { createNoticeBoard }] =
    await Promise.all([
      import("../../runtime/ports/clock.ts"),
      import("../../runtime/ports/redis-link.ts"),
      import("../../runtime/register/ask-alpha.ts"),
      import("../../runtime/register/notice-board.ts"),
    ]);
  const board = createNoticeBoard({ config, password, clock, openLink: openRedisLink });
  try {
    const body = { kind: "handover", node: node.name } as const;
    await askAlpha(board, body, { clock, id: randomUUID(), withinMs: HANDOVER_WITHIN_MS });
  } catch (error) {
    const why = error instanceof TwineError ? error.problems[0]?.message : String(error);
    throw new TwineError({
      code: "HANDOVER_FAILED",
      message: `${node.name} is master of partition ${node.partition} and was not stopped: ${why ?? ""}`,
      remedy: `see twine-status and try again, or stop it all the same: twine-stop ${node.name} --no-handover`,
    });
  } finally {
    await board.close();
  }
}

await runTool(main);
