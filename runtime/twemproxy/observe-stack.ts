// observe-stack.ts: asks every node of a cluster that Sentinel watches how it is, at once.
import { connect } from "node:net";
import { addressOf, nodesOf, type ClusterNode } from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import { errorText } from "../core/error-text.ts";
import type { NodeAnswer, StackObservation } from "../status/sentinel-report.ts";
import { SentinelPanel, type SentinelPorts } from "./sentinel-panel.ts";
import { isSameAddress } from "./pool-file.ts";

const ANSWER_WITHIN_MS = 2000;

export async function observeStack(ports: SentinelPorts): Promise<StackObservation> {
  const { config } = ports;
  const panel = new SentinelPanel(ports);
  const [reading, ...answers] = await Promise.all([
    panel.read(),
    ...config.nodes.map(async (node) => [node, await answerOf(ports, node)] as const),
  ]);
  panel.close();
  const nodes = new Map<string, NodeAnswer>();
  for (const [node, answer] of answers) {
    const isSentinel = node.kind === "monitor" && reading.answered.includes(node.name);
    nodes.set(node.name, isSentinel ? UP : answer);
  }
  const data = nodesOf(config, "data");
  const masters = reading.masters.map(
    (master) =>
      data.find(({ host, port }) => isSameAddress(master, { host: addressOf(host), port }))?.name,
  );
  return { nodes, masters, problems: reading.problems };
}

const UP: NodeAnswer = { kind: "answered", role: "up", inSync: true, runId: null };

async function answerOf(ports: SentinelPorts, node: ClusterNode): Promise<NodeAnswer> {
  try {
    switch (node.kind) {
      case "data":
        return await dataAnswer(ports, node);
      case "router":
        await connected(addressOf(node.host), node.port);
        return UP;
      case "monitor":
      case "status":
        return { kind: "silent", why: "it did not answer SENTINEL" };
      default:
        return node satisfies never;
    }
  } catch (error) {
    return { kind: "silent", why: errorText(error) };
  }
}

async function dataAnswer(
  { password, openLink }: SentinelPorts,
  { host, port }: ClusterNode,
): Promise<NodeAnswer> {
  const link = await openLink(
    { host: addressOf(host), port },
    {
      credentials: credentialsOf("health", password),
      ...{ connectTimeoutMs: ANSWER_WITHIN_MS, commandTimeoutMs: ANSWER_WITHIN_MS },
    },
  );
  try {
    const reply = await link.call("INFO");
    const info = typeof reply === "string" ? reply : "";
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1];
    const isMaster = field("role") === "master";
    const version = field("redis_version");
    return {
      kind: "answered",
      role: isMaster ? "master" : "replica",
      inSync: field("loading") === "0" && (isMaster || field("master_link_status") === "up"),
      runId: field("run_id") ?? null,
      ...(version === undefined ? {} : { version: `redis ${version}` }),
    };
  } finally {
    link.close();
  }
}

function connected(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: ANSWER_WITHIN_MS });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
    socket.once("timeout", () => {
      socket.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`));
    });
  });
}
