#!/usr/bin/env node
// twine-failover: asks the alpha, through the status nodes, to make a data node master; or says what a loss would bring.
//
//   check the view -> leave the request on the board -> wait for the alpha's answer
//   --what-if: read the view, ask the data nodes -> the alpha's own rules, run here -> print
//
// The tool changes nothing itself: the alpha knows what the nodes hold at the moment of acting, the tool does not.
import { randomUUID } from "node:crypto";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import type { RequestBody } from "../core/request.ts";
import type { View } from "../core/view.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors } from "../register/acceptors.ts";
import { askAlpha } from "../register/ask-alpha.ts";
import { createNoticeBoard } from "../register/notice-board.ts";
import { readRegister } from "../register/read.ts";
import { parseView } from "../status/parse-view.ts";

/** An alpha answers within a lease or two; a new one has to be found first. */
const ANSWER_WITHIN_MS = 15_000;

type Options = ToolOptions & { acceptLoss?: string };

async function main(): Promise<number> {
  const program = tool({
    name: "twine-failover",
    summary:
      "Makes a data node the master of its partition: without any loss, or accepting one after an outage.",
    examples: ["$ twine-failover a6667", "$ twine-failover --accept-loss a6667"],
  })
    .argument("[node]", "the data node that is to be master; nothing is lost and no client notices")
    .option(
      "--accept-loss <node>",
      "make this node master of a partition that has none, whatever the others may have held",
    );
  program.parse();
  const options = program.opts<Options>();
  const body = requestOf(program.args[0], options);
  const { config } = loadConf(options);
  namedNode(config, "data", body.node);
  const message = await ask(config, body);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ ok: true, node: body.node, message })}\n`
      : `${message}\n`,
  );
  return EXIT.ok;
}

function requestOf(node: string | undefined, { acceptLoss }: Options): RequestBody {
  if (node !== undefined && acceptLoss !== undefined) {
    throw usage("TWO_ASKED", "two things were asked for", "give NODE or --accept-loss NODE");
  }
  if (acceptLoss !== undefined) return { kind: "accept-loss", node: acceptLoss };
  if (node !== undefined) return { kind: "promote-to", node };
  throw usage("NOTHING_ASKED", "nothing was asked for", "name a data node; see --help");
}

async function ask(config: ClusterConfig, body: RequestBody): Promise<string> {
  const ports = {
    config,
    password: readPassword(),
    clock: systemClock,
    openLink: openRedisLink,
    user: "app",
  } as const;
  const view = await readView(ports);
  const board = createNoticeBoard(ports);
  try {
    requirePartition(view, body);
    if (process.stderr.isTTY) {
      process.stderr.write(`asking the alpha to make ${body.node} master ...\n`);
    }
    const { clock } = ports;
    return await askAlpha(board, body, { clock, id: randomUUID(), withinMs: ANSWER_WITHIN_MS });
  } finally {
    await board.close();
  }
}

async function readView(ports: Parameters<typeof openAcceptors>[0]): Promise<View> {
  const opened = openAcceptors(ports);
  try {
    const reading = await readRegister(opened.acceptors, ports.config.settings.cluster);
    const body = reading.value?.body ?? null;
    if (body !== null) return parseView(body);
    const silent = [...reading.silent].map(([name, why]) => `${name} ${why}`).join("; ");
    throw new TwineError({
      code: "NO_VIEW",
      message: `the status nodes hold no view that is known to be chosen${silent === "" ? "" : ` (${silent})`}`,
      remedy: "start the status nodes and a monitor: twine-start",
    });
  } finally {
    opened.close();
  }
}

/** The cluster must know the node; and a loss can be accepted only where a partition has no master. */
function requirePartition(view: View, { kind, node: name }: RequestBody): void {
  const partition = view.partitions.find(
    ({ index }) => index === view.nodes.find((node) => node.name === name)?.partition,
  );
  if (partition === undefined) {
    throw new TwineError({
      code: "NODE_NOT_ADOPTED",
      message: `${name} is in twine.conf and not yet in the cluster's view`,
      remedy: "send SIGHUP to the monitors so that they read twine.conf again",
    });
  }
  if (kind !== "accept-loss" || partition.master === null) return;
  throw new TwineError({
    code: "NOTHING_TO_ACCEPT",
    message: `partition ${partition.index} has a master, ${partition.master}: there is no loss to accept`,
    remedy: `nothing needs to be done; to make ${name} master without a loss: twine-failover ${name}`,
  });
}

function usage(code: string, message: string, remedy: string): TwineError {
  return new TwineError({ code, message, remedy }, { exitCode: EXIT.usage });
}

await runTool(main);
