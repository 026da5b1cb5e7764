// reshard-seeds.test.ts: a small world around the alpha's steps of a resharding: masters that execute writes of routers with
// old and new views, pauses that lapse, INFO that is late, commands that arrive late, alphas that die and whose commands
// still arrive until their successor has closed their connections, an operator who ends pauses, and a tool that copies, asks,
// and may die.
//
// At every commit the new nodes must have every write that was acknowledged, and no old master may ever serve again. Nothing
// is removed from the old nodes, so there is no rule about when.
//
//   TWINE_RESHARD_SEEDS=10000 npx vitest run --project unit test/unit/monitor/reshard-seeds.test.ts
import { describe, expect, test } from "vitest";
import { canonicalConf } from "../../../runtime/core/conf/digest.ts";
import type { NewMaster, Request, ReshardRequest } from "../../../runtime/core/request.ts";
import type { View } from "../../../runtime/core/view.ts";
import { actionsOf, type Action } from "../../../runtime/monitor/decide/actions.ts";
import type { NodeHealth } from "../../../runtime/monitor/decide/nodes/node-health.ts";
import type { Pause } from "../../../runtime/monitor/decide/pauses.ts";
import {
  decideReshard,
  type ReshardInput,
  type ReshardMemory,
} from "../../../runtime/monitor/decide/reshard/reshard.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { seededRandom } from "../../../runtime/ports/seeded-random.ts";
import { configOf, infoOf, masterInfo } from "./situations.ts";

const OTHERS = "s1=status localhost 7101 0\nm1=monitor localhost 7201\n";
const OLD = configOf(`a=data 0 localhost 7001 0\nb=data 1 localhost 7002 0\n${OTHERS}`);
const NEW = configOf(
  `c=data 0 localhost 8001 0\nd=data 1 localhost 8002 0\ne=data 2 localhost 8003 0\n${OTHERS}`,
);
const MASTERS: readonly NewMaster[] = ["c", "d", "e"].map((node) => ({
  ...{ node, runId: "r", replicationId: "i" },
}));
const NAMES = ["a", "b"] as const;
const PAUSE_MS = 400;
const SEEDS = Number(process.env["TWINE_RESHARD_SEEDS"] ?? 40);
/** Every broken rule is found at least twice in so many. */
const BROKEN_SEEDS = 40;

interface Node {
  isMaster: boolean;
  /** A replica of a new master instead of nobody: it answers scripts that swallow its errors. */
  isAttached: boolean;
  offset: number;
  pausedUntilMs: number;
}

/** A command on its way to a node, from the alpha of that epoch. */
interface OnItsWay {
  readonly epoch: number;
  readonly action: Action;
}

/** One rule that does not hold; absent: it holds. */
interface Broken {
  /** What the decider is given instead. */
  readonly input?: (input: ReshardInput) => ReshardInput;
  /** The tool asks for the next step before it has copied up to the marks. */
  readonly isUndrained?: boolean;
  /** Masters are detached to the new masters instead of nowhere. */
  readonly isAttaching?: boolean;
  /** The offsets of the pause count as final. */
  readonly trustsPause?: boolean;
}

