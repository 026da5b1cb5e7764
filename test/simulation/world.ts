// world.ts: a simulated cluster: production's monitors, register and followers over simulated servers and network.
//
//   monitors (startMonitor) --OpenLink--> data nodes        everything below the ports is simulated,
//        |---Acceptor---> status nodes <---Acceptor--- routers        everything above is production's
import { nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Request } from "../../runtime/core/request.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { Log, LogFields } from "../../runtime/ports/log.ts";
import type { OpenLink, RedisLink } from "../../runtime/ports/redis-link.ts";
import { RULES, type Rules } from "../../runtime/monitor/decide/rules.ts";
import type { MonitorAnswer } from "../../runtime/monitor/observe/ask-monitor.ts";
import type { Rescuer } from "../../runtime/replication/rescue.ts";
import { startMonitor, type Monitor } from "../../runtime/monitor/monitor.ts";
import { answerMsOf } from "../../runtime/register/acceptors.ts";
import { without } from "../../runtime/core/without.ts";
import { openSharedHashes, type SharedHashes } from "../../runtime/register/shared-hashes.ts";
import type { Acceptor } from "../../runtime/register/register.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";
import { OPERATOR, SILENT } from "./by-hand.ts";
import { Checks } from "./checks.ts";
import { openLinkFrom, type CommandServer } from "./connection.ts";
import { DataNode, type DataNodeWatch } from "./data-node.ts";
import { Network } from "./network.ts";
import type { Address } from "./replication-link.ts";
import { configOf, drawScenario, type Scenario } from "./scenario.ts";
import { Scheduler } from "./scheduler.ts";
import { SimProcess } from "./sim-process.ts";
import { simRescuer } from "./sim-rescuer.ts";
import { SimRouter } from "./sim-router.ts";
import { StatusNode } from "./status-node.ts";
import { Trace } from "./trace.ts";
import { rulesOf, type Mistake } from "./mistakes.ts";

/** So many that a node which took them looks further than those that were not made master. */
const BY_HAND_COUNT = 30;

/** Simulated masters send no PING: an offset that has moved by the length of one has moved by writes. */
const SIMULATED: Partial<Rules> = {
  isStill: (first, second) =>
    first.replicationId === second.replicationId && first.offset === second.offset,
};

export interface SimProgram {
  readonly process: SimProcess;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly hashes: Omit<SharedHashes, "onRequestNews">;
}

export interface WorldOptions {
  readonly seed: number;
  /** Instead of what the seed draws. */
  readonly scenario?: Partial<Scenario>;
  readonly mistake?: Mistake;
  /** Rules broken by a test itself. */
  readonly rules?: Partial<Rules>;
}

export class World {
  readonly scenario: Scenario;
  readonly config: ClusterConfig;
  readonly scheduler = new Scheduler();
  readonly trace: Trace;
  readonly network: Network;
  readonly checks: Checks;
  readonly dataNodes: readonly DataNode[];
  readonly statusNodes: readonly StatusNode[];
  readonly monitors: readonly SimProcess[];
  readonly routers: readonly SimProcess[];
  readonly #random: SeededRandom;
  readonly #operator: SimProcess;
  readonly #running = new Map<string, Monitor>();
  readonly #byPort = new Map<number, DataNode>();
  readonly #servers = new Map<number, CommandServer>();
  #hashes: Omit<SharedHashes, "onRequestNews"> | undefined;
  #connectionId = 0;
  #writeCount = 0;
  #requestCount = 0;
  #isWriting = true;
  /** A clock has jumped: leases are no longer what they were. */
  hasJumped = false;

  readonly #brokenRules: Partial<Rules>;

  constructor({ seed, scenario, mistake, rules = {} }: WorldOptions) {
    this.#brokenRules = rules;
    const random = seededRandom(seed);
    this.#random = random;
    this.scenario = { ...drawScenario(random, mistake), ...scenario };
    this.config = configOf(this.scenario);
    this.trace = new Trace(() => this.scheduler.nowMs);
    this.network = new Network(this.scheduler, random, this.scenario.weather);
    this.dataNodes = this.#makeDataNodes();
    this.checks = new Checks({
      trace: this.trace,
      nowMs: () => this.scheduler.nowMs,
      statusNodeCount: this.scenario.statusNodes,
      ackReplicas: this.scenario.ackReplicas,
      dataNodes: this.dataNodes,
      holders: () => this.#holders(),
    });
    this.statusNodes = this.#makeStatusNodes();
    this.monitors = nodesOf(this.config, "monitor").map(({ name, host }) =>
      this.#process(name, host),
    );
    this.routers = nodesOf(this.config, "router").map(({ name, host }) =>
      this.#process(name, host),
    );
    this.#operator = this.#process(OPERATOR, "c1");
    for (const server of [...this.dataNodes, ...this.statusNodes]) {
      this.#servers.set(server.address.port, server);
    }
  }

