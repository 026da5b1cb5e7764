// sentinel.ts: Redis Sentinel as its documentation sets it up: one master, two replicas, three sentinels, quorum 2.
// Only the detection time differs from the defaults, and a retry comes sooner (failover-timeout 10 s instead of 180 s).
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../test/support/port-claims.ts";
import { until } from "../../test/support/redis-server.ts";
import type { Contender, Place, Roles, Victim } from "./contender.ts";
import { RedisProcess, askPort, hasReplicasInSync, infoOf } from "./redis-process.ts";
import { redisLogSince } from "./redis-log.ts";

const MASTER = "mymaster";

export class SentinelContender implements Contender {
  readonly name = "Sentinel";
  readonly elsewhere = undefined;
  readonly #downAfterMs: number;
  readonly #dataSettings: readonly string[];
  #folder = "";
  #data: readonly RedisProcess[] = [];
  #sentinels: readonly RedisProcess[] = [];

  constructor(downAfterMs: number, dataSettings: readonly string[]) {
    this.#downAfterMs = downAfterMs;
    this.#dataSettings = dataSettings;
  }

  get place(): Place {
    const ports = this.#sentinels.map(({ port }) => port);
    return { tag: "a", route: { by: "sentinel", ports, master: MASTER } };
  }

  async start(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), "twine-bench-sentinel-"));
    const masterPort = await freePort();
    const data: RedisProcess[] = [];
    for (const number of [1, 2, 3]) {
      const port = number === 1 ? masterPort : await freePort();
      const more = number === 1 ? [] : [`replicaof 127.0.0.1 ${masterPort}`];
      const lines = [...this.#dataSettings, ...more];
      data.push(await RedisProcess.prepare(this.#folder, `d${number}`, port, lines));
    }
    this.#data = data;
    const sentinels: RedisProcess[] = [];
    for (const number of [1, 2, 3]) {
      const lines = [
        `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 2`,
        `sentinel down-after-milliseconds ${MASTER} ${this.#downAfterMs}`,
        `sentinel failover-timeout ${MASTER} 10000`,
      ];
      const name = `q${number}`;
      const port = await freePort();
      sentinels.push(await RedisProcess.prepare(this.#folder, name, port, lines, "sentinel"));
    }
    this.#sentinels = sentinels;
    for (const process of data) await process.launch();
    await until("two replicas are in sync", () => hasReplicasInSync(masterPort, 2));
    for (const process of sentinels) await process.launch();
    await until("the sentinels agree", () => this.isWell(), 60_000);
  }

  async isWell(): Promise<boolean> {
    const masters = await Promise.all(this.#sentinels.map(({ port }) => stateOf(port)));
    const [first] = masters;
    if (first === undefined) return false;
    const agree = masters.every(
      (state) =>
        state?.port === first.port &&
        state.flags === "master" &&
        state.others === 2 &&
        state.replicas === 2,
    );
    return agree && (await hasReplicasInSync(first.port, 2));
  }

  async roles(): Promise<Roles> {
    const port = await this.readPort();
    const master = this.#data.find((process) => process.port === port);
    if (master === undefined) throw new Error("the sentinels name a master that is none of ours");
    return { master, replicas: this.#data.filter((process) => process !== master) };
  }

  async readPort(): Promise<number> {
    const state = await stateOf(this.#sentinels[0]?.port ?? 0);
    if (state === undefined) throw new Error("the first sentinel does not answer");
    return state.port;
  }

  async empty(): Promise<void> {
    await askPort(await this.readPort(), "FLUSHALL");
  }

  /** A sentinel watches an old master that came back for 8 s before it makes it a replica: the same is asked here at once,
      if the sentinels have another master by now. */
  async mend(victim: Victim): Promise<void> {
    const port = await this.readPort();
    if (victim.port === port) return;
    let role: string | undefined;
    await until(`${victim.name} answers`, async () => {
      role = (await infoOf(victim.port, "replication")).get("role");
      return role !== undefined;
    });
    if (role !== "master") return;
    await askPort(victim.port, "REPLICAOF", "127.0.0.1", String(port));
  }

  async timeline(killedAt: Date): Promise<readonly string[]> {
    const [first] = this.#sentinels;
    if (first === undefined) return [];
    return redisLogSince(await readFile(join(first.folder, "log"), "utf8"), killedAt);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sentinels, ...this.#data].map((process) => process.kill()));
    if (this.#folder !== "") await rm(this.#folder, { recursive: true, force: true });
  }
}

interface SentinelState {
  readonly port: number;
  readonly flags: string;
  readonly others: number;
  /** Replicas that are up in this sentinel's eyes. */
  readonly replicas: number;
}

async function stateOf(port: number): Promise<SentinelState | undefined> {
  try {
    const state = fieldsOf(await askPort(port, "SENTINEL", "MASTER", MASTER));
    const replicas = await askPort(port, "SENTINEL", "REPLICAS", MASTER);
    const up = (Array.isArray(replicas) ? replicas : [])
      .map(fieldsOf)
      // "slave" alone is the wire's word for a replica without a flag of trouble.
      .filter((replica) => replica.get("flags") === "slave");
    return {
      port: Number(state.get("port")),
      flags: state.get("flags") ?? "",
      others: Number(state.get("num-other-sentinels")),
      replicas: up.length,
    };
  } catch {
    return undefined;
  }
}

function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const words = Array.isArray(reply) ? reply.map(String) : [];
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < words.length; index += 2) {
    fields.set(words[index] ?? "", words[index + 1] ?? "");
  }
  return fields;
}