class World {
  readonly #random: { next(): number };
  readonly #broken: Broken;
  readonly #nodes = new Map<string, Node>(
    NAMES.map((name) => [
      name,
      { isMaster: true, isAttached: false, offset: 10, pausedUntilMs: 0 },
    ]),
  );
  readonly #copied = new Map<string, number>(NAMES.map((name) => [name, 0]));
  readonly problems: string[] = [];
  view: View;
  #nowMs = 1000;
  #epoch = 1;
  #memory: ReshardMemory | undefined;
  #pauses = new Map<string, Pause>();
  #acknowledgedAtMs = new Map<string, number>(NAMES.map((name) => [name, 0]));
  #health = new Map<string, NodeHealth>();
  #onTheirWay: OnItsWay[] = [];
  #asked: Request[] = [];
  #beat = 1;
  #id = 0;
  isToolAlive = true;

  constructor(seed: number, broken: Broken) {
    this.#random = seededRandom(seed);
    this.#broken = broken;
    const first = firstView(OLD, "old", "m1", "");
    this.view = {
      ...first,
      partitions: first.partitions.map((partition, at) => ({
        ...partition,
        ...{ master: NAMES[at] ?? null, lastMaster: NAMES[at] ?? null, masterRunId: "run" },
      })),
    };
    this.#ask("begin", { conf: canonicalConf(NEW) });
  }

  get isCommitted(): boolean {
    return this.view.partitions.length === 3;
  }

  step(): void {
    this.#nowMs += Math.floor(this.#chance() * 60);
    const dice = this.#chance();
    if (dice < 0.25) this.#write();
    else if (dice < 0.45) this.#look();
    else if (dice < 0.7) this.#tick();
    else if (dice < 0.84) this.#arrive();
    else if (dice < 0.97) this.#toolStep();
    else if (dice < 0.98) this.#newAlpha();
    else if (dice < 0.99) this.#unpaused();
    else this.isToolAlive = this.#chance() < 0.9;
  }

  #chance(): number {
    return this.#random.next();
  }

  /** Of any router: one with an old view still knows the old masters. */
  #write(): void {
    const node = this.#nodes.get(this.#anyName());
    if (node === undefined || this.#nowMs < node.pausedUntilMs) return;
    // A node of nowhere answers MASTERDOWN, which proves that it executed nothing. One with a link to a master lets a script
    // with redis.pcall return as if it had written.
    if (node.isAttached) this.problems.push("a write was acknowledged that nobody executed");
    if (!node.isMaster) return;
    node.offset += 5;
    if (this.isCommitted) this.problems.push("an old master executed a write after the commit");
  }

  /** A pause has no owner: an operator, or a tool of another system, ends it. */
  #unpaused(): void {
    const node = this.#nodes.get(this.#anyName());
    if (node !== undefined) node.pausedUntilMs = 0;
  }

  #anyName(): string {
    return NAMES[Math.floor(this.#chance() * NAMES.length)] ?? "a";
  }

  #look(): void {
    const name = this.#anyName();
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    const { offset } = node;
    const info = node.isMaster ? masterInfo({ offset }) : infoOf({ offset, replicationId: "h1" });
    this.#health.set(name, { kind: "up", info, askedAtMs: this.#nowMs });
  }

  #tick(): void {
    const input: ReshardInput = {
      view: this.view,
      requests: [...this.#asked, this.#alive()],
      nodeHealth: new Map(
        NAMES.map((name) => [name, this.#health.get(name) ?? { kind: "unknown" }]),
      ),
      pauses: this.#pauses,
      acknowledgedAtMs: this.#acknowledgedAtMs,
      memory: this.#memory,
      ...{ switchMsMax: 1500, nowMs: this.#nowMs, wallTime: "now" },
    };
    const before = this.view;
    const decision = decideReshard(this.#broken.input?.(input) ?? input);
    this.#memory = decision.memory;
    this.view =
      this.#broken.trustsPause === true ? withMarksOf(before, decision.view) : decision.view;
    this.#asked = this.#asked.filter(({ id }) => !decision.answers.some((one) => one.id === id));
    if (before.partitions.length === 2 && this.isCommitted) this.#checkCommit();
    if (this.isCommitted) return;
    this.#act();
    this.#promoted();
  }

  #act(): void {
    const memory = { pauses: this.#pauses, nowMs: this.#nowMs, attemptMs: PAUSE_MS / 2 };
    for (const action of actionsOf(this.view, this.#health, memory)) {
      const isBusy = this.#onTheirWay.some(
        ({ epoch, action: { node } }) => epoch === this.#epoch && node === action.node,
      );
      const isOld = action.askedAtMs <= (this.#acknowledgedAtMs.get(action.node) ?? Infinity);
      if (isBusy || isOld) continue;
      this.#acknowledgedAtMs.delete(action.node);
      this.#onTheirWay.push({ epoch: this.#epoch, action });
    }
  }

  #arrive(): void {
    const at = Math.floor(this.#chance() * this.#onTheirWay.length);
    const [arrived] = this.#onTheirWay.splice(at, 1);
    if (arrived === undefined) return;
    const { epoch, action } = arrived;
    const node = this.#nodes.get(action.node);
    if (node === undefined) return;
    if (action.kind === "pause") node.pausedUntilMs = this.#nowMs + action.forMs;
    if (action.kind === "unpause" || action.kind === "step-down") node.pausedUntilMs = 0;
    if (action.kind === "step-down" || action.kind === "detach") node.isMaster = false;
    if (action.kind === "step-down") node.isAttached = this.#broken.isAttaching === true;
    if (action.kind === "promote") Object.assign(node, { isMaster: true, isAttached: false });
    if (action.kind === "promote" && this.isCommitted) this.problems.push("promoted after it");
    if (epoch !== this.#epoch) return;
    this.#acknowledgedAtMs.set(action.node, this.#nowMs);
    if (action.kind === "pause") {
      this.#pauses.set(action.node, { sinceMs: this.#nowMs, untilMs: this.#nowMs + action.forMs });
    } else this.#pauses.delete(action.node);
  }

  /** A node that the view promotes and that reports master is master in the next view, as partition.ts decides. */
  #promoted(): void {
    const partitions = this.view.partitions.map((partition) => {
      const name = partition.promoting ?? null;
      const health = this.#health.get(name ?? "");
      const isThere = health?.kind === "up" && health.info.role === "master";
      return name !== null && isThere ? { ...partition, master: name, promoting: null } : partition;
    });
    this.view = { ...this.view, partitions };
  }

  /** It closes the connections of its predecessors before it counts a node's INFO. */
  #newAlpha(): void {
    this.#epoch++;
    this.#memory = undefined;
    this.#pauses = new Map();
    this.#health = new Map();
    this.#acknowledgedAtMs = new Map(NAMES.map((name) => [name, this.#nowMs]));
    this.#onTheirWay = [];
  }

  #alive(): Request {
    const body = { kind: "reshard", step: "alive", token: "t", count: this.#beat } as const;
    return { id: "alive", state: this.isToolAlive ? "asked" : "done", message: "", body };
  }

  #ask(step: "begin" | "switch" | "fence" | "commit", more: Partial<ReshardRequest> = {}): void {
    const known = { kind: "reshard", step, token: "t", by: "me", conf: "", masters: [] } as const;
    const body = { ...known, ...more } as ReshardRequest;
    this.#asked = [{ id: String(++this.#id), state: "asked", message: "", body }];
  }

  /** One step of the tool, by the view that it sees: it copies up to the marks before it asks for more. */
  #toolStep(): void {
    if (!this.isToolAlive || this.#asked.length > 0 || this.isCommitted) return;
    this.#beat++;
    const { reshard } = this.view;
    if (!reshard) {
      this.#ask("begin", { conf: canonicalConf(NEW) });
      return;
    }
    const { phase, marks = [] } = reshard;
    const isDrained = this.#broken.isUndrained !== true;
    if (isDrained) for (const { node, offset } of marks) this.#copied.set(node, offset);
    if (phase === "copying") this.#ask("switch");
    if (phase === "draining") this.#ask("fence");
    if (phase === "fenced") this.#ask("commit", { masters: MASTERS });
  }

  #checkCommit(): void {
    for (const [name, { isMaster, offset }] of this.#nodes) {
      if (isMaster) this.problems.push(`${name} was not fenced at the commit`);
      const copied = this.#copied.get(name) ?? 0;
      if (copied < offset) this.problems.push(`${name}: ${copied} of ${offset} was copied`);
    }
  }

  /** Nothing more fails; the masters must serve, old ones or new ones. */
  settle(): void {
    for (let count = 0; count < 200; count++) {
      this.#nowMs += 20;
      this.#look();
      this.#tick();
      this.#arrive();
    }
  }

  get isServed(): boolean {
    const masters = this.view.partitions.map(({ master }) => master);
    if (this.isCommitted) return true;
    return masters.every((name) => name !== null && this.#nodes.get(name)?.isMaster === true);
  }
}

/** The decider is told that every master is detached already. */
function believed(input: ReshardInput): ReshardInput {
  if (input.view.reshard?.phase !== "fencing") return input;
  const fenced = [...input.nodeHealth].map(([name, health]): readonly [string, NodeHealth] => {
    if (health.kind !== "up") return [name, health];
    const { offset } = health.info;
    return [name, { ...health, info: infoOf({ offset, replicationId: "h1" }) }];
  });
  return { ...input, nodeHealth: new Map(fenced) };
}

function unfenced(input: ReshardInput): ReshardInput {
  const { view } = input;
  if (view.reshard?.phase !== "draining") return input;
  return { ...input, view: { ...view, reshard: { ...view.reshard, phase: "fenced" } } };
}

/** The marks of the pause stay when the masters are fenced. */
function withMarksOf(before: View, after: View): View {
  const { reshard } = after;
  const marks = before.reshard?.marks;
  if (reshard?.phase !== "fenced" || marks === undefined) return after;
  return { ...after, reshard: { ...reshard, marks } };
}

const BROKEN: Readonly<Record<string, readonly [Broken, RegExp]>> = {
  "a fence that is believed before the nodes show it": [{ input: believed }, /was copied/],
  "the view is chosen after the pause, before the fence": [{ input: unfenced }, /was copied/],
  "masters are fenced to the new masters instead of nowhere": [
    { isAttaching: true },
    /nobody executed/,
  ],
  "the switch goes on before the feed is drained": [{ isUndrained: true }, /was copied/],
  "a pause counts, though somebody else may lift it": [{ trustsPause: true }, /was copied/],
};

function run(seed: number, broken: Broken): World {
  const world = new World(seed, broken);
  for (let count = 0; count < 400; count++) world.step();
  return world;
}

describe("over seeds", () => {
  test("nothing acknowledged is missing at a commit, and old masters never serve after it", () => {
    let commits = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = run(seed, {});
      expect([seed, world.problems]).toEqual([seed, []]);
      if (world.isCommitted) commits++;
      world.isToolAlive = false;
      world.settle();
      expect([seed, world.problems, world.isServed]).toEqual([seed, [], true]);
    }
    expect(commits).toBeGreaterThan(SEEDS / 20);
  });

  test.each(Object.entries(BROKEN))("%s: the seeds find it", (_, [broken, loss]) => {
    let found = 0;
    for (let seed = 1; seed <= BROKEN_SEEDS && found < 2; seed++) {
      if (run(seed, broken).problems.some((problem) => loss.test(problem))) found++;
    }
    expect(found).toBe(2);
  });
});
