// url-side.ts: servers of any system as one side: a Redis, several that share the keys, or a Redis Cluster.
import { addressOf } from "../../core/cluster.ts";
import { TwineError } from "../../core/errors.ts";
import { EXIT } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import { textOf } from "../../resp/value.ts";
import { importClusterNodes } from "../import/cluster-nodes.ts";
import { addressFrom, addressText, type ImportedNode } from "../import/imported.ts";
import { openSource } from "../import/source-link.ts";
import type { Side } from "./read-side.ts";

export interface UrlPorts {
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Names the environment variable for a password, for the remedy. */
  readonly passwordVariable: string;
}

const ANSWER_WITHIN_MS = 5_000;
const DEFAULT_PORT = 6379;

export function isUrl(text: string): boolean {
  return text.includes("://");
}

/**
 * `redis://HOST:PORT[,HOST:PORT...]`: the keys of all of these servers; `cluster://HOST:PORT`: those of the masters that this
 * node of a Redis Cluster names. Throws USAGE, NodeError.
 */
export async function urlSide(url: string, ports: UrlPorts): Promise<Side> {
  const [, scheme = "", places = ""] = /^(redis|cluster):\/\/([^/]+)\/?$/.exec(url) ?? [];
  if (places.includes("@")) {
    throw usage(
      `a password on the command line can be seen by every user of this machine`,
      `let ${ports.passwordVariable} name a file with it, and write ${scheme}://HOST:PORT`,
    );
  }
  const addresses = places.split(",").map((place) => {
    const address = addressFrom(/:\d+$/.test(place) ? place : `${place}:${DEFAULT_PORT}`);
    if (address !== undefined && places !== "") return address;
    throw usage(
      `'${url}' is no twine.conf and no URL`,
      "write the path of a twine.conf, redis://HOST:PORT[,HOST:PORT...] or cluster://HOST:PORT",
    );
  });
  const [first] = addresses;
  const nodes =
    scheme === "cluster" && first !== undefined ? await masters(first, ports) : addresses;
  return { name: url, streams: nodes.map((node) => streamOf(node, ports)) };
}

function streamOf(node: ImportedNode, { password, clock, signal }: UrlPorts) {
  const address = { host: addressOf(node.host), port: node.port };
  const credentials = password === undefined ? undefined : { username: "default", password };
  return {
    name: addressText(node),
    db: 0,
    open: () => openRdbStream(address, { credentials, signal, clock }).chunks(),
  };
}

async function masters(node: ImportedNode, ports: UrlPorts): Promise<readonly ImportedNode[]> {
  const { clock, password } = ports;
  const socket = await openSource(node, { clock, password, withinMs: ANSWER_WITHIN_MS });
  try {
    const text = textOf(await socket.call("CLUSTER", "NODES")) ?? "";
    const { cluster, errors } = importClusterNodes(text, `CLUSTER NODES of ${addressText(node)}`);
    if (cluster === undefined || errors.length > 0) throw new TwineError(errors);
    return cluster.shards.map(({ master }) => master);
  } finally {
    socket.destroy();
  }
}

function usage(message: string, remedy: string): TwineError {
  return new TwineError({ code: "USAGE", message, remedy }, { exitCode: EXIT.usage });
}
