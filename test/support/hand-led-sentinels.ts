// hand-led-sentinels.ts: three monitors' Sentinel ports over one partition of real redis-servers. The test itself is the
// alpha: it gives the roles and shows the view, so that the ports are tested without what decides about roles.
import { onTestFinished } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { stateOf, type NodeView, type View } from "../../runtime/core/view.ts";
import { startSentinel } from "../../runtime/monitor/sentinel/server.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { freePort, startRedis, until, type TestRedis } from "./redis-server.ts";
import { HandKeptView } from "./router-cluster.ts";

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
}

const NAMES = ["a1", "a2", "a3"];
const MONITORS = ["m1", "m2", "m3"];

export async function startHandLedSentinels(
  options: HandLedOptions = {},
): Promise<HandLedSentinels> {
  const nodes = new Map<string, TestRedis>();
  const lines: string[] = [...(options.settings ?? [])];
  for (const name of NAMES) {
    const server = await startRedis(["repl-diskless-sync-delay 0"]);
    nodes.set(name, server);
    lines.push(`${name}=data 0 localhost ${server.port} 0`);
  }
  const ports: number[] = [];
  for (const name of MONITORS) {
    ports.push(await freePort());
    lines.push(`${name}=monitor localhost ${await freePort()} ${ports.at(-1) ?? 0}`);
  }
  lines.push(`s1=status localhost ${await freePort()} 0`);
  const { config } = parseConf(`${lines.join("\n")}\n`, "/nowhere/twine.conf");
  if (config === undefined) throw new Error("the test's twine.conf is wrong");
  const view = new HandKeptView();
  const portOf = (name: string): number => nodes.get(name)?.port ?? 0;
  const led = new Lead(nodes, view, config);
  await led.follow("a1", ["a2", "a3"]);
  led.show("a1");
  for (const [index, name] of MONITORS.entries()) {
    const server = await startSentinel({
      name,
      config: () => config,
      viewSource: view,
      password: options.password,
      clock: systemClock,
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
    portOf,
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
    const roles = (name: string) =>
      dead.includes(name) ? "dead" : name === master ? "master" : "replica";
    const nodes = this.#config.nodes.map((node): NodeView => {
      const isData = node.kind === "data";
      const { name, kind, host, port } = node;
      const others = dead.includes(name) ? "dead" : "up";
      return {
        name,
        kind,
        host,
        port,
        db: isData ? 0 : null,
        partition: isData ? 0 : null,
        role: isData ? roles(name) : others,
        inSync: !dead.includes(name),
        runId: null,
        since: "",
      };
    });
    const withRole = (role: string): string[] =>
      nodes.filter((node) => node.partition === 0 && node.role === role).map(({ name }) => name);
    const partitions: View["partitions"] = [
      {
        index: 0,
        master,
        replicas: withRole("replica"),
        dead: withRole("dead"),
        replicationId: null,
        lastMaster: master ?? this.#master,
        needs: null,
      },
    ];
    this.#master = master ?? this.#master;
    this.#view.set({
      cluster: "twine",
      state: stateOf({ partitions, nodes }),
      epoch: 1,
      revision: ++this.#revision,
      alpha: "m1",
      updatedAt: "",
      confDigest: "",
      partitions,
      nodes,
    });
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