  start(): void {
    for (const node of [...this.statusNodes, ...this.dataNodes]) node.start();
    for (const monitor of this.monitors) this.startMonitor(monitor);
    for (const router of this.routers) this.startRouter(router);
    this.#operator.start();
  }

  startMonitor(process: SimProcess): void {
    process.start();
    const { life } = process;
    const clock = process.clock();
    const say =
      (level: string) =>
      (message: string, fields: LogFields = {}) => {
        if (process.isAlive(life)) this.checks.said(process.name, life, level, message, fields);
      };
    const log: Log = {
      debug: () => undefined,
      info: say("info"),
      warn: say("warn"),
      error: say("error"),
    };
    const monitor = startMonitor({
      name: process.name,
      config: this.config,
      password: undefined,
      clock,
      random: this.#random,
      log,
      openLink: this.#openLink(process),
      acceptors: this.#acceptorsOf(process, clock),
      hashes: this.#hashesOf(process, clock),
      probe: (_host, port) => this.#probe(process, port),
      askMonitor: (_host, port) => this.#askMonitor(port),
      rules: { ...RULES, ...SIMULATED, ...rulesOf(this.scenario.mistake), ...this.#brokenRules },
      ...this.#rescuer(clock),
    });
    this.#running.set(process.name, monitor);
  }

  /** Only where somebody makes masters by hand: elsewhere a rogue master is detached without a copy. */
  #rescuer(clock: Clock): { rescuer?: Rescuer } {
    const { kinds, syncMs } = this.scenario;
    if (!kinds.includes("made-master-by-hand")) return {};
    const rescuer = simRescuer({
      clock,
      nodeAt: (port) => this.#byPort.get(port),
      syncMs: () => syncMs * this.#random.next(),
      onSaved: this.checks.byHand.saved,
    });
    return { rescuer };
  }

