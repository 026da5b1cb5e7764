// hunt-faults.ts: misfortunes made for one rule each, at the very moment in which it matters; hunts.ts asks for them.
// Chance alone would need thousands of seeds for most of these moments.
import { takesWrites } from "../../runtime/core/view.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { doAtCut } from "./cut-faults.ts";
import type { DataNode } from "./data-node.ts";
import type { HuntKind } from "./fault-kinds.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

/** What faults.ts lends: none of it does anything once all is calm. */
export interface Hands {
  readonly world: World;
  readonly random: SeededRandom;
  later(waitMs: number, task: () => void): void;
  onMaster(task: (master: DataNode) => void): void;
  killData(node: DataNode, downMs: number): void;
  killMonitor(process: SimProcess): void;
  pause(process: SimProcess, pauseMs: number): void;
}

export function doAsHunted(kind: HuntKind, hands: Hands): void {
  const { random, world } = hands;
  const { leaseMs } = world.scenario;
  switch (kind) {
    case "synced-master-kill":
      hands.onMaster((master) => {
        if (isSynced(master, world)) hands.killData(master, 4 * leaseMs * random.next());
      });
      break;
    case "master-wakes":
      hands.onMaster((master) => {
        wakeAmidFailover(master, hands);
      });
      break;
    case "witness-kill":
      loseMaster(1, hands, (witness) => {
        hands.killData(witness, 6 * leaseMs);
      });
      break;
    case "witness-restart":
      loseMaster(1, hands, (witness) => {
        hands.killData(witness, 0);
      });
      break;
    case "one-witness":
      loseMaster(1, hands, () => undefined);
      break;
    case "no-witness":
      loseMaster(0, hands, () => undefined);
      break;
    case "router-unaware":
      leaveRoutersUnaware(hands);
      break;
    case "new-alpha-sleeps":
      newAlphaSleeps(hands);
      break;
    case "made-master-by-hand":
      makeMasterByHand(hands);
      break;
    case "cut-asked":
    case "cut-slow":
    case "cut-hangs":
    case "cut-unpaused-by-hand":
      doAtCut(kind, hands);
      break;
  }
}

/** All of its partition's replicas were found in sync, and take its stream now. */
function isSynced({ partition, replication }: DataNode, { dataNodes, checks }: World): boolean {
  if (checks.register.view?.state !== "OK") return false;
  const online = replication.replicas().filter(({ isOnline }) => isOnline).length;
  return online === dataNodes.filter((node) => node.partition === partition).length - 1;
}

/** A master sleeps until another is on its way to its place, and then does what was asked of it meanwhile. */
function wakeAmidFailover({ partition, process }: DataNode, hands: Hands): void {
  const { checks } = hands.world;
  const isMidway = (): boolean =>
    (checks.register.view?.partitions[partition]?.promoting ?? null) !== null;
  hands.pause(process, FOREVER_MS);
  when(isMidway, hands, () => {
    hands.later(20 * hands.random.next(), () => {
      process.resume();
    });
  });
}

/** Until all is calm. */
const FOREVER_MS = 1e6;

/**
 * What the master executes reaches so many replicas alone. Then the master falls silent, and before that `task` is done
 * to those that know.
 */
function loseMaster(witnessCount: number, hands: Hands, task: (witness: DataNode) => void): void {
  const { dataNodes, network, scenario } = hands.world;
  hands.onMaster((master) => {
    if (!isSynced(master, hands.world)) return;
    const replicas = dataNodes.filter(
      (node) => node !== master && node.partition === master.partition,
    );
    const from = master.process.host;
    const others = replicas.slice(witnessCount).map(({ process }) => process.host);
    for (const other of others) network.cut(from, other);
    hands.later(scenario.leaseMs / 2, () => {
      replicas.slice(0, witnessCount).forEach(task);
      hands.pause(master.process, 6 * scenario.leaseMs);
    });
    hands.later(6 * scenario.leaseMs, () => {
      for (const other of others) network.heal(from, other);
    });
  });
}

/** The master sleeps, and of what is chosen in its place the routers hear nothing for some leases. */
function leaveRoutersUnaware(hands: Hands): void {
  const { network, scenario, statusNodes, routers, checks } = hands.world;
  hands.onMaster(({ process, partition }) => {
    hands.pause(process, 6 * scenario.leaseMs);
    const isVacant = (): boolean => checks.register.view?.partitions[partition]?.master === null;
    const isHeld = (): boolean => !takesWrites(checks.register.view, partition);
    when(hands.random.isOnceIn(2) ? isHeld : isVacant, hands, () => {
      for (const { process: from } of statusNodes) {
        for (const { host: to } of routers) {
          network.cut(from.host, to);
          hands.later(4 * scenario.leaseMs, () => {
            network.heal(from.host, to);
          });
        }
      }
    });
  });
}

/** The master and the alpha end. The next alpha sleeps from its first choice on, until another has led for long. */
function newAlphaSleeps(hands: Hands): void {
  const { world, random } = hands;
  const { register } = world.checks;
  const { leaseMs } = world.scenario;
  // One story after the other: each needs an alpha that lives to see its end.
  if (world.monitors.some(({ isUp, isPaused }) => !isUp || isPaused)) return;
  const { epoch = 0 } = register.view ?? {};
  hands.onMaster((master) => {
    hands.killData(master, 12 * leaseMs);
  });
  hands.killMonitor(world.alpha() ?? random.pick(world.monitors));
  const hasChosen = (): boolean =>
    (register.view?.epoch ?? 0) > epoch &&
    register.view?.partitions.some(({ master }) => master === null) === true;
  when(hasChosen, hands, () => {
    const alpha = world.alpha();
    if (alpha !== undefined) hands.pause(alpha, 6 * leaseMs);
  });
}

/** A replica in sync becomes master and takes a write; once it follows again, it may be made so again in the same run. */
function makeMasterByHand({ world, random }: Hands): void {
  const replicas = world.checks.register.view?.nodes.filter(
    ({ role, inSync }) => role === "replica" && inSync,
  );
  if (replicas === undefined || replicas.length === 0) return;
  const { name } = random.pick(replicas);
  const node = world.dataNodes.find((each) => each.name === name);
  if (node !== undefined) world.makeMasterByHand(node);
}

/** Looks so often that nobody has heard of it yet. */
function when(isSo: () => boolean, hands: Hands, task: () => void): void {
  hands.later(0.1, () => {
    if (isSo()) task();
    else when(isSo, hands, task);
  });
}
