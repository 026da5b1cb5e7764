// switch-over.ts: every partition that follows another system's master takes over from it, all in one go: clients of the other
// system see all partitions or none. The order loses nothing wherever it ends:
//
//   in sync --Sentinels let go--> writes paused --offset reached, mark in the view--> old master follows ours --> unpaused
//     --> the alpha promotes
//
// The old master stops taking writes for good before anybody is promoted: a pause alone would end by itself while a promotion
// is still on its way. Until then every way out ends the pause, and the old masters serve again.
import { TwineError } from "../../core/errors.ts";
import { credentialsOf } from "../../core/credentials.ts";
import type { FollowRequest } from "../../core/request.ts";
import type {
  FollowedMaster,
  HistoryMark,
  NodeView,
  PartitionView,
  View,
} from "../../core/view.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import type { SourceOptions } from "../import/source-link.ts";
import { OldMaster } from "./old-master.ts";
import {
  copyFromOwn,
  nodesOfPartition,
  statesOf,
  type OwnOptions,
  type OwnState,
} from "./own-nodes.ts";
import { removeFromSentinels } from "./remove-sentinels.ts";

export interface SwitchOptions extends OwnOptions {
  readonly source: SourceOptions;
  readonly sentinelSource: SourceOptions;
  readonly sentinels: readonly ImportedNode[];
  readonly by: string;
  /** Asks the alpha; throws what it refuses. */
  ask(body: FollowRequest, withinMs: number): Promise<string>;
  say(line: string): void;
}

/** Writes to the old masters stand still for so long at most, whatever becomes of this process. */
const PAUSE_MS = 8_000;
/** What must be over by then: the rest is for the last command on its way. */
const DECIDE_MS = 6_000;
const SYNC_WITHIN_MS = 60_000;
const PROMOTE_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 20;

export interface Pair {
  readonly partition: number;
  readonly following: FollowedMaster;
  readonly nodes: readonly NodeView[];
  readonly old: OldMaster;
}

/** Answers the commands that give the old masters back to their Sentinels. */
export async function switchOver(view: View, options: SwitchOptions): Promise<readonly string[]> {
  if (isOver(view, options)) return [];
  const pairs = await pairsOf(view, options);
  try {
    const states = await Promise.all(pairs.map(({ old }) => old.state()));
    // A run before this one was killed behind its last step but one: the old masters take no writes.
    const isResumed = pairs.every((pair, index) => isBehind(pair, states[index]?.follows ?? ""));
    if (isResumed) {
      await promote(
        pairs,
        pairs.map(({ following }) => following.mark),
        options,
      );
      return [];
    }
    for (const [index, pair] of pairs.entries()) {
      // Of several some were made replicas: they serve again, for the switch begins anew.
      if (!isBehind(pair, states[index]?.follows ?? "")) continue;
      await options.ask(bodyOf("unmark", pair, options), PROMOTE_WITHIN_MS);
      await pair.old.serve(options.source.password);
    }
    await inSync(pairs, options);
    const undo = await removed(pairs, options);
    try {
      await unwatched(pairs, options);
      const marks = await standStill(pairs, options);
      await promote(pairs, marks, options);
    } catch (error) {
      throw withoutWatch(error, undo);
    }
    return undo;
  } finally {
    for (const { old } of pairs) old.close();
  }
}

/** A run before this one was killed when nothing was left to do but to say so. */
function isOver({ partitions }: View, options: SwitchOptions): boolean {
  const isFollowing = partitions.some(({ following }) => (following ?? null) !== null);
  if (isFollowing) return false;
  const lines = partitions.flatMap(({ index, cameFrom }) =>
    cameFrom === undefined || cameFrom === null
      ? []
      : [`partition ${index} has already taken over from ${addressText(cameFrom)}`],
  );
  for (const line of lines) options.say(line);
  return lines.length > 0;
}

