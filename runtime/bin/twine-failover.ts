#!/usr/bin/env node
// twine-failover: asks the alpha, through the status nodes, to make a data node master; or shows the effect of a loss.
//
//   check the view -> write the request into the shared hashes -> wait for the alpha's answer
//   --what-if: read the view, ask the data nodes -> the alpha's own rules, run here -> print
//
// The tool changes nothing itself: only the alpha knows what the nodes hold at the moment of the change.
import { requireTwinesMonitors, sentinelFailoverCommand } from "../core/not-with-sentinel.ts";
import { randomUUID } from "node:crypto";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { hostsOf, type ClusterConfig } from "../core/cluster.ts";
import { didYouMean } from "../core/conf/suggest.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import type { NodeRequest } from "../core/request.ts";
import type { View } from "../core/view.ts";
import { whatIf, type Loss, type WhatIf } from "../monitor/decide/what-if.ts";
import { parseLastSeen } from "../monitor/observe/peer-reports.ts";
import { readInfos } from "../monitor/observe/read-infos.ts";
import { whatIfText } from "../monitor/what-if-text.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors } from "../register/acceptors.ts";
import { askAlpha } from "../register/ask-alpha.ts";
import { readChosenView, requireView } from "../register/chosen-view.ts";
import { lookTwice } from "../register/look-twice.ts";
import { openSharedHashes } from "../register/shared-hashes.ts";
import { knowledgeOf } from "../status/knowledge.ts";

/** The same as twine-status for HALT. */
const WOULD_HALT = 20;
/** An alpha answers within a lease or two; a new alpha must first be elected. */
const ANSWER_WITHIN_MS = 15_000;

/** A data node that takes longer counts as not answering. */
const INFO_WITHIN_MS = 1000;

type Options = ToolOptions & { acceptLoss?: string; forgetRescue?: string; whatIf?: string };

async function main(): Promise<number> {
  const program = tool({
    name: "twine-failover",
    summary:
      "Makes a data node the master of its partition: without loss of data, or after an outage with the loss that you accept.",
    examples: [
      "$ twine-failover a6667",
      "$ twine-failover --what-if a6666",
      "$ twine-failover --what-if db1 --json",
      "$ twine-failover --accept-loss a6667",
      "$ twine-failover --forget-rescue a6667",
    ],
    exitCodes: {
      [WOULD_HALT]:
        "--what-if: some partition would be left without a master, or no write would be accepted",
    },
  })
    .argument(
      "[node]",
      "the data node that is to become master; no data is lost and clients see no error",
    )
    .option(
      "--accept-loss <node>",
      "make this node master of a partition without one; writes that only other nodes had are lost",
    );
  program.option(
    "--forget-rescue <node>",
    "mark this node's rescued data as handled: twine-status no longer shows it; the files stay",
  );
  program.option(
    "--what-if <node-or-host>",
    "change nothing: show the effect of losing this node, or all nodes of this host",
  );
  program.parse();
  const options = program.opts<Options>();
  const body = requestOf(program.args[0], options);
  const { config } = loadConf(options);
  requireTwinesMonitors(config, "twine-failover", sentinelFailoverCommand(config));
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

/** undefined for --what-if, which sends no request. */
function requestOf(
  node: string | undefined,
  { acceptLoss, forgetRescue, whatIf }: Options,
): NodeRequest | undefined {
  const asked = [node, acceptLoss, forgetRescue, whatIf].filter((what) => what !== undefined);
  if (asked.length > 1) {
    const remedy =
      "give one of NODE, --accept-loss NODE, --forget-rescue NODE, --what-if NODE-OR-HOST";
    throw usageError("TWO_ASKED", "more than one action was given", remedy);
  }
  if (whatIf !== undefined) return undefined;
  if (acceptLoss !== undefined) return { kind: "accept-loss", node: acceptLoss };
  if (forgetRescue !== undefined) return { kind: "forget-rescue", node: forgetRescue };
  if (node !== undefined) return { kind: "promote-to", node };
  throw usageError("NOTHING_ASKED", "no action was given", "name a data node; see --help");
}

function portsOf(config: ClusterConfig) {
  const password = readPassword();
  return { config, password, clock: systemClock, openLink: openRedisLink, user: "app" } as const;
}

async function sayWhatIf(config: ClusterConfig, subject: string, isJson: boolean): Promise<number> {
  const nodes = namedNodes(config, subject);
  const ports = portsOf(config);
  const { view, isLed, silentStatus } = await readLife(ports);
  const hashes = openSharedHashes(ports);
  try {
    const [offsets, infos] = await Promise.all([
      hashes.readOffsets(),
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
    await hashes.close();
  }
}

/** Every node of that host, or the one node of that name; a host takes precedence. */
function namedNodes(config: ClusterConfig, subject: string): string[] {
  const onHost = config.nodes.filter(({ host }) => host === subject).map(({ name }) => name);
  if (onHost.length > 0) return onHost;
  if (config.nodes.some(({ name }) => name === subject)) return [subject];
  const names = [...hostsOf(config), ...config.nodes.map(({ name }) => name)];
  throw usageError(
    "NODE_UNKNOWN",
    `${config.file} has neither a node nor a host ${subject}${didYouMean(subject, names)}`,
    `name one of its hosts (${hostsOf(config).join(", ")}) or a node; twine-status list names them`,
  );
}

async function ask(config: ClusterConfig, body: NodeRequest): Promise<string> {
  const ports = portsOf(config);
  const view = await readChosenView(ports);
  const hashes = openSharedHashes({ ...ports, user: "monitor" });
  try {
    requirePartition(view, body);
    if (process.stderr.isTTY) {
      const what =
        body.kind === "forget-rescue"
          ? `to mark the rescued data of ${body.node} as handled`
          : `to make ${body.node} master`;
      process.stderr.write(`asking the alpha ${what} ...\n`);
    }
    const { clock } = ports;
    return await askAlpha(hashes, body, { clock, id: randomUUID(), withinMs: ANSWER_WITHIN_MS });
  } finally {
    await hashes.close();
  }
}

/** The view, whether there is a living alpha, and which status nodes do not count: a view outlives its monitors. */
async function readLife(ports: Parameters<typeof openAcceptors>[0]) {
  const knowledge = knowledgeOf(await lookTwice(ports));
  const { silent, emptied, alphaAlive: isLed } = knowledge;
  const view = requireView(knowledge.view, silent, ports.config);
  return { view, isLed, silentStatus: new Set([...silent.keys(), ...emptied]) };
}

/** The cluster must know the node; and a loss can be accepted only when the partition has no master. */
function requirePartition(view: View, { kind, node: name }: NodeRequest): void {
  const partition = view.partitions.find(
    ({ index }) => index === view.nodes.find((node) => node.name === name)?.partition,
  );
  if (partition === undefined) {
    throw new TwineError({
      code: "NODE_NOT_ADOPTED",
      message: `${name} is in twine.conf and not yet in the cluster's view`,
      remedy: "run twine-reload on the hosts of the monitors",
    });
  }
  if (kind !== "accept-loss" || partition.master === null) return;
  throw new TwineError({
    code: "NOTHING_TO_ACCEPT",
    message: `partition ${partition.index} has a master, ${partition.master}: there is no loss to accept`,
    remedy: `nothing needs to be done; to make ${name} master without a loss: twine-failover ${name}`,
  });
}

await runTool(main);
