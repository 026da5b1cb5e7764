// faults.ts: does to a simulated cluster what its scenario says, and puts everything right in the end.
//
// Limits that the promises have: status nodes lose their disks a minority at a time; under ack-replicas k at most k
// nodes of a partition lose data at a time, and one that lost its data counts until it is in sync again.
import { majorityOf } from "../../runtime/core/cluster.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { DataNode } from "./data-node.ts";
import { isHuntKind, type FaultKind, type HuntKind } from "./fault-kinds.ts";
import { doAsHunted, type Hands } from "./hunt-faults.ts";
import type { SimProcess } from "./sim-process.ts";
import type { StatusNode } from "./status-node.ts";
import type { World } from "./world.ts";

type Kind = Exclude<FaultKind, HuntKind>;

export class Faults {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #wiped = new Set<StatusNode>();
  #isOver = false;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** Begins; faults come until calm(). */
  begin(): void {
    const { scenario } = this.#world;
    if (scenario.kinds.length === 0) return;
    this.#world.scheduler.after(scenario.faultEveryMs * 2 * this.#random.next(), () => {
      if (this.#isOver) return;
      const kind = this.#random.pick(scenario.kinds);
      if (isHuntKind(kind)) doAsHunted(kind, this.#hands());
      else this.#do(kind);
      this.begin();
    });
  }

  /** Everything runs, is awake and reaches everything. */
  calm(): void {
    const world = this.#world;
    this.#isOver = true;
    world.trace.note("calm");
    world.network.calm();
    for (const node of world.statusNodes) {
      node.process.resume();
      if (!node.process.isUp) node.start();
    }
    for (const node of world.dataNodes) {
      node.process.resume();
      if (!node.process.isUp) node.start();
    }
    for (const monitor of world.monitors) {
      monitor.resume();
      if (!monitor.isUp) world.startMonitor(monitor);
    }
    for (const router of world.routers) {
      router.resume();
      if (!router.isUp) world.startRouter(router);
    }
  }

