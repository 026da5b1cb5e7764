// ask-cluster.ts: a running Redis Cluster, as one of its nodes describes it.
import { TwineError } from "../../core/errors.ts";
import { NodeError } from "../../replication/node-error.ts";
import { textOf } from "../../resp/value.ts";
import { importClusterNodes } from "./cluster-nodes.ts";
import { addressText, type ImportedCluster, type ImportedNode } from "./imported.ts";
import { openSource, type SourceOptions } from "./source-link.ts";

const ANSWER_WITHIN_MS = 5_000;

/** Throws NodeError, CLUSTER_NOT_ENABLED, and what is wrong with its slots. */
export async function askCluster(
  node: ImportedNode,
  { clock, password, tls, signal }: Omit<SourceOptions, "withinMs">,
): Promise<ImportedCluster> {
  const asking = { clock, password, tls, signal, withinMs: ANSWER_WITHIN_MS };
  const socket = await openSource(node, asking);
  try {
    const text = textOf(await socket.call("CLUSTER", "NODES").catch(notEnabled(node))) ?? "";
    const { cluster, errors } = importClusterNodes(text, `CLUSTER NODES of ${addressText(node)}`);
    if (cluster === undefined || errors.length > 0) throw new TwineError(errors);
    return cluster;
  } finally {
    socket.destroy();
  }
}

function notEnabled(node: ImportedNode) {
  return (error: unknown): never => {
    if (!(error instanceof NodeError) || error.kind !== "refused") throw error;
    throw new TwineError(
      {
        code: "CLUSTER_NOT_ENABLED",
        message: `${addressText(node)} is no node of a Redis Cluster: ${error.message}`,
        remedy: `write redis://${addressText(node)}, or name a node of a Redis Cluster`,
      },
      { cause: error },
    );
  };
}
