// cases.ts: the six test cases of the seed, in its words, on whatever topology twine.conf describes.
//
//   1 loaded   2 master of shard 1   3 master of shard 2   4 both masters   5 all but one instance of each   6 one shard per key
//
// After each case the killed nodes are started again, so that the next one begins with whole shards.
import type { Redis } from "ioredis";
import { addressOf, nodesOf, type DataNode } from "../../runtime/core/cluster.ts";
import { ITEM_COUNT, countItems, loadItems, removeItems } from "./items.ts";
import { itemsHeld, killNodes, mend, requireWhole, type KillPorts } from "./kill-nodes.ts";
import { readShard } from "./shards.ts";

export interface CheckReport {
  readonly isOk: boolean;
  readonly cases: readonly CaseReport[];
}

export interface CaseReport {
  readonly number: number;
  readonly isOk: boolean;
  /** HOST PORT */
  readonly killed: readonly string[];
  readonly masters: readonly string[];
  /** How many items were there with their value; case 6: how many were in one shard alone. */
  readonly items: number;
  readonly backAfterMs?: number;
}

export interface CheckPorts extends KillPorts {
  /** Writes text as it comes. */
  readonly print: (text: string) => void;
}

/** Everything but the loading needs a whole cluster. Throws as kill-nodes.ts does. */
export async function runCases(ports: CheckPorts): Promise<CheckReport> {
  const { print } = ports;
  const all = allPartitions(ports);
  // The seed has two shards; a larger cluster is tested on its first two.
  const tested = all.slice(0, 2);
  await requireWhole(ports, all);
  await withRouter(ports, loadItems);
  print("Data loaded\n");
  const cases: CaseReport[] = [];
  const isDone = (report: CaseReport): void => void cases.push(report);

  print("\nTest case 1 : test if data loaded correctly:\n");
  isDone({ number: 1, ...NOBODY, ...(await verified(ports)) });
  for (const partition of tested) {
    const victims = await mastersOf(ports, [partition]);
    const what = `kill the master node of shard ${partition + 1}`;
    isDone(await killCase(ports, partition + 2, what, victims));
  }
  if (tested.length > 1) {
    const shards = tested.map((partition) => partition + 1).join(" & ");
    const victims = await mastersOf(ports, tested);
    isDone(await killCase(ports, 4, `kill the master nodes of shard ${shards}`, victims));
  }
  const crowd = await allButOne(ports, tested);
  isDone(await killCase(ports, 5, "kill all instances but one of each shard", crowd));

  print("\nTest case 6 : check sharding is working (key only appear in one shard)\n");
  const alone = await itemsInOneShard(ports, all);
  print(alone === ITEM_COUNT ? "OK\n" : `NOT OK (${alone} of ${ITEM_COUNT} items in one shard)\n`);
  isDone({ number: 6, ...NOBODY, items: alone, isOk: alone === ITEM_COUNT });
  print("\nRemove test data\n");
  await withRouter(ports, removeItems);
  return { isOk: cases.every((one) => one.isOk), cases };
}

const NOBODY = { killed: [], masters: [] };

/** Leaves the cluster as runCases() does at its end, whatever it was at: nothing is killed any more once `signal` is aborted. */
export async function leaveCases(ports: CheckPorts): Promise<void> {
  await mend(ports, allPartitions(ports));
  await withRouter(ports, removeItems);
}

function allPartitions({ config }: Pick<CheckPorts, "config">): number[] {
  return Array.from({ length: config.settings.partitions }, (_, index) => index);
}

async function killCase(
  ports: CheckPorts,
  number: number,
  what: string,
  victims: readonly DataNode[],
): Promise<CaseReport> {
  const { print } = ports;
  const partitions = [...new Set(victims.map(({ partition }) => partition))];
  print(`\nTest case ${number} : ${what} (${victims.map(placeOf).join(", ")}): `);
  let dots = 0;
  const outcome = await killNodes(ports, victims, () => {
    if (dots++ % 20 === 0) print(".");
  });
  print("\n");
  for (const master of outcome.masters) {
    const whose =
      partitions.length === 1 ? "New master" : `New master of shard ${master.partition + 1}`;
    print(`${whose} is ${placeOf(master)}\n`);
  }
  const counted = await verified(ports);
  await mend(ports, partitions);
  return {
    number,
    killed: victims.map(placeOf),
    masters: outcome.masters.map(placeOf),
    backAfterMs: Math.round(outcome.backAfterMs),
    ...counted,
  };
}

async function verified(ports: CheckPorts): Promise<{ items: number; isOk: boolean }> {
  const items = await withRouter(ports, countItems);
  ports.print(verifiedLine(items));
  return { items, isOk: items === ITEM_COUNT };
}

export function verifiedLine(items: number): string {
  return items === ITEM_COUNT
    ? `Redis OK (${ITEM_COUNT} items all existed)\n`
    : `Redis NOT OK (${items} of ${ITEM_COUNT} items existed)\n`;
}

export async function withRouter<T>(
  { openRouter }: Pick<KillPorts, "openRouter">,
  work: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = openRouter();
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

async function mastersOf(ports: KillPorts, partitions: readonly number[]): Promise<DataNode[]> {
  const shards = await Promise.all(partitions.map((partition) => readShard(ports, partition)));
  return shards.flatMap(({ master }) => master ?? []);
}

/** The master and all replicas but one, which is the node that has been master least lately: the last replica. */
async function allButOne(ports: KillPorts, partitions: readonly number[]): Promise<DataNode[]> {
  const shards = await Promise.all(partitions.map((partition) => readShard(ports, partition)));
  return shards.flatMap(({ master, replicas }) => [
    ...(master === undefined ? [] : [master]),
    ...replicas.slice(0, -1),
  ]);
}

async function itemsInOneShard(ports: KillPorts, partitions: readonly number[]): Promise<number> {
  const held = await Promise.all(partitions.map((partition) => itemsHeld(ports, partition)));
  return Array.from(
    { length: ITEM_COUNT },
    (_, index) => held.filter((shard) => shard[index] === true).length,
  ).filter((count) => count === 1).length;
}

/** "127.0.0.1 6666" */
export function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${addressOf(host)} ${port}`;
}

/** Nodes that have a replica to take over; else a kill would only be an outage. */
export function partitionsWithoutReplica({ config }: KillPorts): number[] {
  const data = nodesOf(config, "data");
  return allPartitions({ config })
    .slice(0, 2)
    .filter((partition) => data.filter((node) => node.partition === partition).length < 2);
}
