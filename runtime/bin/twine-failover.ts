#!/usr/bin/env node
// twine-failover: asks the alpha, through the status nodes, to give a partition a master.
//
//   check the view -> leave the request on the board -> wait for the alpha's answer
//
// The tool changes nothing itself: the alpha knows what the nodes hold at the moment of acting, the tool does not.
import { randomUUID } from "node:crypto";
import { loadConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { namedNode } from "../core/named-node.ts";
import type { Request } from "../core/request.ts";
import type { View } from "../core/view.ts";
import { systemClock } from "../ports/clock.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { openAcceptors } from "../register/acceptors.ts";
import { createNoticeBoard, type NoticeBoard } from "../register/notice-board.ts";
import { readRegister } from "../register/read.ts";
import { parseView } from "../status/parse-view.ts";

/** An alpha answers within a lease or two; a new one has to be found first. */
const ANSWER_WITHIN_MS = 15_000;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-failover",
    summary: "Makes a data node master of a partition that has none and can't find one by itself.",
    examples: ["$ twine-failover --accept-loss a6667"],
  }).option(
    "--accept-loss <node>",
    "make this node master, whatever the partition's other nodes may have held",
  );
  program.parse();
  const options = program.opts<ToolOptions & { acceptLoss?: string }>();
  if (options.acceptLoss === undefined) {
    throw usage("NOTHING_ASKED", "nothing was asked for", "give --accept-loss NODE; see --help");
  }
  const { config } = loadConf(options);
  namedNode(config, "data", options.acceptLoss);
  const message = await ask(config, options.acceptLoss);
  const node = options.acceptLoss;
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ ok: true, node, message })}\n` : `${message}\n`,
  );
  return EXIT.ok;
}

async function ask(config: ClusterConfig, node: string): Promise<string> {
  const ports = {
    config,
    password: readPassword(),
    clock: systemClock,
    openLink: openRedisLink,
    user: "app",
  } as const;
  const opened = openAcceptors(ports);
  const board = createNoticeBoard(ports);
  try {
    const reading = await readRegister(opened.acceptors, config.settings.cluster);
    const body = reading.value?.body ?? null;
    if (body === null) {
      const silent = [...reading.silent].map(([name, why]) => `${name} ${why}`).join("; ");
      throw new TwineError({
        code: "NO_VIEW",
        message: `the status nodes hold no view that is known to be chosen${silent === "" ? "" : ` (${silent})`}`,
        remedy: "start the status nodes and a monitor: twine-start",
      });
    }
    requireLoss(parseView(body), node);
    const request: Request = {
      id: randomUUID(),
      body: { kind: "accept-loss", node },
      state: "asked",
      message: "",
    };
    await board.askRequest(request);
    return await answerTo(board, request, node);
  } finally {
    opened.close();
    await board.close();
  }
}

/** There must be a partition without a master: nothing else is a loss that could be accepted. */
function requireLoss(view: View, name: string): void {
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
  if (partition.master === null) return;
  throw new TwineError({
    code: "NOTHING_TO_ACCEPT",
    message: `partition ${partition.index} has a master, ${partition.master}: there is no loss to accept`,
    remedy: "nothing needs to be done; see twine-status",
  });
}

async function answerTo(board: NoticeBoard, request: Request, node: string): Promise<string> {
  const endMs = systemClock.nowMs() + ANSWER_WITHIN_MS;
  if (process.stderr.isTTY) process.stderr.write(`asked the alpha to make ${node} master ...\n`);
  while (systemClock.nowMs() < endMs) {
    const answer = (await board.readRequests()).find(({ id }) => id === request.id);
    if (answer?.state === "done") return answer.message;
    if (answer?.state === "refused") {
      throw new TwineError({ code: "REFUSED", message: `the alpha refused: ${answer.message}` });
    }
    await systemClock.delay(100);
  }
  const message = `no alpha answered within ${ANSWER_WITHIN_MS / 1000} s`;
  // What nobody waits for any more must not be done at some later time.
  await board.answerRequest({ ...request, state: "refused", message });
  throw new TwineError({
    code: "NO_ANSWER",
    message,
    remedy: "see whether the monitors run (twine-status), start them (twine-start), and ask again",
  });
}

function usage(code: string, message: string, remedy: string): TwineError {
  return new TwineError({ code, message, remedy }, { exitCode: EXIT.usage });
}

await runTool(main);