  #do(kind: Kind): void {
    const world = this.#world;
    const random = this.#random;
    switch (kind) {
      case "data-kill":
        this.#endData(random.pick(world.dataNodes), "kill", this.#longMs(), false);
        break;
      case "data-quick-restart":
        this.#endData(random.pick(world.dataNodes), "kill", 300 * random.next(), false);
        break;
      case "data-wipe":
        this.#endData(random.pick(world.dataNodes), "kill", this.#longMs(), true);
        break;
      case "data-power":
        this.#endData(random.pick(world.dataNodes), "power", this.#longMs(), false);
        break;
      case "data-pause":
        this.#pause(random.pick(world.dataNodes).process, this.#longMs());
        break;
      case "master-kill":
        this.#onMaster((node) => {
          this.#endData(node, "kill", this.#longMs(), random.isOnceIn(3));
        });
        break;
      case "master-pause":
        this.#onMaster((node) => {
          this.#pause(node.process, this.#longMs());
        });
        break;
      case "status-kill":
        this.#endStatus(random.pick(world.statusNodes), "kill", false);
        break;
      case "status-power":
        this.#endStatus(random.pick(world.statusNodes), "power", false);
        break;
      case "status-wipe":
        this.#endStatus(random.pick(world.statusNodes), "kill", true);
        break;
      case "status-pause":
        this.#pause(random.pick(world.statusNodes).process, this.#longMs());
        break;
      default:
        this.#doMore(kind);
    }
  }

  #doMore(kind: Kind): void {
    const world = this.#world;
    const random = this.#random;
    switch (kind) {
      case "monitor-kill":
        this.#endMonitor(random.pick(world.monitors), false);
        break;
      case "alpha-kill":
        this.#endMonitor(world.alpha() ?? random.pick(world.monitors), false);
        break;
      case "monitor-pause":
        this.#pause(random.pick(world.monitors), this.#longMs());
        break;
      case "alpha-pause":
        this.#pause(world.alpha() ?? random.pick(world.monitors), this.#longMs());
        break;
      case "monitor-jump":
        this.#jump(random.pick(world.monitors));
        break;
      case "router-pause":
        this.#pause(random.pick(world.routers), this.#longMs());
        break;
      case "host-power":
        this.#powerOff(random.pick(world.hosts()));
        break;
      case "cut-one-way":
        this.#cut([this.#pair()]);
        break;
      case "cut-both-ways": {
        const [from, to] = this.#pair();
        this.#cut([
          [from, to],
          [to, from],
        ]);
        break;
      }
      case "isolate-host":
        this.#isolate(random.pick(world.hosts()));
        break;
      case "split":
        this.#split();
        break;
      case "stale-alpha":
        this.#staleAlpha();
        break;
      case "handover":
        world.ask({ kind: "handover", node: random.pick(world.dataNodes).name });
        break;
    }
  }

  #hands(): Hands {
    return {
      world: this.#world,
      random: this.#random,
      later: (waitMs, task) => {
        this.#later(waitMs, task);
      },
      onMaster: (task) => {
        this.#onMaster(task);
      },
      killData: (node, downMs) => {
        this.#endData(node, "kill", downMs, false);
      },
      killMonitor: (process) => {
        this.#endMonitor(process, false);
      },
      pause: (process, pauseMs) => {
        this.#pause(process, pauseMs);
      },
    };
  }

  /** Mostly shorter than the chaos lasts; some last until its end. */
  #longMs(): number {
    const { leaseMs, downAfterMs } = this.#world.scenario;
    return this.#random.next() * this.#random.pick([0.5, 2, 4]) * (leaseMs + downAfterMs);
  }

  #later(waitMs: number, task: () => void): void {
    this.#world.scheduler.after(waitMs, () => {
      if (!this.#isOver) task();
    });
  }

  #onMaster(task: (node: DataNode) => void): void {
    const partitions = this.#world.checks.register.view?.partitions ?? [];
    const masters = partitions.flatMap(({ master }) => master ?? []);
    if (masters.length === 0) return;
    const name = this.#random.pick(masters);
    const node = this.#world.dataNodes.find((each) => each.name === name);
    if (node !== undefined) task(node);
  }

  #endData(node: DataNode, kind: "kill" | "power", downMs: number, isWiped: boolean): void {
    const { checks, trace, scenario } = this.#world;
    if (!node.process.isUp) return;
    const isForever = isWiped || kind === "power" || scenario.persistence !== "aof";
    if (isForever && scenario.ackReplicas > 0 && !checks.mayLose(node)) return;
    trace.note(`fault: ${node.name} ${kind}${isWiped ? " and wiped" : ""}`);
    node.end(kind, isWiped);
    const { life } = node.process;
    this.#later(downMs, () => {
      if (node.process.isUp || node.process.life !== life) return;
      trace.note(`fault: ${node.name} starts`);
      node.start();
    });
  }

  #endStatus(node: StatusNode, kind: "kill" | "power", isWiped: boolean): void {
    const { trace } = this.#world;
    if (!node.process.isUp || (isWiped && !this.#mayWipe(node))) return;
    trace.note(`fault: ${node.name} ${kind}${isWiped ? " and wiped" : ""}`);
    node.end(kind);
    if (isWiped) {
      node.empty();
      this.#wiped.add(node);
    }
    this.#later(this.#longMs(), () => {
      if (node.process.isUp) return;
      trace.note(`fault: ${node.name} starts`);
      node.start();
    });
  }

  /** A minority at a time: one whose new life no chosen value names yet counts as lost still. */
  #mayWipe(node: StatusNode): boolean {
    const { statusNodes, checks } = this.#world;
    const newest = checks.register.newest;
    if (newest === undefined) return false;
    const lost = statusNodes.filter((each) => {
      const { incarnation } = each.acceptor.peek();
      return each !== node && newest.members[each.name] !== incarnation;
    });
    return lost.length < statusNodes.length - majorityOf(statusNodes.length);
  }

  #endMonitor(process: SimProcess, isMute: boolean): void {
    const { trace } = this.#world;
    if (!process.isUp) return;
    trace.note(`fault: ${process.name} ends`);
    this.#world.endClient(process, isMute);
    this.#later(this.#longMs(), () => {
      if (process.isUp) return;
      trace.note(`fault: ${process.name} starts`);
      this.#world.startMonitor(process);
    });
  }

  #pause(process: SimProcess, pauseMs: number): void {
    if (!process.isUp || process.isPaused) return;
    this.#world.trace.note(`fault: ${process.name} paused for ${pauseMs.toFixed(0)} ms`);
    process.pause();
    this.#later(pauseMs, () => {
      process.resume();
    });
  }

  #jump(process: SimProcess): void {
    const jumpMs = this.#longMs() * 3;
    this.#world.trace.note(`fault: the clock of ${process.name} jumps ${jumpMs.toFixed(0)} ms`);
    this.#world.hasJumped = true;
    process.jump(jumpMs, (this.#random.next() - 0.5) * 1e7);
  }

  /** Everything on one host at once, without a word to anybody. */
  #powerOff(host: string): void {
    const world = this.#world;
    world.trace.note(`fault: ${host} loses its power`);
    for (const node of world.dataNodes) {
      if (node.process.host === host) this.#endData(node, "power", this.#longMs(), false);
    }
    for (const node of world.statusNodes) {
      if (node.process.host === host) this.#endStatus(node, "power", false);
    }
    for (const process of world.monitors) {
      if (process.host === host) this.#endMonitor(process, true);
    }
  }

  /** A command of the alpha hangs behind a cut, and the alpha sleeps, until another has led for a moment. */
  #staleAlpha(): void {
    const { network, trace, scenario, checks } = this.#world;
    const alpha = this.#world.alpha();
    const { epoch = 0 } = checks.register.view ?? {};
    this.#onMaster((master) => {
      this.#endData(master, "kill", 2 * scenario.leaseMs, false);
    });
    let isOver = false;
    network.lieInWait((from, to, command) => {
      if (isOver || from !== alpha || from.host === to.host || command !== "REPLICAOF") return;
      isOver = true;
      trace.note(`fault: what ${alpha.name} tells ${to.name} hangs`);
      network.cut(from.host, to.host);
      this.#later(5, () => {
        this.#pause(alpha, 6 * scenario.leaseMs);
      });
      this.#whenLed(epoch, () => {
        network.heal(from.host, to.host);
      });
    });
  }

  /** A moment after a later epoch than this one has begun. */
  #whenLed(epoch: number, task: () => void): void {
    const { checks, scenario } = this.#world;
    this.#later(20, () => {
      const isLed = (checks.register.view?.epoch ?? 0) > epoch;
      if (isLed) this.#later(scenario.leaseMs * this.#random.next(), task);
      else this.#whenLed(epoch, task);
    });
  }

  #pair(): [string, string] {
    const hosts = this.#world.hosts();
    return [this.#random.pick(hosts), this.#random.pick(hosts)];
  }

  #isolate(host: string): void {
    const others = this.#world.hosts().filter((each) => each !== host);
    this.#cut(
      others.flatMap((other): [string, string][] => [
        [host, other],
        [other, host],
      ]),
    );
  }

  /** Two groups of hosts that don't hear each other. */
  #split(): void {
    const hosts = this.#world.hosts();
    const left = hosts.filter(() => this.#random.isOnceIn(2));
    const right = hosts.filter((host) => !left.includes(host));
    this.#cut(
      left.flatMap((from) =>
        right.flatMap((to): [string, string][] => [
          [from, to],
          [to, from],
        ]),
      ),
    );
  }

  #cut(pairs: readonly (readonly [string, string])[]): void {
    const { network, trace } = this.#world;
    trace.note(`fault: cut ${pairs.map((pair) => pair.join(">")).join(" ")}`);
    for (const [from, to] of pairs) network.cut(from, to);
    this.#later(this.#longMs(), () => {
      for (const [from, to] of pairs) network.heal(from, to);
      trace.note(`fault: healed ${pairs.map((pair) => pair.join(">")).join(" ")}`);
    });
  }
}
