// sample-keys.ts: some keys of every source with their memory, from which the shares of the new partitions are estimated.
import { credentialsOf } from "../../core/credentials.ts";
import type { View } from "../../core/view.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { sourcesOf } from "../../replication/choose-source.ts";
import { infoOf } from "../../replication/node-info.ts";
import { itemsOf, numberOf, textOf } from "../../resp/value.ts";
import type { NodePorts } from "./node-group.ts";
import type { Sample } from "./room.ts";

const KEYS_PER_STEP = 200;
const KEYS_MAX = 2_000;
const SILENCE_MS_MAX = 60_000;

/** Of every partition that has a replica in sync or a master. Throws NodeErrors. */
export async function sampleKeys(
  view: View,
  partitionOf: (key: Buffer) => number,
  { password, ...ports }: NodePorts,
): Promise<Sample[]> {
  const credentials = credentialsOf("app", password);
  const samples: Sample[] = [];
  for (const { index } of view.partitions) {
    const [source] = sourcesOf(view, index);
    if (source === undefined) continue;
    const options = { ...ports, credentials, silenceMsMax: SILENCE_MS_MAX };
    const socket = await openNodeSocket(source, options);
    try {
      if (source.db !== 0) await socket.call("SELECT", String(source.db));
      samples.push(await sampleOf(socket, partitionOf));
    } finally {
      socket.destroy();
    }
  }
  return samples;
}

async function sampleOf(socket: NodeSocket, partitionOf: (key: Buffer) => number): Promise<Sample> {
  const keyCount = numberOf(await socket.call("DBSIZE")) ?? 0;
  const memory = await infoOf(socket, "memory");
  const sampled: { target: number; bytes: number }[] = [];
  let cursor = "0";
  do {
    const step = itemsOf(await socket.call("SCAN", cursor, "COUNT", String(KEYS_PER_STEP)));
    cursor = textOf(step[0]) ?? "0";
    const keys = itemsOf(step[1]).flatMap((key) => (key.type === "bulk" ? [key.bytes] : []));
    const sizes = await Promise.all(keys.map((key) => socket.call("MEMORY", "USAGE", key)));
    sizes.forEach((size, at) => {
      const [key, bytes] = [keys[at], numberOf(size)];
      // A key may be gone by now.
      if (key !== undefined && bytes !== undefined) {
        sampled.push({ target: partitionOf(key), bytes });
      }
    });
  } while (cursor !== "0" && sampled.length < KEYS_MAX);
  const dataset = Number(memory.get("used_memory_dataset") ?? 0);
  return { keyCount, datasetBytes: dataset, sampled };
}