async function pairsOf(view: View, options: SwitchOptions): Promise<Pair[]> {
  const copying = view.partitions.filter(({ following }) => following?.phase === "copying");
  if (copying.length === 0) {
    throw new TwineError({
      code: "NOTHING_FOLLOWS",
      message: "no partition follows another system's master",
      remedy: "twine-follow PARTITION redis://HOST:PORT; twine-status shows what follows",
    });
  }
  const pairs: Pair[] = [];
  try {
    for (const { index, following } of copying as (PartitionView & {
      following: FollowedMaster;
    })[]) {
      const old = await OldMaster.open(following, options.source);
      pairs.push({ partition: index, following, old, nodes: nodesOfPartition(view, index) });
    }
  } catch (error) {
    for (const { old } of pairs) old.close();
    throw error;
  }
  return pairs;
}

function isBehind({ nodes, following }: Pair, follows: string): boolean {
  const ours = nodes.map(
    ({ host, port }) => `${host === "localhost" ? "127.0.0.1" : host}:${port}`,
  );
  return following.mark !== undefined && ours.includes(follows);
}

async function inSync(pairs: readonly Pair[], options: SwitchOptions): Promise<void> {
  const endMs = options.clock.nowMs() + SYNC_WITHIN_MS;
  for (const { partition, nodes, old } of pairs) {
    for (;;) {
      // Each time anew: one that was restarted has another history, and one that is gone is reported at once.
      const { isMaster, replicationId, follows } = await old.state();
      if (!isMaster) throw notMaster(old.address, follows, partition);
      const states = await statesOf(nodes, options);
      const isReady = states.some((own) => own.isLinkUp && own.replicationId === replicationId);
      if (isReady) break;
      if (options.clock.nowMs() > endMs) throw notInSync(partition, old.address);
      await options.clock.delay(LOOK_EVERY_MS * 10);
    }
    options.say(`partition ${partition}: in sync with ${old.address}`);
  }
}

/** Answers the commands that undo it, and says them at once: they are needed whatever becomes of this process. */
async function removed(pairs: readonly Pair[], options: SwitchOptions): Promise<readonly string[]> {
  const { sentinels, sentinelSource, source } = options;
  const olds = await Promise.all(
    pairs.map(async ({ old }) => ({ address: old.address, runId: (await old.identity()).runId })),
  );
  const hasPassword = source.password !== undefined;
  const undo = await removeFromSentinels(sentinels, olds, sentinelSource, hasPassword);
  if (undo.length === 0) return undo;
  options.say("the Sentinels were told to forget the old masters");
  options.say(`after a --back, for the Sentinels:\n  ${undo.join("\n  ")}`);
  return undo;
}

/** Throws SENTINEL_WATCHES. */
async function unwatched(pairs: readonly Pair[], options: SwitchOptions): Promise<void> {
  const endMs = options.clock.nowMs() + 5_000;
  for (const { old } of pairs) {
    // A Sentinel that was told closes its connection a moment later.
    while ((await old.sentinelClients()) > 0) {
      if (options.clock.nowMs() > endMs) throw stillWatched(old.address);
      await options.clock.delay(LOOK_EVERY_MS * 5);
    }
  }
}

/** Until here nothing but Sentinels has changed. Whatever fails here is undone: the old masters take writes again. */
async function standStill(
  pairs: readonly Pair[],
  options: SwitchOptions,
): Promise<readonly HistoryMark[]> {
  const { clock } = options;
  const startMs = clock.nowMs();
  const demoted: Pair[] = [];
  try {
    await Promise.all(pairs.map(({ old }) => old.pauseWrites(PAUSE_MS)));
    const marks = await Promise.all(pairs.map(({ old }) => old.state()));
    const best = await reached(pairs, marks, startMs + DECIDE_MS / 2, options);
    for (const [index, pair] of pairs.entries()) {
      await options.ask(bodyOf("mark", pair, options, marks[index]), DECIDE_MS / 2);
    }
    const own = credentialsOf("replica", options.password);
    for (const [index, pair] of pairs.entries()) {
      if (clock.nowMs() - startMs > DECIDE_MS) throw late(pair.partition, pair.old.address);
      await pair.old.authenticateAs(own?.username, own?.password);
      demoted.push(pair);
      const unwritten = await pair.old.follow(best[index] ?? { host: "127.0.0.1", port: 1 });
      if (unwritten === undefined) continue;
      options.say(
        `${pair.old.address} can't write its role into its configuration (${unwritten}): do not restart it, it would be a master again`,
      );
    }
    if (clock.nowMs() - startMs > PAUSE_MS) throw late(pairs[0]?.partition ?? 0, "the old masters");
    options.say(`the old masters take no writes any more, and follow ours`);
    return marks.map(({ replicationId, offset }) => ({ replicationId, offset }));
  } catch (error) {
    // Nobody may be promoted by what was marked, before the old ones serve again.
    for (const pair of demoted)
      await options.ask(bodyOf("unmark", pair, options), PROMOTE_WITHIN_MS);
    await Promise.allSettled(demoted.map(({ old }) => old.serve(options.source.password)));
    throw error;
  } finally {
    await Promise.allSettled(pairs.map(({ old }) => old.unpause()));
  }
}

