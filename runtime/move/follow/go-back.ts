// go-back.ts: the other system's masters serve again, with everything that was written here meanwhile.
//
//   back: nobody writes here --the old master has reached ours--> it serves --copy: ours follow it
//     | it does not reach it
//     v
//   stay: served here again
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import { OldMaster } from "./old-master.ts";
import { copyWith, nodesOfPartition, onEach, statesOf } from "./own-nodes.ts";
import { bodyOf, type SwitchOptions } from "./switch-over.ts";

const FENCE_WITHIN_MS = 30_000;
const REACH_WITHIN_MS = 15_000;
const PAUSE_MS = 20_000;
const LOOK_EVERY_MS = 20;

export interface BackOptions extends SwitchOptions {
  /** The newest chosen view. */
  readView(): Promise<View>;
  readonly sourcePassword: string | undefined;
}

interface Return {
  readonly partition: number;
  readonly following: { readonly host: string; readonly port: number };
}

export async function goBack(view: View, options: BackOptions): Promise<void> {
  const returns = view.partitions.flatMap(({ index, cameFrom, following }): Return[] => {
    if (following?.isBack === true) return [{ partition: index, following }];
    return cameFrom === undefined || cameFrom === null
      ? []
      : [{ partition: index, following: cameFrom }];
  });
  if (returns.length === 0) throw noWayBack();
  const olds = new Map<number, OldMaster>();
  try {
    for (const { partition, following } of returns) {
      olds.set(partition, await OldMaster.open(following, options.source));
    }
    for (const one of returns) await options.ask(bodyOf("back", one, options), FENCE_WITHIN_MS);
    await fenced(returns, options);
    try {
      for (const one of returns) await reached(one, olds.get(one.partition), options);
    } catch (error) {
      // What failed first is what is to be corrected.
      await stayWhereOldWaits(returns, olds, options).catch((late: unknown) => {
        options.say(`twine-follow --stay is still to be done: ${errorText(late)}`);
      });
      throw error;
    }
    for (const one of returns) {
      await copyWith(nodesOfPartition(view, one.partition), options.sourcePassword, options);
      const old = olds.get(one.partition);
      if ((await old?.state())?.isMaster !== true) await old?.serve(options.sourcePassword);
      options.say(await options.ask(bodyOf("copy", one, options), FENCE_WITHIN_MS));
    }
  } finally {
    for (const old of olds.values()) old.close();
  }
}

async function fenced(returns: readonly Return[], options: BackOptions): Promise<void> {
  const endMs = options.clock.nowMs() + FENCE_WITHIN_MS;
  for (;;) {
    const { partitions } = await options.readView();
    const isDone = returns.every(({ partition }) => {
      const phase = partitions.find(({ index }) => index === partition)?.following?.phase;
      return phase === "fenced" || phase === "copying";
    });
    if (isDone) return;
    if (options.clock.nowMs() > endMs) {
      throw new TwineError({
        code: "NOT_FENCED",
        message: "the alpha does not end the writes here in time",
        remedy: "see twine-status; then twine-follow --back again, or twine-follow --stay",
      });
    }
    await options.clock.delay(LOOK_EVERY_MS * 5);
  }
}

/**
 * A run before this one may have made some old masters serve, and killed before it told the alpha: what they took since would
 * be lost here. One that can't be asked may be such a one, so its partition stays fenced until --back or --stay.
 */
async function stayWhereOldWaits(
  returns: readonly Return[],
  olds: ReadonlyMap<number, OldMaster>,
  options: BackOptions,
): Promise<void> {
  const { partitions } = await options.readView();
  for (const one of returns) {
    const phase = partitions.find(({ index }) => index === one.partition)?.following?.phase;
    const state = await olds
      .get(one.partition)
      ?.state()
      .catch(() => undefined);
    if (phase === "copying" || state === undefined || state.isMaster) continue;
    await options.ask(bodyOf("stay", one, options), FENCE_WITHIN_MS);
  }
}

/** Ends a --back that was broken off: this cluster serves on. Throws NOTHING_TO_STAY, and OLD_SERVES when an old master is master already. */
export async function stay(view: View, options: BackOptions): Promise<void> {
  const left = view.partitions.flatMap(({ index: partition, following }) =>
    following === undefined || following === null ? [] : [{ partition, following }],
  );
  if (left.length === 0) throw nothingToStay("no --back was broken off");
  for (const one of left) {
    const { partition, following } = one;
    if (following.isBack !== true) {
      const { host, port } = following;
      throw nothingToStay(`partition ${partition} has not taken over from ${host}:${port} yet`);
    }
    await mustNotServe(one, following.phase === "copying", options);
    options.say(await options.ask(bodyOf("stay", one, options), FENCE_WITHIN_MS));
  }
}

async function mustNotServe(
  { partition, following }: Return,
  isBackDone: boolean,
  options: BackOptions,
): Promise<void> {
  // One that is gone takes no writes; what it took before it went can't be known.
  const old = await OldMaster.open(following, options.source).catch(() => undefined);
  if (old === undefined) return;
  try {
    if (!(await old.state()).isMaster) return;
    throw new TwineError({
      code: "OLD_SERVES",
      message: `${old.address} already is master again, and what clients wrote there would be missing in partition ${partition}`,
      remedy: isBackDone
        ? "the way back is complete; to take over again: twine-follow --switch"
        : "run twine-follow --back again, which ends what it began",
    });
  } finally {
    old.close();
  }
}

/** Clients that go past the routers wait, too. */
async function reached(
  { partition }: Return,
  old: OldMaster | undefined,
  options: BackOptions,
): Promise<void> {
  const view = await options.readView();
  const found = view.partitions.find(({ index }) => index === partition);
  if (found?.following?.phase === "copying" || old === undefined) return;
  const nodes = nodesOfPartition(view, partition);
  const master = nodes.filter(({ name }) => name === found?.lastMaster);
  await onEach(master, options, (link) => link.call("CLIENT", "PAUSE", PAUSE_MS, "WRITE"));
  const endMs = options.clock.nowMs() + REACH_WITHIN_MS;
  for (;;) {
    const [ours] = await statesOf(master, options);
    const state = await old.state();
    if (state.isMaster) return;
    if (ours?.replicationId === state.replicationId && state.offset >= ours.offset) return;
    if (options.clock.nowMs() > endMs) {
      await onEach(master, options, (link) => link.call("CLIENT", "UNPAUSE"));
      throw new TwineError({
        code: "OLD_BEHIND",
        message: `${old.address} has not received all writes of partition ${partition} within ${REACH_WITHIN_MS / 1000} s`,
        remedy:
          "this cluster still serves all requests. See that the old server runs and replicates from this cluster (INFO replication), then run twine-follow --back again",
      });
    }
    await options.clock.delay(LOOK_EVERY_MS);
  }
}

function nothingToStay(message: string): TwineError {
  return new TwineError({
    code: "NOTHING_TO_STAY",
    message,
    remedy:
      "--stay is for a --back that was broken off; twine-follow --switch takes over from what a partition follows",
  });
}

function noWayBack(): TwineError {
  return new TwineError({
    code: "NO_WAY_BACK",
    message:
      "there is no old master to go back to: no partition was taken over from another system, or the way back was closed",
    remedy: "see twine-status json: a partition that can go back shows its old master as cameFrom",
  });
}
