#!/usr/bin/env node
// twine-failover: asks the alpha, through the status nodes, to make a data node master; or says what a loss would bring.
//
//   check the view -> leave the request on the board -> wait for the alpha's answer
//   --what-if: read the view, ask the data nodes -> the alpha's own rules, run here -> print
//
// The tool changes nothing itself: the alpha knows what the nodes hold at the moment of acting, the tool does not.
import { randomUUID } from "node:crypto";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { hostsOf, type ClusterConfig } from "../core/cluster.ts";
import { didYouMean } from "../core/conf/suggest.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import type { RequestBody } from "../core/request.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import { whatIf, type Loss, type WhatIf } from "../monitor/decide/what-if.ts";
import { parseLastSeen } from "../monitor/observe/notices.ts";
import { readInfos } from "../monitor/observe/read-infos.ts";
import { whatIfText } from "../monitor/what-if-text.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors } from "../register/acceptors.ts";
import { askAlpha } from "../register/ask-alpha.ts";
import { createNoticeBoard } from "../register/notice-board.ts";
import { lookTwice } from "../register/look-twice.ts";
import { FOREIGN_REMEDY, isForeign, readRegister } from "../register/read.ts";
import { knowledgeOf } from "../status/knowledge.ts";
import { parseView } from "../status/parse-view.ts";

/** As twine-status says HALT. */
const WOULD_HALT = 20;
/** An alpha answers within a lease or two; a new one has to be found first. */
const ANSWER_WITHIN_MS = 15_000;

/** A data node that takes longer counts as one that does not answer. */
const INFO_WITHIN_MS = 1000;

type Options = ToolOptions & { acceptLoss?: string; forgetRescue?: string; whatIf?: string };

