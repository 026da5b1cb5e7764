// peer.ts: Redis Cluster of two masters, redis-cli that moves half of one's slots, and a client that follows them.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Cluster } from "ioredis";
import type { RespValue } from "../../runtime/resp/value.ts";
import type { CommandLink } from "../../test/support/counted-writer.ts";
import { callOnce, startRedisCluster } from "../../test/support/redis-cluster.ts";
import { until, type TestRedis } from "../../test/support/redis-server.ts";
import { onEnd } from "../side-by-side.ts";

const run = promisify(execFile);
/** Of the first master's 8,192. */
const SLOTS_MOVED = 4096;
const OUTPUT_MAX = 64 * 1024 * 1024;
/** In one MIGRATE; redis-cli's default of 10 takes longer. */
const KEYS_AT_ONCE = 100;

export class PeerCluster {
  readonly #masters: readonly TestRedis[];

  private constructor(masters: readonly TestRedis[]) {
    this.#masters = masters;
  }

  static async start(): Promise<PeerCluster> {
    return new PeerCluster(await startRedisCluster([], ["0-8191", "8192-16383"], onEnd));
  }

  async open(): Promise<CommandLink> {
    const places = this.#masters.map(({ port }) => ({ host: "127.0.0.1", port }));
    const cluster = new Cluster(places);
    await until("the client knows the slots", () => cluster.status === "ready");
    return new ClusterLink(cluster);
  }

  /** Half of the first master's slots to the second one; answers how many keys the first one has less. */
  async reshard(): Promise<number> {
    const [from, to] = await Promise.all(
      this.#masters.map(async (master) => String(await callOnce(master, "CLUSTER", "MYID"))),
    );
    const before = await this.#keysOfFirst();
    const place = `127.0.0.1:${this.#masters[0]?.port}`;
    const which = ["--cluster-from", from ?? "", "--cluster-to", to ?? ""];
    const howMany = ["--cluster-slots", `${SLOTS_MOVED}`, "--cluster-pipeline", `${KEYS_AT_ONCE}`];
    const args = ["--cluster", "reshard", place, ...which, ...howMany, "--cluster-yes"];
    await run("redis-cli", args, { maxBuffer: OUTPUT_MAX });
    return before - (await this.#keysOfFirst());
  }

  async #keysOfFirst(): Promise<number> {
    const [first] = this.#masters;
    return first === undefined ? 0 : Number(await callOnce(first, "DBSIZE"));
  }
}

/** ioredis sends a transaction at once, so what comes between MULTI and EXEC is kept until then. */
class ClusterLink implements CommandLink {
  readonly #cluster: Cluster;
  #queued: string[][] | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async call(...words: readonly string[]): Promise<RespValue> {
    const [command = "", ...args] = words;
    if (command === "MULTI") {
      this.#queued = [];
      return { type: "simple", text: "OK" };
    }
    if (command === "EXEC") return this.#exec();
    if (this.#queued !== undefined) {
      this.#queued.push([command.toLowerCase(), ...args]);
      return { type: "simple", text: "QUEUED" };
    }
    return respOf(await this.#cluster.call(command, ...args));
  }

  destroy(): void {
    this.#cluster.disconnect();
  }

  async #exec(): Promise<RespValue> {
    const queued = this.#queued ?? [];
    this.#queued = undefined;
    const replies = (await this.#cluster.multi(queued).exec()) ?? [];
    const items = replies.map(([error, value]) => {
      if (error !== null) throw error;
      return respOf(value);
    });
    return { type: "array", items };
  }
}

function respOf(value: unknown): RespValue {
  if (typeof value === "number") return { type: "integer", value: BigInt(value) };
  if (typeof value === "string") return { type: "bulk", bytes: Buffer.from(value) };
  if (Array.isArray(value)) return { type: "array", items: value.map(respOf) };
  return { type: "null", of: "any" };
}
