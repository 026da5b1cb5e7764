// cut-faults.ts: a tool asks for a consistent cut, and misfortunes of the moment in which it is taken.
import type { HuntKind } from "./fault-kinds.ts";
import type { Hands } from "./hunt-faults.ts";

/** Longer than the pause of a cut. */
const LAPSED_MS = 600;
/** Shorter than what it waits for the first samples. */
const SLOW_MS = 200;

export function doAtCut(kind: HuntKind, hands: Hands): void {
  const { world } = hands;
  // The tool reads no answer: one that has died asks as this one does.
  const ask = (): void => {
    world.ask({ kind: "cut", by: "a tool" });
  };
  if (kind === "cut-asked") ask();
  else {
    hangAtCut(kind === "cut-hangs" ? LAPSED_MS : SLOW_MS, kind === "cut-unpaused-by-hand", hands);
    ask();
  }
}

/**
 * The PAUSE for one master hangs behind a cut of the network, while another master is paused already: until that pause has
 * lapsed, or somebody has ended it. Writers reach both all the time.
 */
function hangAtCut(hangMs: number, isUnpausedByHand: boolean, hands: Hands): void {
  const { world, random } = hands;
  const { network, trace, dataNodes, checks } = world;
  const masters = (checks.register.view?.partitions ?? []).flatMap(({ master }) =>
    dataNodes.filter(({ name }) => name === master),
  );
  const slow = random.pick(masters.length === 0 ? dataNodes : masters);
  const others = masters.filter(({ process }) => process.host !== slow.process.host);
  const alpha = world.alpha();
  if (others.length === 0 || alpha === undefined || alpha.host === slow.process.host) {
    // Not all masters on one host: next time.
    world.ask({ kind: "handover", node: slow.name });
    return;
  }
  let isProbed = false;
  let isOver = false;
  network.lieInWait((from, to, command) => {
    if (isOver || to !== slow.process || from !== alpha) return;
    if (command === "PUBLISH") isProbed = true;
    if (!isProbed || command !== "CLIENT") return;
    isOver = true;
    trace.note(`fault: the cut hangs before ${to.name} for ${hangMs} ms`);
    network.cut(from.host, to.host);
    hands.later(hangMs, () => {
      network.heal(from.host, to.host);
    });
    if (!isUnpausedByHand) return;
    hands.later(hangMs / 4, () => {
      for (const node of others) world.unpauseByHand(node);
    });
  });
}
