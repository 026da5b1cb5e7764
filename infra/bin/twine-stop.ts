#!/usr/bin/env node
// twine-stop [host|node]: stops what twine-start started on this machine, routers first, status nodes last; or one node
// alone, and when that is a master, another node of its partition takes over before.
// Listens for Ctrl-C before it loads the rest of itself, so that even an early one is answered with what still runs.
import { randomUUID } from "node:crypto";
import type { ToolOptions } from "../../runtime/cli/tool.ts";
import type { ClusterConfig, ClusterNode } from "../../runtime/core/cluster.ts";
import type { LocalRequest } from "../local/context.ts";
import { interruption } from "../local/interruption.ts";
import type { LeftOver } from "../local/left-overs.ts";

const signal = interruption();
const { addressOf, nodesOf } = await import("../../runtime/core/cluster.ts");
const { credentialsOf } = await import("../../runtime/core/credentials.ts");
const { EXIT, TwineError } = await import("../../runtime/core/errors.ts");
const { askRole } = await import("../local/ask.ts");
const { loadConf, printWarnings, readPassword, runTool, tool } =
  await import("../../runtime/cli/tool.ts");
const { twineHome } = await import("../../runtime/cli/package-root.ts");
const { findLeftNode, requireHere, stop } = await import("../local/commands.ts");
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
      "a host, or one node, of twine.conf or lately so (default: the hosts whose address is this machine's)",
    )
    .option(
      "--no-handover",
      "stop a master at once: its partition is without one until a replica is promoted",
    );
  program.parse();
  const options = program.opts<ToolOptions & { handover: boolean }>();
  const { config } = loadConf(options);
  const [what] = program.args;
  const request = {
    config,
    dir: options.dir,
    password: readPassword(),
    home: twineHome(),
    progress: toolProgress(options.json === true),
    signal,
  };
  const { where, master } = await meaningOf(request, what);
  if (master !== undefined && options.handover) await handOver(request, master);
  const report = await stop({ ...request, ...where });
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    printWarnings(report.warnings);
    const { stopped, notRunning } = report;
    process.stdout.write(`${stopped.length} stopped, ${notRunning.length} were not running\n`);
  }
  return EXIT.ok;
}

interface Meaning {
  readonly where: Pick<LocalRequest, "host" | "nodes" | "leftOvers">;
  /** The node that is meant, when others must take over from it first. */
  readonly master?: Master | undefined;
}

interface Master {
  readonly name: string;
  /** "master of partition 0", or what else is known. */
  readonly role: string;
  /** Where twine.conf has another node of that name. */
  readonly movedTo?: string | undefined;
}

/** A host of that name is meant before a node, and a node of twine.conf before one that has left it. */
async function meaningOf(request: LocalRequest, what: string | undefined): Promise<Meaning> {
  const { nodes } = request.config;
  if (what === undefined || nodes.some(({ host }) => host === what))
    return { where: { host: what } };
  const node = nodes.find(({ name }) => name === what);
  const left = await findLeftNode(request, what);
  if (left !== undefined) {
    const where = { host: left.host, nodes: [], leftOvers: [what] };
    return { where, master: await leftMaster(left, node, request.password) };
  }
  if (node === undefined) return { where: { host: what } };
  const where = { host: node.host, nodes: [node.name] };
  // Nobody hands over for a stop that can't come.
  await requireHere({ ...request, ...where });
  return { where, master: await masterOf(request.config, node, request.password) };
}

/** Undefined unless another node of its partition could follow. */
async function masterOf(
  config: ClusterConfig,
  node: ClusterNode,
  password: string | undefined,
): Promise<Master | undefined> {
  if (node.kind !== "data") return undefined;
  const partition = nodesOf(config, "data").filter((other) => other.partition === node.partition);
  if (partition.length < 2) return undefined;
  const role = await askRole(addressOf(node.host), node.port, credentialsOf("health", password));
  if (role !== "master") return undefined;
  return { name: node.name, role: `master of partition ${node.partition}` };
}

/** Whose partition it was, and who could follow, only the alpha knows. */
async function leftMaster(
  { name, running, redis }: LeftOver,
  node: ClusterNode | undefined,
  password: string | undefined,
): Promise<Master | undefined> {
  if (running === undefined || redis?.kind !== "data") return undefined;
  const role = await askRole(redis.address, redis.port, credentialsOf("health", password));
  return role === "master" ? { name, role: "still a master", movedTo: node?.host } : undefined;
}

/** Has another node of the partition become master. Throws HANDOVER_FAILED, and nothing is stopped. */
async function handOver(
  { config, password }: LocalRequest,
  { name, role, movedTo }: Master,
): Promise<void> {
  const fail = (why: string): never => {
    throw new TwineError({
      code: "HANDOVER_FAILED",
      message: `${name} is ${role} and was not stopped: ${why}`,
      remedy: `see twine-status and try again, or stop it all the same: twine-stop ${name} --no-handover`,
    });
  };
  // Asked by its name, the alpha might take it for the other one.
  if (movedTo !== undefined) {
    fail(`twine.conf has ${name} on host ${movedTo} now, and this one hands over by itself`);
  }
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
    const body = { kind: "handover", node: name } as const;
    await askAlpha(board, body, { clock, id: randomUUID(), withinMs: HANDOVER_WITHIN_MS });
  } catch (error) {
    fail(error instanceof TwineError ? (error.problems[0]?.message ?? "") : String(error));
  } finally {
    await board.close();
  }
}

await runTool(main);
