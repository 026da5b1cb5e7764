// check-status.ts: which of the processes run, in the lines of the seed's checkStatus.sh.
import { nodesOf } from "../../runtime/core/cluster.ts";
import { addressOf } from "../../runtime/core/cluster.ts";
import { acceptsConnection } from "../local/ask.ts";
import { placeOf } from "./cases.ts";
import { readShard, type ShardPorts } from "./shards.ts";

export interface StatusLines {
  readonly title: string;
  readonly places: readonly { readonly place: string; readonly isRunning: boolean }[];
}

export async function checkStatus(ports: ShardPorts): Promise<StatusLines[]> {
  const { config } = ports;
  const isSentinel = config.settings.failover === "sentinel";
  const running = async (kind: "monitor" | "router"): Promise<StatusLines["places"]> =>
    Promise.all(
      nodesOf(config, kind).map(async (node) => ({
        place: placeOf(node),
        isRunning: await acceptsConnection(addressOf(node.host), node.port),
      })),
    );
  const routers = await running("router");
  const blocks: StatusLines[] = [
    {
      title: `${isSentinel ? "Redis sentinel" : "Twine monitor"} running`,
      places: await running("monitor"),
    },
    ...nodesOf(config, "router").map(({ port }, index) => ({
      title: `${port} port running`,
      places: routers.slice(index, index + 1),
    })),
  ];
  for (let partition = 0; partition < config.settings.partitions; partition++) {
    const { master, replicas, dead } = await readShard(ports, partition);
    const shard = `Shard ${partition + 1}`;
    const lines = (nodes: readonly { host: string; port: number }[], isRunning: boolean) =>
      nodes.map((node) => ({ place: placeOf(node), isRunning }));
    blocks.push(
      {
        title: `${shard} master running`,
        places:
          master === undefined ? [{ place: "none", isRunning: false }] : lines([master], true),
      },
      {
        title: `${shard} slaves running`,
        places: [...lines(replicas, true), ...lines(dead, false)],
      },
    );
  }
  return blocks;
}

export function printStatus(blocks: readonly StatusLines[]): string {
  return blocks
    .map(({ title, places }) => {
      const lines = places.map(
        ({ place, isRunning }) => `\t${place} : ${isRunning ? "YES" : "NO"}\n`,
      );
      return `${title} :\n${lines.join("")}`;
    })
    .join("");
}

export function isAllRunning(blocks: readonly StatusLines[]): boolean {
  return blocks.every(({ places }) => places.every(({ isRunning }) => isRunning));
}
