// twine.ts: Twine as its own local applier runs it: two partitions of three nodes, three status nodes, three monitors, one
// router. The writers know the router alone.
import { FaultCluster } from "../../test/support/fault-cluster.ts";
import { TWO_PARTITIONS_NODES } from "../../test/support/local-cluster.ts";
import type { Contender, Place, Roles, Victim } from "./contender.ts";
import { askPort } from "./redis-process.ts";

/** By crc32 over two partitions the tag "a" lies in 1 and "d" in 0. */
const PARTITION = 1;
const TAG = "a";
const ELSEWHERE_TAG = "d";

export class TwineContender implements Contender {
  readonly name: string;
  readonly #conf: string;
  #cluster: FaultCluster | undefined;

  constructor(ackReplicas: number, downAfterMs: number, dataSettings: readonly string[]) {
    this.name = ackReplicas === 0 ? "Twine" : `Twine, ack-replicas ${ackReplicas}`;
    const settings = [
      `cluster bench${ackReplicas}`,
      "hash-tag {}",
      `down-after ${downAfterMs}ms`,
      `ack-replicas ${ackReplicas}`,
      ...dataSettings.map((line) => `redis ${line}`),
    ];
    this.#conf = `${TWO_PARTITIONS_NODES}${settings.join("\n")}\n`;
  }

  get #running(): FaultCluster {
    if (this.#cluster === undefined) throw new Error("not started");
    return this.#cluster;
  }

  get place(): Place {
    return { tag: TAG, route: { by: "fixed", port: this.#running.port("r1") } };
  }

  get elsewhere(): Place {
    return { tag: ELSEWHERE_TAG, route: { by: "fixed", port: this.#running.port("r1") } };
  }

  async start(): Promise<void> {
    this.#cluster = await FaultCluster.create(this.#conf);
    await this.#cluster.start();
  }

  async isWell(): Promise<boolean> {
    return (await this.#running.view())?.state === "OK";
  }

  async roles(): Promise<Roles> {
    const { master, replicas } = await this.#running.partition(PARTITION);
    if (master === null) throw new Error("the view has no master");
    return {
      master: await this.#victim(master),
      replicas: await Promise.all(replicas.map((name) => this.#victim(name))),
    };
  }

  async #victim(name: string): Promise<Victim> {
    const cluster = this.#running;
    const pid = await cluster.pid(name);
    return {
      name,
      port: cluster.port(name),
      signal: (signal) => {
        process.kill(pid, signal);
      },
      kill: () => cluster.kill(name),
      launch: () => cluster.launch(name),
    };
  }

  readPort(): Promise<number> {
    return Promise.resolve(this.#running.port("r1"));
  }

  async empty(): Promise<void> {
    const partitions = (await this.#running.view())?.partitions ?? [];
    for (const { master } of partitions) {
      if (master !== null) await askPort(this.#running.port(master), "FLUSHALL");
    }
  }

  /** Whatever comes back is given its role by the monitors. */
  mend(): Promise<void> {
    return Promise.resolve();
  }

  /** Events of all monitors and the router, by the time of the machine that they share. */
  timeline(killedAt: Date): Promise<readonly string[]> {
    return this.#running.timeline(killedAt);
  }

  async stop(): Promise<void> {
    await this.#cluster?.remove();
  }
}
