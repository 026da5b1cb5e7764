// kill-nodes.ts: kill -9 of nodes of this machine, and what it costs: who is master then, and when the router serves again.
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { addressOf, type DataNode } from "../../runtime/core/cluster.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import type { View } from "../../runtime/core/view.ts";
import { withNode } from "../local/ask.ts";
import { ITEM_COUNT, itemKey, untilWritable } from "./items.ts";
import { readShard, untilShard, type ShardPorts } from "./shards.ts";

export interface KillPorts extends ShardPorts {
  /** The process of a node of this machine; undefined: it does not run here. */
  readonly pidOf: (node: DataNode) => Promise<number | undefined>;
  /** A new connection to the router. */
  readonly openRouter: () => Redis;
  /** The view of Twine's monitors. Not called where Sentinel gives the roles. */
  readonly readView: () => Promise<View>;
  /** Nothing is killed any more once it is aborted. */
  readonly signal: AbortSignal;
  /** Starts what does not run. */
  readonly startAgain: () => Promise<unknown>;
}

export interface KillOutcome {
  /** By partition of `partitions`. */
  readonly masters: readonly DataNode[];
  /** From the kill until a write in each of the partitions was taken by the router. */
  readonly backAfterMs: number;
}

const FAILOVER_WITHIN_MS = 60_000;
const WHOLE_WITHIN_MS = 90_000;
const LOOK_EVERY_MS = 100;

/** Every node of these partitions runs and follows its master, and the monitors know it. Throws CHECK_NOT_WHOLE. */
export async function requireWhole(ports: KillPorts, partitions: readonly number[]): Promise<void> {
  await requireFollowing(ports, partitions);
  await requireInSync(ports, partitions);
}

/**
 * A link that is up proves less than the monitors want of a node that they would promote: one that is killed for must be in
 * sync in their view first. Sentinel has no such thing.
 */
async function requireInSync(
  { config, readView }: KillPorts,
  partitions: readonly number[],
): Promise<void> {
  if (config.settings.failover === "sentinel") return;
  const endMs = performance.now() + WHOLE_WITHIN_MS;
  for (;;) {
    const { nodes } = await readView();
    const late = nodes.filter(
      ({ kind, partition, inSync }) =>
        kind === "data" && partition !== null && partitions.includes(partition) && !inSync,
    );
    if (late.length === 0) return;
    if (performance.now() > endMs) {
      throw new TwineError({
        code: "CHECK_NOT_WHOLE",
        message: `${late.map(({ name }) => name).join(", ")} is not in sync for the monitors after ${WHOLE_WITHIN_MS / 1000} s`,
        remedy: "see twine-status, and the logs of those nodes",
      });
    }
    await delay(LOOK_EVERY_MS);
  }
}

async function requireFollowing(ports: KillPorts, partitions: readonly number[]): Promise<void> {
  for (const partition of partitions) {
    const shard = await untilShard(ports, partition, ({ isWhole }) => isWhole, {
      withinMs: WHOLE_WITHIN_MS,
    });
    if (shard !== undefined) continue;
    const { master, dead } = await readShard(ports, partition);
    throw new TwineError({
      code: "CHECK_NOT_WHOLE",
      message: `shard ${partition + 1} is not whole after ${WHOLE_WITHIN_MS / 1000} s: ${
        master === undefined
          ? "it has no master"
          : dead.length > 0
            ? `${dead.map(({ name }) => name).join(", ")} does not answer`
            : "a replica does not follow its master"
      }`,
      remedy: "see twine-status, and the logs of those nodes",
    });
  }
}

/** Kills these nodes at once. Throws CHECK_NOT_HERE before any is, and CHECK_NO_FAILOVER; the reason of an aborted `signal`. */
export async function killNodes(
  ports: KillPorts,
  nodes: readonly DataNode[],
  onLook?: () => void,
): Promise<KillOutcome> {
  const partitions = [...new Set(nodes.map(({ partition }) => partition))];
  const pids = await Promise.all(nodes.map((node) => ports.pidOf(node)));
  const away = nodes.filter((_, index) => pids[index] === undefined);
  if (away.length > 0) throw notHere(away);
  const items = await Promise.all(partitions.map((partition) => itemIn(ports, partition)));
  ports.signal.throwIfAborted();
  const startMs = performance.now();
  for (const pid of pids) if (pid !== undefined) process.kill(pid, "SIGKILL");
  const written = untilWritable(ports.openRouter, items, FAILOVER_WITHIN_MS).then(
    () => performance.now() - startMs,
  );
  const masters: DataNode[] = [];
  for (const partition of partitions) {
    const isNew = (master: DataNode | undefined): boolean =>
      master !== undefined && !nodes.includes(master);
    const shard = await untilShard(ports, partition, ({ master }) => isNew(master), {
      withinMs: FAILOVER_WITHIN_MS,
      ...(onLook === undefined ? {} : { onLook }),
    });
    if (shard?.master === undefined) throw noFailover(partition);
    masters.push(shard.master);
  }
  const backAfterMs = await written;
  if (backAfterMs > FAILOVER_WITHIN_MS) throw noFailover(partitions[0] ?? 0);
  return { masters, backAfterMs };
}

/** Whatever was killed runs again and follows its master. */
export async function mend(ports: KillPorts, partitions: readonly number[]): Promise<void> {
  await ports.startAgain();
  await requireWhole(ports, partitions);
}

/** An item that lies in this partition, whatever the hash is: its master is asked. */
async function itemIn(ports: KillPorts, partition: number): Promise<number> {
  return Math.max(0, (await itemsHeld(ports, partition)).indexOf(true)) + 1;
}

/** By item, whether the partition's master holds it. */
export async function itemsHeld(ports: ShardPorts, partition: number): Promise<boolean[]> {
  const { master } = await readShard(ports, partition);
  if (master === undefined) return Array<boolean>(ITEM_COUNT).fill(false);
  const { host, port, db } = master;
  const credentials = credentialsOf("app", ports.password);
  return withNode({ address: addressOf(host), port, credentials }, async (redis) => {
    if (db > 0) await redis.select(db);
    const replies = await Promise.all(
      Array.from({ length: ITEM_COUNT }, (_, index) => redis.exists(itemKey(index + 1))),
    );
    return replies.map((reply) => reply === 1);
  });
}

function notHere(nodes: readonly DataNode[]): TwineError {
  return new TwineError({
    code: "CHECK_NOT_HERE",
    message: `${nodes.map(({ name }) => name).join(", ")} can't be killed: it does not run on this machine, from this folder`,
    remedy: "run twine-check where all nodes run; twine-check --verify works from anywhere",
  });
}

function noFailover(partition: number): TwineError {
  return new TwineError({
    code: "CHECK_NO_FAILOVER",
    message: `shard ${partition + 1} takes no writes ${FAILOVER_WITHIN_MS / 1000} s after its master was killed`,
    remedy:
      "see twine-status, the logs of the monitors and of the router; twine-start starts the killed nodes",
  });
}
