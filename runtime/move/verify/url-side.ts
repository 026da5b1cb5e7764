// url-side.ts: servers of any system as one side: a Redis, several that share the keys, or a Redis Cluster.
import { addressOf } from "../../core/cluster.ts";
import { usageError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import { askCluster } from "../import/ask-cluster.ts";
import { addressFrom, addressText, type ImportedNode } from "../import/imported.ts";
import { requireNoPassword } from "../place-url.ts";
import type { Side } from "./read-side.ts";

export interface UrlPorts {
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Names the environment variable for a password, for the remedy. */
  readonly passwordVariable: string;
}

const DEFAULT_PORT = 6379;
const SIDES = "the path of a twine.conf, redis://HOST:PORT[,HOST:PORT...] or cluster://HOST:PORT";

export interface UrlPlace {
  readonly isCluster: boolean;
  readonly addresses: readonly ImportedNode[];
}

/** `redis://HOST:PORT[,HOST:PORT...]` or `cluster://HOST:PORT`; `accepted`: what may be written, for people. Throws USAGE. Pure. */
export function parsePlace(url: string, passwordVariable: string, accepted: string): UrlPlace {
  const [, scheme = "", places = ""] = /^(redis|cluster):\/\/([^/]+)\/?$/.exec(url) ?? [];
  requireNoPassword(url, passwordVariable, "redis://HOST:PORT or cluster://HOST:PORT");
  const addresses = places.split(",").map((place) => {
    const address = addressFrom(/:\d+$/.test(place) ? place : `${place}:${DEFAULT_PORT}`);
    if (address !== undefined && places !== "") return address;
    throw usageError("USAGE", `'${url}' can't be read`, `write ${accepted}`);
  });
  return { isCluster: scheme === "cluster", addresses };
}

/** All keys of these servers, or of the masters that this node of a Redis Cluster names. Throws USAGE, NodeError. */
export async function urlSide(url: string, ports: UrlPorts): Promise<Side> {
  const { isCluster, addresses } = parsePlace(url, ports.passwordVariable, SIDES);
  const [first] = addresses;
  const nodes =
    isCluster && first !== undefined
      ? (await askCluster(first, ports)).shards.map(({ master }) => master)
      : addresses;
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