/** By partition one of ours that has reached the mark. */
async function reached(
  pairs: readonly Pair[],
  marks: readonly HistoryMark[],
  endMs: number,
  options: SwitchOptions,
): Promise<readonly OwnState[]> {
  const best: OwnState[] = [];
  for (const [index, { partition, nodes, old }] of pairs.entries()) {
    const mark = marks[index];
    for (;;) {
      const states = await statesOf(nodes, options);
      const found = states.find(
        (own) => own.replicationId === mark?.replicationId && own.offset >= mark.offset,
      );
      if (found !== undefined) {
        best.push(found);
        break;
      }
      if (options.clock.nowMs() > endMs) throw late(partition, old.address);
      await options.clock.delay(LOOK_EVERY_MS);
    }
  }
  return best;
}

async function promote(
  pairs: readonly Pair[],
  marks: readonly (HistoryMark | undefined)[],
  options: SwitchOptions,
): Promise<void> {
  // Their own password again, before they follow one another.
  for (const { nodes } of pairs) await copyFromOwn(nodes, options);
  await Promise.all(
    pairs.map(async (pair, index) => {
      const message = await options.ask(
        bodyOf("promote", pair, options, marks[index]),
        PROMOTE_WITHIN_MS,
      );
      options.say(message);
    }),
  );
}

export function bodyOf(
  step: FollowRequest["step"],
  { partition, following: { host, port } }: { partition: number; following: ImportedNode },
  { by }: Pick<SwitchOptions, "by">,
  mark: HistoryMark = { replicationId: "", offset: 0 },
): FollowRequest {
  const { replicationId, offset } = mark;
  return { kind: "follow", step, partition, by, host, port, replicationId, offset };
}

function notMaster(address: string, follows: string, partition: number): TwineError {
  return new TwineError({
    code: "OLD_NOT_MASTER",
    message: `${address} is no master: it follows ${follows}`,
    remedy: `follow the one that is: twine-follow ${partition} redis://${follows}`,
  });
}

function notInSync(partition: number, address: string): TwineError {
  return new TwineError({
    code: "NOT_IN_SYNC",
    message: `no node of partition ${partition} is in sync with ${address} after ${SYNC_WITHIN_MS / 1000} s`,
    remedy: "see why with twine-status, then run twine-follow --switch again; nothing was changed",
  });
}

function stillWatched(address: string): TwineError {
  return new TwineError({
    code: "SENTINEL_WATCHES",
    message: `a Sentinel watches ${address}, and would make our master its replica again`,
    remedy: "name one of its Sentinels: twine-follow --switch --sentinel HOST:PORT",
  });
}

/** The old masters serve, and nobody fails them over: whoever does not switch again must know how to end that. */
function withoutWatch(error: unknown, undo: readonly string[]): unknown {
  if (undo.length === 0 || !(error instanceof TwineError)) return error;
  const left = {
    code: "SENTINELS_LEFT",
    message: "the Sentinels do not watch the old masters any more",
    remedy: ["run twine-follow --switch again; or, to stay with the old masters:", ...undo].join(
      "\n    ",
    ),
  };
  return new TwineError([...error.problems, left], { cause: error, exitCode: error.exitCode });
}

function late(partition: number, address: string): TwineError {
  return new TwineError({
    code: "SWITCH_LATE",
    message: `partition ${partition} did not get everything of ${address} in time`,
    remedy:
      "nothing was changed, the old masters serve; run twine-follow --switch again when there are fewer writes",
  });
}
