// hand-led-sentinels.ts: three monitors' Sentinel ports over one partition of real redis-servers. The test itself is the
// alpha: it gives the roles and shows the view, so that the ports are tested without what decides about roles.
import { onTestFinished } from "vitest";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { startSentinel } from "../../runtime/monitor/sentinel/server.ts";
import { systemClock, type Clock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { byLetter, clusterConf } from "./cluster-conf.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import { until, type TestRedis } from "./redis-server.ts";
import { HandKeptView } from "./router-cluster.ts";
import { shownView, type ShownNode } from "./shown-view.ts";

export interface HandLedSentinels {
  readonly config: ClusterConfig;
  readonly view: HandKeptView;
  /** a1, a2, a3 of partition 0; a1 is master. */
  readonly nodes: ReadonlyMap<string, TestRedis>;
  /** Of m1, m2, m3. */
  readonly ports: readonly number[];
  readonly portOf: (node: string) => number;
  /** Shows a view with these roles, without touching any node. */
  show(master: string | null, dead?: readonly string[]): void;
  /** Kills the master with -9, promotes `to`, repoints the rest, showing each step. */
  failOver(to: string): Promise<void>;
}

export interface HandLedOptions {
  readonly password?: string;
  readonly settings?: readonly string[];
  readonly readOffsets?: () => Promise<ReadonlyMap<string, string>>;
  /** Runs the clock of the ports; the system's without it. */
  readonly clock?: Clock;
}

const NAMES = ["a1", "a2", "a3"];
const MONITORS = ["m1", "m2", "m3"];

export async function startHandLedSentinels(
  options: HandLedOptions = {},
): Promise<HandLedSentinels> {
  const folder = await ClusterFolder.create(
    clusterConf({
      ...{ nodesPerPartition: NAMES.length, nameOf: byLetter },
      ...{ monitors: MONITORS.length, secondPorts: true, lines: options.settings ?? [] },
    }),
  );
  onTestFinished(() => folder.end());
  const { config } = folder;
  const started = await folder.startServers({ data: "following" });
  const nodes = new Map([...started].filter(([name]) => NAMES.includes(name)));
  const ports = MONITORS.map((name) => folder.port(`${name}-2`));
  const view = new HandKeptView();
  const led = new Lead(nodes, view, config);
  await led.follow("a1", ["a2", "a3"]);
  led.show("a1");
  for (const [index, name] of MONITORS.entries()) {
    const server = await startSentinel({
      name,
      config: () => config,
      viewSource: view,
      password: options.password,
      clock: options.clock ?? systemClock,
      log: silentLog,
      addresses: ["127.0.0.1"],
      port: ports[index] ?? 0,
      readOffsets: options.readOffsets ?? (() => Promise.resolve(new Map())),
    });
    onTestFinished(() => server.close());
  }
  return {
    config,
    view,
    nodes,
    ports,
    portOf: (name) => folder.port(name),
    show: (master, dead) => {
      led.show(master, dead);
    },
    failOver: (to) => led.failOver(to),
  };
}

/** What an alpha does, done by hand. */
class Lead {
  readonly #nodes: ReadonlyMap<string, TestRedis>;
  readonly #view: HandKeptView;
  readonly #config: ClusterConfig;
  #master = "a1";
  #revision = 0;

  constructor(nodes: ReadonlyMap<string, TestRedis>, view: HandKeptView, config: ClusterConfig) {
    this.#nodes = nodes;
    this.#view = view;
    this.#config = config;
  }

  async follow(master: string, replicas: readonly string[]): Promise<void> {
    const port = this.#nodes.get(master)?.port ?? 0;
    for (const name of replicas) {
      const link = await this.#nodes.get(name)?.link();
      await link?.call("REPLICAOF", "127.0.0.1", String(port));
      await until(`${name} follows ${master}`, async () =>
        JSON.stringify(await link?.call("INFO", "replication")).includes("master_link_status:up"),
      );
    }
  }

  show(master: string | null, dead: readonly string[] = []): void {
    const nodes = this.#config.nodes.map((node): ShownNode => {
      const { name, kind, host, port } = node;
      const isData = node.kind === "data";
      return { name, kind, host, port, db: isData ? 0 : null, partition: isData ? 0 : null };
    });
    const view = shownView({ nodes, masters: [master], dead, revision: ++this.#revision });
    this.#master = master ?? this.#master;
    const partitions = view.partitions.map((partition) => ({
      ...partition,
      lastMaster: this.#master,
    }));
    this.#view.set({ ...view, partitions });
  }

  async failOver(to: string): Promise<void> {
    const from = this.#master;
    await this.#nodes.get(from)?.kill();
    this.show(null, [from]);
    const link = await this.#nodes.get(to)?.link();
    await link?.call("REPLICAOF", "NO", "ONE");
    const rest = NAMES.filter((name) => name !== from && name !== to);
    await this.follow(to, rest);
    this.show(to, [from]);
  }
}