async function main(): Promise<number> {
  const program = tool({
    name: "twine-failover",
    summary:
      "Makes a data node the master of its partition: without any loss, or accepting one after an outage.",
    examples: [
      "$ twine-failover a6667",
      "$ twine-failover --what-if a6666",
      "$ twine-failover --what-if db1 --json",
      "$ twine-failover --accept-loss a6667",
      "$ twine-failover --forget-rescue a6667",
    ],
    exitCodes: {
      [WOULD_HALT]:
        "--what-if: some partition would be left without a master, or no write would be taken",
    },
  })
    .argument("[node]", "the data node that is to be master; nothing is lost and no client notices")
    .option(
      "--accept-loss <node>",
      "make this node master of a partition that has none, whatever the others may have held",
    );
  program.option(
    "--forget-rescue <node>",
    "tell no more of this node's rescued data, for somebody has seen to it; the files stay",
  );
  program.option(
    "--what-if <node-or-host>",
    "change nothing: say what the loss of this node, or of all nodes of this host, would bring",
  );
  program.parse();
  const options = program.opts<Options>();
  const body = requestOf(program.args[0], options);
  const { config } = loadConf(options);
  if (body === undefined) return sayWhatIf(config, options.whatIf ?? "", options.json === true);
  namedNode(config, "data", body.node);
  const message = await ask(config, body);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ ok: true, node: body.node, message })}\n`
      : `${message}\n`,
  );
  return EXIT.ok;
}

/** undefined: --what-if, which asks for nothing. */
function requestOf(
  node: string | undefined,
  { acceptLoss, forgetRescue, whatIf }: Options,
): RequestBody | undefined {
  const asked = [node, acceptLoss, forgetRescue, whatIf].filter((what) => what !== undefined);
  if (asked.length > 1) {
    const remedy =
      "give one of NODE, --accept-loss NODE, --forget-rescue NODE, --what-if NODE-OR-HOST";
    throw usage("TWO_ASKED", "two things were asked for", remedy);
  }
  if (whatIf !== undefined) return undefined;
  if (acceptLoss !== undefined) return { kind: "accept-loss", node: acceptLoss };
  if (forgetRescue !== undefined) return { kind: "forget-rescue", node: forgetRescue };
  if (node !== undefined) return { kind: "promote-to", node };
  throw usage("NOTHING_ASKED", "nothing was asked for", "name a data node; see --help");
}

function portsOf(config: ClusterConfig) {
  const password = readPassword();
  return { config, password, clock: systemClock, openLink: openRedisLink, user: "app" } as const;
}

async function sayWhatIf(config: ClusterConfig, subject: string, isJson: boolean): Promise<number> {
  const nodes = namedNodes(config, subject);
  const ports = portsOf(config);
  const { view, isLed, silentStatus } = await readLife(ports);
  const board = createNoticeBoard(ports);
  try {
    const [offsets, infos] = await Promise.all([
      board.readOffsets(),
      readInfos(view, { ...ports, withinMs: INFO_WITHIN_MS }),
    ]);
    const lastSeen = new Map(
      [...offsets].flatMap(([name, json]) => {
        const seen = parseLastSeen(json);
        return seen === undefined ? [] : [[name, seen] as const];
      }),
    );
    const victims = new Set(nodes);
    const known = { view, config, infos, lastSeen, victims, isLed, silentStatus };
    const play = (loss: Loss): WhatIf => whatIf({ ...known, loss });
    const losses = { subject, nodes, killed: play("killed"), silent: play("silent") };
    process.stdout.write(isJson ? `${JSON.stringify(losses)}\n` : whatIfText(losses));
    const isHalt = [losses.killed, losses.silent].some(({ state }) => state === "HALT");
    return isHalt ? WOULD_HALT : EXIT.ok;
  } finally {
    await board.close();
  }
}

/** Every node of that host, or the one node of that name; a host is meant first. */
function namedNodes(config: ClusterConfig, subject: string): string[] {
  const onHost = config.nodes.filter(({ host }) => host === subject).map(({ name }) => name);
  if (onHost.length > 0) return onHost;
  if (config.nodes.some(({ name }) => name === subject)) return [subject];
  const names = [...hostsOf(config), ...config.nodes.map(({ name }) => name)];
  throw usage(
    "NODE_UNKNOWN",
    `${config.file} has neither a node nor a host ${subject}${didYouMean(subject, names)}`,
    `name one of its hosts (${hostsOf(config).join(", ")}) or a node; twine-status list names them`,
  );
}

async function ask(config: ClusterConfig, body: RequestBody): Promise<string> {
  const ports = portsOf(config);
  const view = await readView(ports);
  const board = createNoticeBoard(ports);
  try {
    requirePartition(view, body);
    if (process.stderr.isTTY) {
      const what =
        body.kind === "forget-rescue"
          ? `to tell no more of what was rescued from ${body.node}`
          : `to make ${body.node} master`;
      process.stderr.write(`asking the alpha ${what} ...\n`);
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
    return requireView(body === null ? null : parseView(body), reading.silent, ports.config);
  } finally {
    opened.close();
  }
}

/** Throws NO_VIEW with why the silent status nodes don't count, and CLUSTER_DIFFERS. */
function requireView(
  view: View | null,
  silent: ReadonlyMap<string, string>,
  config: ClusterConfig,
): View {
  requireSameCluster(view, config);
  if (view !== null) return view;
  const reasons = [...silent].map(([name, why]) => `${name} ${why}`).join("; ");
  const isOther = [...silent.values()].some(isForeign);
  throw new TwineError({
    code: "NO_VIEW",
    message: `the status nodes hold no view that is known to be chosen${reasons === "" ? "" : ` (${reasons})`}`,
    remedy: isOther ? FOREIGN_REMEDY : "start the status nodes and a monitor: twine-start",
  });
}

/** The view, whether anybody leads, and who of the status nodes doesn't count: a view outlives its monitors. */
async function readLife(ports: Parameters<typeof openAcceptors>[0]) {
  const knowledge = knowledgeOf(await lookTwice(ports));
  const { silent, emptied, alphaAlive: isLed } = knowledge;
  const view = requireView(knowledge.view, silent, ports.config);
  return { view, isLed, silentStatus: new Set([...silent.keys(), ...emptied]) };
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