  startRouter(process: SimProcess): void {
    process.start();
    const clock = process.clock();
    const acceptors = this.#acceptorsOf(process, clock);
    const isCredulous = this.scenario.mistake === "router-believes-one";
    const router = new SimRouter({
      name: process.name,
      config: this.config,
      clock,
      random: this.#random,
      openLink: this.#openLink(process),
      acceptors: isCredulous ? acceptors.slice(1, 2) : acceptors,
      checks: this.checks,
      nextWrite: () => (this.#writeCount += 1),
      pauseMs: this.scenario.writeEveryMs,
      mayWrite: () => this.#isWriting,
      ignoresLease: this.scenario.mistake === "lease-ignored",
      ignoresSuspension: this.scenario.mistake === "suspension-ignored",
    });
    for (const node of this.statusNodes) {
      node.subscribe(process, () => {
        router.reported();
      });
    }
  }

  /** A monitor's or router's process ends. */
  endClient(process: SimProcess, isMute: boolean): void {
    process.stop({ isMute });
    for (const node of [...this.dataNodes, ...this.statusNodes]) node.clientEnded(process);
  }

  /** What a tool would ask through the status nodes. */
  ask(body: Request["body"]): void {
    this.#requestCount += 1;
    const id = `request-${this.#requestCount}`;
    this.trace.note(`operator asks ${JSON.stringify(body)}`);
    this.#hashes ??= this.#hashesOf(this.#operator, this.#operator.clock());
    this.#hashes.askRequest({ id, body, state: "asked", message: "" }).catch((error: unknown) => {
      this.trace.note(`operator failed: ${String(error)}`);
    });
  }

  /** Somebody makes a data node master, and writes to it before any monitor can look. */
  makeMasterByHand(node: DataNode): void {
    this.#byHand(node, `makes ${node.name} master`, async (link) => {
      const writes = Array.from({ length: BY_HAND_COUNT }, () => (this.#writeCount += 1));
      const done = await Promise.all([
        link.call("REPLICAOF", "NO", "ONE"),
        link.call("WRITE", ...writes),
      ]);
      if (done[1] === "OK") this.checks.byHand.took(node, writes);
    });
  }

  /** A master of another system, with `count` writes of its own. No monitor knows it. */
  startForeign(port: number, count: number): DataNode {
    const host = "old";
    const node = this.#dataNode(this.#process(`old${port}`, host), { host, port }, 0, SILENT);
    this.#servers.set(port, node);
    node.start();
    node.replication.promote();
    const writes = Array.from({ length: count }, () => (this.#writeCount += 1));
    node.replication.append(writes);
    return node;
  }

  /** A Sentinel of the other system takes a data node for a replica of its own. */
  repointByHand(node: DataNode, foreign: DataNode): void {
    const { host, port } = foreign.address;
    const what = `makes ${node.name} a replica of ${foreign.name}`;
    this.#byHand(node, what, (link) => link.call("REPLICAOF", host, port));
  }

  /** Somebody ends whatever pause of writes a data node has. */
  unpauseByHand(node: DataNode): void {
    const what = `ends the pause of ${node.name}`;
    this.#byHand(node, what, (link) => link.call("CLIENT", "UNPAUSE"));
  }

  #byHand({ address }: DataNode, what: string, task: (link: RedisLink) => Promise<unknown>): void {
    this.trace.note(`operator ${what}`);
    this.#openLink(this.#operator)(address, { clientName: OPERATOR, connectTimeoutMs: 1000 })
      .then(async (link) => {
        await task(link);
        link.close();
      })
      .catch((error: unknown) => {
        this.trace.note(`operator failed: ${String(error)}`);
      });
  }

  /** A program that runs once: a tool, or a client of another system. */
  startProgram(name: string): SimProgram {
    const process = this.#process(name, "c1");
    process.start();
    const clock = process.clock();
    return {
      process,
      clock,
      openLink: this.#openLink(process),
      hashes: this.#hashesOf(process, clock),
    };
  }

  /** A number that nobody else writes. */
  readonly nextWrite = (): number => (this.#writeCount += 1);

  stopWriting(): void {
    this.#isWriting = false;
  }

  startWriting(): void {
    this.#isWriting = true;
  }

  /** The alpha by the newest chosen view. */
  alpha(): SimProcess | undefined {
    const { alpha } = this.checks.register.view ?? {};
    return this.monitors.find(({ name }) => name === alpha);
  }

  readonly monitor = (name: string): Monitor | undefined => this.#running.get(name);

  hosts(): string[] {
    return [...new Set(this.config.nodes.map(({ host }) => host))];
  }

  #holders(): string[] {
    if (this.hasJumped) return [];
    return this.monitors
      .filter(({ isUp, isPaused }) => isUp && !isPaused)
      .map(({ name }) => name)
      .filter((name) => {
        const monitor = this.#running.get(name);
        return monitor?.health().isAlpha === true && monitor.isAlphaAlive();
      });
  }

  #process(name: string, host: string): SimProcess {
    const { drift } = this.scenario;
    const clockRate = 1 + drift * (2 * this.#random.next() - 1);
    return new SimProcess({
      name,
      host,
      scheduler: this.scheduler,
      random: this.#random,
      clockRate,
    });
  }

  #makeDataNodes(): DataNode[] {
    return nodesOf(this.config, "data").map(({ name, host, port, partition }) =>
      this.#dataNode(this.#process(name, host), { host, port }, partition, undefined),
    );
  }

  #dataNode(
    process: SimProcess,
    address: Address,
    partition: number,
    watch: DataNodeWatch | undefined,
  ): DataNode {
    const { persistence, saveEveryMs, backlogSize, syncMs, mistake } = this.scenario;
    const node = new DataNode({
      ...{ partition, address, process, persistence, saveEveryMs, backlogSize, mistake },
      syncMs: () => syncMs * this.#random.next(),
      scheduler: this.scheduler,
      network: this.network,
      random: this.#random,
      nodeAt: (other: Address) => this.#byPort.get(other.port),
      watch: () => watch ?? this.checks,
    });
    this.#byPort.set(address.port, node);
    return node;
  }

  #makeStatusNodes(): StatusNode[] {
    const { fsyncMs, mistake } = this.scenario;
    return nodesOf(this.config, "status").map(
      ({ name, host, port }) =>
        new StatusNode({
          cluster: this.config.settings.cluster,
          address: { host, port },
          process: this.#process(name, host),
          scheduler: this.scheduler,
          network: this.network,
          random: this.#random,
          fsyncMs,
          mistake,
          onVote: this.checks.voted,
        }),
    );
  }

  #openLink(process: SimProcess) {
    return openLinkFrom(process, {
      network: this.network,
      serverAt: (_host, port) => this.#servers.get(port),
      nextId: () => (this.#connectionId += 1),
    });
  }

  #acceptorsOf(process: SimProcess, clock: Clock): Acceptor[] {
    const answerMs = answerMsOf(this.config.settings);
    return this.statusNodes.map((node) => node.seenFrom(process, clock, answerMs));
  }

  /** Without the messages that announce a request: they only speed things up, and may be lost. */
  #hashesOf(process: SimProcess, clock: Clock): Omit<SharedHashes, "onRequestNews"> {
    const openLink = this.#openLink(process);
    const options = { config: this.config, password: undefined, clock, openLink };
    return without(openSharedHashes({ ...options, user: "monitor" }), "onRequestNews");
  }

  #probe(from: SimProcess, port: number): Promise<boolean> {
    const config = nodesOf(this.config, "router").find((router) => router.port === port);
    const router = this.routers.find(({ name }) => name === config?.name);
    return Promise.resolve(router?.isUp === true && from.isUp);
  }

  /** What that monitor's /healthz says of who it is; nothing while it is down or asleep. */
  #askMonitor(port: number): Promise<MonitorAnswer | undefined> {
    const config = nodesOf(this.config, "monitor").find((monitor) => monitor.port === port);
    const process = this.monitors.find(({ name }) => name === config?.name);
    if (process?.isUp !== true || process.isPaused) return Promise.resolve(undefined);
    return Promise.resolve(this.#running.get(process.name)?.health());
  }
}
