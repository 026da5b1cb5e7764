// register-simulation.ts: proposers, memory acceptors and a hostile network between them, all drawn from one seed.
//
// Every request and every reply waits in a bag; each step delivers one at random, so that messages overtake one another
// by any distance. Requests are dropped and repeated (a seed is never repeated: TCP doesn't), callers lose patience
// while their request is still on its way, nodes go down, restart and, a minority at a time, are emptied; proposers are
// killed and come back under their name with everything forgotten. register-oracle.ts watches.
import { majorityOf } from "../../runtime/core/cluster.ts";
import { compareBallots } from "../../runtime/register/ballot.ts";
import { memoryAcceptor, type MemoryAcceptor } from "../../runtime/register/memory-acceptor.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { newestChosen } from "../../runtime/register/read.ts";
import type { Acceptor, AcceptorState, Chosen, Proposer } from "../../runtime/register/register.ts";
import { RegisterOracle } from "./register-oracle.ts";
import { seededRandom, type SeededRandom } from "./seeded-random.ts";

export type Mistake =
  "quorum-of-one" | "promise-forgotten" | "disk-rolled-back" | "majority-emptied";

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly proposers: number;
  readonly steps: number;
  /** Deliberate mistakes, for proving that the oracle sees them. */
  readonly mistake?: Mistake;
}

interface Message {
  readonly mayRepeat: boolean;
  deliver(): void;
}

/** Runs the whole simulation; afterwards all faults end, and the register must work again and know what it knew. */
export async function simulateRegister(options: SimulationOptions): Promise<RegisterOracle> {
  const simulation = new Simulation(options);
  await simulation.run();
  return simulation.oracle;
}

class Simulation {
  readonly oracle: RegisterOracle;
  readonly #options: SimulationOptions;
  readonly #random: SeededRandom;
  readonly #nodes: readonly MemoryAcceptor[];
  readonly #bag: Message[] = [];
  readonly #impatient = new Set<() => void>();
  readonly #emptied = new Set<MemoryAcceptor>();
  /** What a slow reader last saw of each node. */
  readonly #seen = new Map<string, AcceptorState>();
  readonly #lives = new Map<string, number>();
  #isHealed = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.oracle = new RegisterOracle(options.nodes);
    this.#nodes = Array.from({ length: options.nodes }, (_, index) => memoryAcceptor(`s${index}`));
    if (options.mistake === "promise-forgotten" || options.mistake === "disk-rolled-back") {
      for (const node of this.#nodes) node.setFsync("no");
    }
  }

