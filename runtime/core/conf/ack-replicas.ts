// ack-replicas.ts: checks that every partition has as many replicas as ack-replicas. Pure.
import type { Problem } from "../errors.ts";
import { hasOrHave, printPartitions } from "./ranges.ts";

/** The problem of partitions with fewer replicas: every write to them would fail with UNDERREPLICATED. `partitions` has
    the partition of each data node; `setting` is the name of the option with the number. */
export function ackReplicasProblem(
  setting: string,
  ackReplicas: number,
  partitions: readonly number[],
): Problem | undefined {
  const replicas = new Map<number, number>();
  for (const partition of partitions) replicas.set(partition, (replicas.get(partition) ?? -1) + 1);
  const short = [...replicas].filter(([, count]) => count < ackReplicas);
  if (short.length === 0) return undefined;
  const fewest = Math.min(...short.map(([, count]) => count));
  const who = printPartitions(short.map(([partition]) => partition));
  return {
    code: "CONF_ACK_REPLICAS",
    message: `${setting} ${ackReplicas} needs more replicas than ${who} ${hasOrHave(short)} (as few as ${fewest})`,
    remedy: `set ${setting} to ${fewest}, or add data nodes to the partition`,
  };
}
