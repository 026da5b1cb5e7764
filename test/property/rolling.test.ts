// rolling.test.ts: what holds for every rolling change, whatever the cluster, its needs, the hosts that take part and the
// order in which their steps end.
import fc from "fast-check";
import { expect, test } from "vitest";
import { decideSteps, needsLock, type RollingStep } from "../../infra/plan/rolling/decide-steps.ts";
import { takesNode, type NodeNeed } from "../../infra/plan/rolling/node-needs.ts";
import type { NodeView, PartitionView } from "../../runtime/core/view.ts";

interface WorldNode {
  readonly name: string;
  readonly partition: number;
  readonly host: number;
  need: NodeNeed | undefined;
  /** Not running, or not in sync, because of a step. */
  isAway: boolean;
}

interface World {
  readonly nodes: WorldNode[];
  readonly masters: Map<number, string>;
  /** Partition -> the host that holds its lock. */
  readonly locks: Map<number, number>;
}

interface UnderWay {
  readonly host: number;
  readonly step: RollingStep;
}

const needs: fc.Arbitrary<NodeNeed | undefined> = fc.constantFrom<NodeNeed | undefined>(
  undefined,
  { kind: "set", settings: [] },
  { kind: "start" },
  { kind: "aof", isOn: true, settings: [] },
  { kind: "restart", why: ["tcp-backlog is taken at the start"] },
);

const worlds: fc.Arbitrary<World> = fc
  .record({
    partitions: fc.integer({ min: 1, max: 4 }),
    copies: fc.integer({ min: 2, max: 4 }),
    hosts: fc.integer({ min: 1, max: 4 }),
    masters: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
    needs: fc.array(needs, { minLength: 16, maxLength: 16 }),
  })
  .map((drawn) => {
    const nodes = Array.from({ length: drawn.partitions * drawn.copies }, (_, at): WorldNode => {
      const [partition, copy] = [Math.floor(at / drawn.copies), at % drawn.copies];
      const need = drawn.needs[at];
      const isAway = need?.kind === "start";
      return { name: `p${partition}-${copy}`, partition, host: at % drawn.hosts, need, isAway };
    });
    const masters = new Map<number, string>();
    for (let partition = 0; partition < drawn.partitions; partition++) {
      const up = nodes.filter((node) => node.partition === partition && !node.isAway);
      const master = up[(drawn.masters[partition] ?? 0) % Math.max(1, up.length)];
      // A partition of which nothing runs begins with its first node.
      if (master !== undefined) masters.set(partition, master.name);
    }
    return { nodes, masters, locks: new Map() };
  });

function viewOf(world: World) {
  const partitions = [...new Set(world.nodes.map(({ partition }) => partition))];
  return {
    partitions: partitions.map((index) => {
      const master = world.masters.get(index) ?? null;
      return { index, master } as PartitionView;
    }),
    nodes: world.nodes.map((node) => {
      const isMaster = world.masters.get(node.partition) === node.name;
      const role = node.isAway ? "dead" : isMaster ? "master" : "replica";
      const { name, partition } = node;
      return { name, partition, kind: "data", role, inSync: !node.isAway } as NodeView;
    }),
  };
}

/** What the applier on `host` may begin now, its locks taken. */
function begin(world: World, host: number, underWay: readonly UnderWay[], atOnce: number) {
  const isOpen = (node: WorldNode): boolean => node.need !== undefined;
  const own = world.nodes.filter((node) => node.host === host && isOpen(node));
  const decision = decideSteps({
    view: viewOf(world),
    nodes: own.flatMap(({ name, partition, need }) =>
      need === undefined ? [] : [{ name, partition, need }],
    ),
    pendingElsewhere: new Set(
      world.nodes
        .filter((node) => node.host !== host && node.need !== undefined && takesNode(node.need))
        .map(({ name }) => name),
    ),
    busy: new Set(underWay.filter((one) => one.host === host).map(({ step }) => step.node)),
    locked: new Set(
      [...world.locks].filter(([, holder]) => holder !== host).map(([partition]) => partition),
    ),
    partitionsAtOnce: atOnce,
    isForced: false,
  });
  return decision.steps.filter((step) => {
    if (!needsLock(step)) return true;
    if (world.locks.has(step.partition)) return false;
    world.locks.set(step.partition, host);
    return true;
  });
}

function nodeOf(world: World, name: string): WorldNode {
  const node = world.nodes.find((other) => other.name === name);
  if (node === undefined) throw new Error(`there is no ${name}`);
  return node;
}

function enter(world: World, step: RollingStep): void {
  const node = nodeOf(world, step.node);
  const isMaster = world.masters.get(step.partition) === step.node;
  const others = world.nodes.filter((one) => one.partition === step.partition && one !== node);
  if (needsLock(step)) expect(others.filter(({ isAway }) => isAway)).toEqual([]);
  if (step.kind === "restart" || step.kind === "aof") expect(isMaster).toBe(false);
  if (step.kind === "hand-over") expect(isMaster).toBe(true);
  if (step.kind === "restart") node.isAway = true;
  expect(others.filter(({ isAway }) => isAway).length + Number(node.isAway)).toBeLessThan(
    step.kind === "restart" ? 2 : others.length + 2,
  );
}

function leave(world: World, step: RollingStep): void {
  const node = nodeOf(world, step.node);
  if (step.kind === "hand-over") world.masters.set(step.partition, step.candidates[0] ?? "");
  else {
    node.need = undefined;
    node.isAway = false;
    if (!world.masters.has(step.partition)) world.masters.set(step.partition, step.node);
  }
  if (needsLock(step)) world.locks.delete(step.partition);
}

test("no step takes a second node of a partition or a master, and every change comes to its end with one handover at most", () => {
  const runs = fc.record({
    world: worlds,
    atOnce: fc.integer({ min: 1, max: 3 }),
    order: fc.array(fc.nat(), { minLength: 64, maxLength: 64 }),
  });
  fc.assert(
    fc.property(runs, ({ world, atOnce, order }) => {
      const hosts = [...new Set(world.nodes.map(({ host }) => host))];
      const handovers = new Map<number, number>();
      let underWay: UnderWay[] = [];
      let picks = 0;
      const pick = (): number => order[picks++ % order.length] ?? 0;
      for (let round = 0; world.nodes.some(({ need }) => need !== undefined); round++) {
        expect(round).toBeLessThan(400);
        // Every host has its turn in the end, whatever was drawn: an order may leave one out for ever.
        const turn = round % 4 === 0 ? round / 4 : pick();
        const host = hosts[turn % hosts.length] ?? 0;
        for (const step of begin(world, host, underWay, atOnce)) {
          enter(world, step);
          underWay.push({ host, step });
          if (step.kind !== "hand-over") continue;
          handovers.set(step.partition, (handovers.get(step.partition) ?? 0) + 1);
        }
        const taken = underWay.filter(({ step }) => needsLock(step));
        expect(new Set(taken.map(({ step }) => step.partition)).size).toBe(taken.length);
        for (const one of hosts) {
          const own = taken.filter((each) => each.host === one);
          expect(own.length).toBeLessThanOrEqual(atOnce);
        }
        const ending = underWay[pick() % Math.max(1, underWay.length)];
        if (ending === undefined) continue;
        leave(world, ending.step);
        underWay = underWay.filter((one) => one !== ending);
      }
      expect(Math.max(0, ...handovers.values())).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});