  async run(): Promise<void> {
    for (let index = 1; index <= this.#options.proposers; index++) this.#start(`m${index}`);
    for (let step = 0; step < this.#options.steps; step++) {
      this.#step();
      await settled();
    }
    // What a mistake has broken need not work again.
    if (this.#options.mistake === undefined) await this.#heal();
    this.#isHealed = true;
  }

  #step(): void {
    const random = this.#random;
    if (random.isOnceIn(8)) this.#fault();
    if (random.isOnceIn(10)) void this.#look();
    const index = random.below(this.#bag.length);
    const message = this.#bag[index];
    if (message === undefined) return;
    const isRepeated = message.mayRepeat && random.isOnceIn(20);
    if (!isRepeated) this.#bag.splice(index, 1);
    if (message.mayRepeat && random.isOnceIn(12)) return;
    message.deliver();
  }

  #fault(): void {
    const random = this.#random;
    const node = random.pick(this.#nodes);
    switch (random.below(7)) {
      case 0:
        node.setDown(true);
        break;
      case 1:
        for (const each of this.#nodes) each.setDown(false);
        break;
      case 2:
        node.restart();
        break;
      case 3:
        if (random.isOnceIn(3)) this.#empty(node);
        break;
      case 4:
        if (random.isOnceIn(4)) this.#start(`m${1 + random.below(this.#options.proposers)}`);
        break;
      default:
        for (const giveUp of this.#impatient) if (random.isOnceIn(3)) giveUp();
    }
  }

  /** A minority at a time: those that the newest proposals disown are lost as much as those that are empty. */
  #empty(node: MemoryAcceptor): void {
    const lost = this.#nodes.filter((each) => each !== node && !this.#isVoting(each));
    const most = this.#options.nodes - majorityOf(this.#options.nodes);
    if (lost.length >= most && this.#options.mistake !== "majority-emptied") return;
    this.#emptied.add(node);
    node.empty();
  }

  #isVoting(node: MemoryAcceptor): boolean {
    const { incarnation } = node.peek();
    const newest = this.oracle.chosen.at(-1);
    if (newest === undefined) return !this.#emptied.has(node);
    const held = this.#nodes.flatMap((each) => each.peek().accepted ?? []);
    return [newest, ...held]
      .filter(({ ballot }) => compareBallots(ballot, newest.ballot) >= 0)
      .every(({ members }) => members[node.name] === incarnation);
  }

  /** A proposer's process, forgotten by its former life, whose messages are still on their way. */
  #start(name: string): void {
    const life = (this.#lives.get(name) ?? 0) + 1;
    this.#lives.set(name, life);
    const acceptors = this.#nodes.map((node) => this.#overNetwork(node));
    const proposer = createProposer({
      name,
      cluster: "twine",
      acceptors: this.#options.mistake === "quorum-of-one" ? acceptors.slice(0, 1) : acceptors,
      random: this.#random,
    });
    const isAlive = (): boolean => !this.#isHealed && this.#lives.get(name) === life;
    this.#lead(name, life, proposer, isAlive).catch((error: unknown) => {
      this.oracle.violations.push(String(error));
    });
  }

  async #lead(name: string, life: number, proposer: Proposer, isAlive: () => boolean) {
    for (let count = 1; isAlive(); count++) {
      await this.#rest();
      const prepared = await proposer.prepare();
      if (prepared.kind !== "prepared") continue;
      let { value } = prepared;
      for (let term = this.#random.below(6); term >= 0 && isAlive(); term--) {
        await this.#rest();
        const { body = "", epoch = 0, revision = 0 } = value ?? {};
        const isWrite = value === null || this.#random.isOnceIn(2);
        const draft = {
          body: `${body ?? ""}/${name}.${life}.${count}.${term}`,
          epoch: epoch + this.#random.below(2),
          revision: revision + 1,
        };
        const chosen: Chosen = isWrite ? await proposer.write(draft) : await proposer.beat();
        if (chosen.kind !== "chosen") break;
        value = chosen.value;
        this.oracle.claim(name, value.heartbeat, value.body);
      }
      if (this.#random.isOnceIn(4)) proposer.releasePromise();
    }
  }

  /** A reader that pieces together what it saw of each node at different times. */
  async #look(): Promise<void> {
    const node = this.#random.pick(this.#nodes);
    const state = await this.#overNetwork(node)
      .read(true)
      .catch(() => undefined);
    if (state === undefined) return;
    this.#seen.set(node.name, state);
    const newest = newestChosen(this.#seen.values(), this.#options.nodes);
    if (newest !== null) this.oracle.claimBody(newest.bodyBallot);
  }

  async #heal(): Promise<void> {
    this.#isHealed = true;
    for (const node of this.#nodes) node.setDown(false);
    const known = this.oracle.chosen.at(-1)?.value.body ?? "";
    const proposer = createProposer({
      name: "healer",
      cluster: "twine",
      acceptors: this.#nodes,
      random: this.#random,
    });
    for (let attempt = 0; attempt < 5; attempt++) {
      const prepared = await proposer.prepare();
      if (prepared.kind !== "prepared") continue;
      const { body, epoch, revision } = prepared.value ?? { body: "", epoch: 0, revision: 0 };
      if (!(body ?? "").startsWith(known)) this.oracle.violations.push("a chosen value was lost");
      const draft = { body: `${body ?? ""}/end`, epoch: epoch + 1, revision: revision + 1 };
      await proposer.write(draft);
      // Two more: one that notices the empty ones, one in which they vote.
      await proposer.beat();
      await settled();
      await proposer.beat();
      await proposer.beat();
      await settled();
      const isWhole = this.#nodes.every((node) => {
        const { accepted, incarnation } = node.peek();
        const isCurrent = accepted?.value.body === draft.body;
        return isCurrent && accepted.members[node.name] === incarnation;
      });
      if (isWhole) return;
    }
    this.oracle.violations.push("the register did not recover after all faults ended");
  }

  /** The node as a proposer reaches it: every call is two messages, and an impatient caller. */
  #overNetwork(node: MemoryAcceptor): Acceptor {
    const { mistake } = this.#options;
    return {
      name: node.name,
      prepare: (request) =>
        this.#call(true, async () => {
          const reply = await node.prepare(request);
          if (mistake === "promise-forgotten") node.restart();
          return reply;
        }),
      accept: (request) =>
        this.#call(true, async () => {
          const reply = await node.accept(request);
          const { accepted } = node.peek();
          if (reply.kind === "accepted" && accepted !== null) this.oracle.vote(node.name, accepted);
          if (mistake === "promise-forgotten") node.sync();
          if (mistake === "disk-rolled-back" && this.#random.isOnceIn(5)) node.sync();
          return reply;
        }),
      read: (withBody) => this.#call(true, () => node.read(withBody)),
      seed: (request) =>
        this.#call(false, async () => {
          const isSeeded = await node.seed(request);
          if (mistake !== undefined) node.sync();
          return isSeeded;
        }),
    };
  }

  #call<R>(mayRepeat: boolean, execute: () => Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#impatient.delete(giveUp);
        reject(new Error("no answer"));
      };
      this.#impatient.add(giveUp);
      const deliver = (): void => {
        execute().then(
          (reply) => {
            this.#post(false, () => {
              this.#impatient.delete(giveUp);
              resolve(reply);
            });
          },
          () => {
            this.#post(false, giveUp);
          },
        );
      };
      this.#post(mayRepeat, deliver);
    });
  }

  /** Until the scheduler says so. */
  #rest(): Promise<void> {
    return new Promise((resolve) => {
      this.#post(false, resolve);
    });
  }

  #post(mayRepeat: boolean, deliver: () => void): void {
    this.#bag.push({ mayRepeat, deliver });
  }
}

/** After every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
