// simulate.ts: one seed, from the first start through its faults to a cluster that is whole again.
//
//   start --every partition served--> faults for chaosMs --calm--> OK, or HALT with a reason --> what was written is there
//
// Production's monitors, register, follower and deciders run as they are; world.ts says what is simulated.
import type { View } from "../../runtime/core/view.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { Faults } from "./faults.ts";
import { GENTLE_KINDS } from "./fault-kinds.ts";
import { World, type WorldOptions } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  /** Empty when all went well. */
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly eventCount: number;
  readonly epochs: number;
  readonly acknowledged: number;
  /** Consistent cuts that were given out. */
  readonly cuts: number;
}

const FIRST_START_MS = 10_000;
const HEAL_MS = 20_000;
const HALT_MS = 3000;

/** Runs the whole of it. The same options give the same outcome, to the last line of the trace. */
export async function simulate(options: WorldOptions): Promise<Outcome> {
  const world = new World(options);
  const { scheduler, checks, trace, scenario } = world;
  trace.note(`seed ${options.seed} ${JSON.stringify(scenario)}`);
  world.start();
  const hasFailed = (): boolean => checks.violations.length > 0;
  const state = (): string | undefined => checks.register.view?.state;
  const isServed = await scheduler.run(() => hasFailed() || isOk(world), FIRST_START_MS);
  if (!isServed) checks.violate(`the first start is not OK but ${state() ?? "without a view"}`);
  const faults = new Faults(world, seededRandom(options.seed ^ 0x5bd1e995));
  if (!hasFailed()) {
    faults.begin();
    await scheduler.run(hasFailed, scheduler.nowMs + scenario.chaosMs);
  }
  if (!hasFailed()) {
    faults.calm();
    await heal(world);
  }
  return {
    seed: options.seed,
    violations: checks.violations,
    trace: trace.lines,
    traceHash: trace.hash(),
    simulatedMs: scheduler.nowMs,
    eventCount: scheduler.eventCount,
    epochs: checks.register.view?.epoch ?? 0,
    acknowledged: checks.acknowledged.length,
    cuts: checks.cuts.count,
  };
}

async function heal(world: World): Promise<void> {
  const { scheduler, checks, scenario } = world;
  const hasFailed = (): boolean => checks.violations.length > 0;
  const endMs = scheduler.nowMs + HEAL_MS;
  let isWhole = false;
  while (!isWhole && !hasFailed()) {
    if (!(await scheduler.run(() => hasFailed() || isOk(world) || isHalted(world), endMs))) {
      checks.violate(`not whole after ${HEAL_MS} ms: ${textOf(checks.register.view)}`);
    }
    // HALT may be a moment on the way to something better; it counts when nothing comes of it.
    const hasMoved = (): boolean => hasFailed() || !isHalted(world);
    isWhole = isOk(world) || !(await scheduler.run(hasMoved, scheduler.nowMs + HALT_MS));
  }
  if (hasFailed()) return;
  world.stopWriting();
  // What is on its way arrives, is replicated and seen.
  await scheduler.run(hasFailed, scheduler.nowMs + 3 * scenario.leaseMs);
  const { view } = checks.register;
  if (isEachRescued(world)) checks.judgeRescues();
  if (view !== undefined && isLossCounted(world)) checks.judgeWrites(view);
}

/** Without ack-replicas what a master alone held may go with it, unless no data node was ever touched. */
function isLossCounted({ scenario }: World): boolean {
  return scenario.ackReplicas > 0 || scenario.kinds.every((kind) => GENTLE_KINDS.has(kind));
}

/** While a partition has no master who calls himself one is detached at once, without a copy. */
function isEachRescued({ scenario }: World): boolean {
  return scenario.kinds.every((kind) => kind === "made-master-by-hand");
}

/** The view says OK and it is true: a view outlives its alpha, and says OK of nodes that have died since. */
function isOk({ checks, dataNodes, monitors, monitor }: World): boolean {
  const { view } = checks.register;
  if (view?.state !== "OK") return false;
  const isLed = monitors.some(({ name }) => monitor(name)?.health().epoch === view.epoch);
  return (
    isLed &&
    dataNodes.every(({ name, runId, replication, partition }) => {
      const isMaster = view.partitions[partition]?.master === name;
      const seen = view.nodes.find((node) => node.name === name);
      return seen?.runId === runId && replication.isMaster === isMaster;
    })
  );
}

/** Nobody serves, and every partition of which that is true says what it needs: its data is really in doubt. */
function isHalted(world: World): boolean {
  const { view } = world.checks.register;
  if (view?.state !== "HALT") return false;
  const halted = view.partitions.filter(({ master }) => master === null);
  return halted.every(
    ({ index, lastMaster, needs, promoting = null }) =>
      promoting === null &&
      needs?.includes("--accept-loss") === true &&
      isInDoubt(world, index, lastMaster),
  );
}

/** Some node lost data, or holds writes that the last master lacks, and an AOF can't tell whose they are. */
function isInDoubt(
  { checks, dataNodes }: World,
  index: number,
  lastMaster: string | null,
): boolean {
  const nodes = dataNodes.filter(({ partition }) => partition === index);
  const last = nodes.find(({ name }) => name === lastMaster);
  const held = new Set(last?.replication.writes);
  return nodes.some(
    ({ name, replication }) =>
      checks.everWounded.has(name) || replication.writes.some((write) => !held.has(write)),
  );
}

function textOf(view: View | undefined): string {
  if (view === undefined) return "no view";
  const parts = view.partitions.map(
    ({ index, master, needs }) => `partition ${index}: ${master ?? "none"} ${needs ?? ""}`,
  );
  const dead = view.nodes.filter(({ role, inSync }) => role === "dead" || !inSync);
  return `${view.state}; ${parts.join("; ")}; ${dead.map(({ name, role }) => `${name} ${role}`).join(", ")}`;
}
