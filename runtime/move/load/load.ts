// load.ts: another running system's keys into the running cluster, which then follows every write until a user ends it.
//
//   copying: every shard's RDB --> following: its change feed, from mark to mark ----------------> ending: the last writes
//      ^  ^                          |   \-> compared --> asked to cut over: nothing is written any more --> switched
//      |  '-- again, from the mark --'
//      '----- anew: the source no longer has what comes after the mark
//
// A mark is a point up to which the cluster has everything of the source, and its replicas too. Whatever breaks, on either
// side or here, the next attempt goes on from the last mark: every key that was written since is copied anew (MoveSource.resume),
// so it does not matter which of these writes the cluster has.
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import type { View } from "../../core/view.ts";
import { NodeError } from "../../replication/node-error.ts";
import { reportEvery } from "../report-every.ts";
import { checkSources } from "./check-source.ts";
import { compare } from "./compare.ts";
import { Course } from "./course.ts";
import { Loading, type LoadProgress } from "./loading.ts";
import { changed, lostMark, sequelOf } from "./load-errors.ts";
import { LoadTargets, requireSameMasters, targetBad } from "./load-targets.ts";
import type { LoadOptions, LoadReport } from "./load-options.ts";
import { askSource, type SourceSet } from "./source-set.ts";
import { countsAt, decideScattered } from "./scattered-keys.ts";
import { surveyKeys } from "./survey.ts";
import { untilSafe } from "./until-safe.ts";

const REST_MS = 50;
const ROUNDS_PER_PING = 20;
const MARK_EVERY_MS = 1_000;
const FIRST_MARK_EVERY_MS = 100;
const LOOK_EVERY_MS = 1_000;
const QUIET_MS = 2_000;
const RETRY_REST_MS = 500;
const SETTLE_MS_MAX = 2_000;
/** Without any progress. */
const RETRY_FOR_MS = 120_000;
const COPIES_MAX = 5;

/** Throws what ended it; then the cluster holds a part, unless LOAD_TARGET_BAD or LOAD_SOURCE_... says that nothing was changed. */
export async function load(options: LoadOptions): Promise<LoadReport> {
  const { clock, signal, onRepeat } = options;
  const course = await Course.open(options);
  let failingSinceMs: number | undefined;
  for (;;) {
    const reached = course.steps;
    try {
      return await attempt(options, course);
    } catch (error) {
      const sequel = sequelOf(error);
      if (course.steps > reached) failingSinceMs = undefined;
      failingSinceMs ??= clock.nowMs();
      const isLate = clock.nowMs() - failingSinceMs > RETRY_FOR_MS;
      // What can't be reached at the first look is mistyped rather than broken.
      if (signal.aborted || sequel === "over" || isLate || !course.isBegun) throw error;
      if (sequel === "anew") {
        if (course.copies >= COPIES_MAX) throw error;
        course.forgetMarks();
      }
      onRepeat(errorText(error));
      await clock.delay(RETRY_REST_MS);
    }
  }
}

/** One set of connections. */
interface Attempt {
  readonly set: SourceSet;
  readonly targets: LoadTargets;
  readonly loading: Loading;
  readonly folder: string;
  readonly signal: AbortSignal;
}

async function attempt(options: LoadOptions, course: Course): Promise<LoadReport> {
  const broken = new AbortController();
  const signal = AbortSignal.any([options.signal, broken.signal]);
  const view = readyView(options);
  const endWatch = options.views.onChange(() => {
    try {
      requireSameMasters(view, options.views.current() ?? view);
    } catch (error) {
      broken.abort(error);
    }
  });
  let targets: LoadTargets | undefined;
  let loading: Loading | undefined;
  try {
    const set = await askSource(options.place, options.access);
    const { password, tls, clock } = options;
    const { ownWrites } = course;
    targets = await LoadTargets.open(view, { password, tls, clock, signal, ownWrites });
    if (!course.isBegun) await firstLook(set, targets, options, course);
    const folder = await options.newFolder();
    loading = await Loading.open({
      ...{ set, folder, signal, access: options.access },
      ...{ targets: targets.targets, partitionOf: targets.partitionOf },
      counts: (key, shard, isCopy) => {
        const doesCount = countsAt(key, shard, course.scattered.owners, set.homeOf);
        if (!doesCount && isCopy) course.leftOut++;
        return doesCount;
      },
      replaces: options.mode !== "merge",
      isShared: options.mode !== "empty",
    });
    return await run({ set, targets, loading, folder, signal }, broken, options, course);
  } catch (error) {
    // What broke it is the reason, not that the connections were ended then.
    if (broken.signal.aborted && !options.signal.aborted) throw broken.signal.reason;
    throw error;
  } finally {
    endWatch();
    broken.abort(new Error("the attempt is over"));
    if (loading !== undefined) course.sentUpTo(loading.offsetsMax);
    await loading?.close();
    targets?.close();
  }
}

/** Throws LOAD_CHANGED, LOAD_TARGET_BAD. */
function readyView({ views }: LoadOptions): View {
  const view = views.current();
  if (view === undefined) throw changed("there is no view of the cluster");
  if ((view.reshard ?? null) !== null || (view.restore ?? null) !== null) {
    throw targetBad(
      "the cluster is being resharded or restored",
      "wait until twine-status shows that it is over, and load then",
    );
  }
  const following = view.partitions.find((one) => (one.following ?? null) !== null);
  if (following !== undefined) {
    throw targetBad(
      `partition ${following.index} follows another system (twine-follow)`,
      "end that first (docs/migrate.md)",
    );
  }
  return view;
}

/** Before anything is changed. */
async function firstLook(
  set: SourceSet,
  targets: LoadTargets,
  options: LoadOptions,
  course: Course,
): Promise<void> {
  const { access, duplicates, isOnce, mode } = options;
  await checkSources(set, access, { view: targets.view, asked: targets.asked });
  const holding = (await targets.keys()).filter(({ keys }) => keys > 0);
  if (holding.length > 0 && mode === "empty" && !course.ownsKeys) {
    throw targetBad(
      `the cluster holds keys already: ${holding.map(({ name, keys }) => `${keys} on ${name}`).join(", ")}`,
      "nothing was changed; empty it (FLUSHALL at a router), or add --merge (no key of the source may exist there) or --replace (the source's value counts)",
    );
  }
  if (set.homeOf === undefined && (!isOnce || duplicates === "home")) {
    throw new TwineError({
      code: "LOAD_RANDOM",
      message: "the pool has distribution: random, so no function says which server's copy counts",
      remedy: "stop the writes, and add --once and --duplicates fail, first or last",
    });
  }
  course.scattered =
    options.place.kind === "nutcracker"
      ? await surveyKeys(set, duplicates, access)
      : decideScattered([], duplicates, set.homeOf, []);
  course.begin(layoutOf(set, targets), holding.length === 0);
  await course.ownWrites.begin(targets.asked);
}

/** What the marks depend on. */
function layoutOf(set: SourceSet, { view }: LoadTargets): string {
  const { kind, name, tag, partitions, fingerprint } = view.hashing ?? {};
  return JSON.stringify([set.layout, kind, name, tag, partitions, fingerprint]);
}

async function run(
  now: Attempt,
  broken: AbortController,
  options: LoadOptions,
  course: Course,
): Promise<LoadReport> {
  const { loading, targets, set } = now;
  if (layoutOf(set, targets) !== course.layout) {
    if (course.isSwitched) throw targetBad("the partitions changed", "run twine-load anew");
    course.take(layoutOf(set, targets));
  }
  if (!(await resumed(now, course))) await copyAll(now, options, course);
  await loading.follow();
  await course.complete();
  options.onPhase("following", reportOf(now, course));
  const ending = new AbortController();
  /** What fails ends everything else too, and is the error. */
  const orEnd = async (task: Promise<void>): Promise<void> => {
    try {
      await task;
    } catch (error) {
      // What was sent is answered in a moment: else nobody knows later what the cluster has.
      await Promise.race([targets.settle(), options.clock.delay(SETTLE_MS_MAX)]);
      broken.abort(error);
      throw broken.signal.reason;
    }
  };
  const beside = [
    orEnd(followOn(now, ending.signal, options, course)),
    orEnd(watchSource(now, ending.signal, options)),
    orEnd(untilOver(now, options, course)).finally(() => {
      ending.abort();
    }),
  ];
  // Both have ended before anything that they use is gone.
  const [failed] = (await Promise.allSettled(beside)).filter((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  options.onPhase("ending", reportOf(now, course));
  await loading.follow();
  await untilSafe(now, options, course);
  await course.ended();
  return reportOf(now, course);
}

/** The last attempt, or the last run, goes on. */
async function resumed({ loading, targets }: Attempt, course: Course): Promise<boolean> {
  const { marks } = course;
  if (marks === undefined) return false;
  if (!(await targets.have(marks.targets))) {
    course.noteAnew("the cluster lost writes in a failover or restart");
    return false;
  }
  const isResumed = await loading.resume(marks.sources);
  if (isResumed) return true;
  // A source that was asked in vain is of no use for a copy.
  course.forgetMarks();
  throw lostMark("the source no longer has the changes since the last mark");
}

async function copyAll(now: Attempt, options: LoadOptions, course: Course): Promise<void> {
  const { loading, targets } = now;
  const { mode, clock, onNote, onPhase } = options;
  if (course.isSwitched || (mode === "empty" && !(await mayBeEmptied(targets, course)))) {
    throw targetBad(
      "everything would have to be copied again, but the application may use the cluster already",
      "no key was removed; if it does, compare by twine-verify and bring over what differs; else empty the cluster (FLUSHALL at a router) and load again",
    );
  }
  if (course.hasPart) {
    if (mode === "merge") {
      throw targetBad(
        "a part was loaded before, and can't be distinguished from the cluster's own keys",
        "remove the loaded keys and load again, with another --checkpoint; or load with --replace",
      );
    }
    if (mode === "empty") await targets.empty();
  }
  for (const { name, memoryBytes } of loading.mastersRead) onNote(costText(name, memoryBytes));
  await course.copying();
  const end = reportEvery(() => {
    onPhase("copying", reportOf(now, course));
  }, clock);
  await loading.load().finally(end);
  course.steps++;
}

/** It must not remove what a client has written. */
async function mayBeEmptied(targets: LoadTargets, course: Course): Promise<boolean> {
  if (!course.hasPart) return true;
  if (course.mayBeUsed) return false;
  return !course.wasComplete || course.ownWrites.areAll(targets.asked);
}

function costText(name: string, bytes: number): string {
  const mb = Math.ceil(bytes / 1024 / 1024);
  return `${name} has no replica that could give the data: the master forks for the copy and for each comparison, which may take up to ${mb} MB more memory there`;
}

/** Ends when `ending` aborts; a failure of the attempt ends it too. */
async function followOn(
  now: Attempt,
  ending: AbortSignal,
  options: LoadOptions,
  course: Course,
): Promise<void> {
  const { loading, targets } = now;
  const { clock, onPhase } = options;
  let markedAtMs = clock.nowMs();
  for (let rounds = 0; !ending.aborted; rounds++) {
    await loading.follow();
    // While nothing is written, nothing else shows that a target is gone.
    if (rounds % ROUNDS_PER_PING === 0) await targets.ping();
    // The first mark soon: without it a run that is killed can't be continued.
    const everyMs = course.marks === undefined ? FIRST_MARK_EVERY_MS : MARK_EVERY_MS;
    if (clock.nowMs() - markedAtMs > everyMs) {
      markedAtMs = clock.nowMs();
      await course.mark(loading, targets, options.views.current() ?? targets.view);
    }
    onPhase(course.isSwitched ? "switched" : "following", reportOf(now, course));
    await clock.delay(REST_MS);
  }
}

/** Beside the following, because somebody who does not answer must not hold it up. */
async function watchSource(now: Attempt, ending: AbortSignal, options: LoadOptions): Promise<void> {
  const { clock, place } = options;
  if (place.kind === "redis" || place.kind === "nutcracker") return;
  const isOver = new Promise<void>((resolve) => {
    ending.addEventListener("abort", () => {
      resolve();
    });
  });
  while (!ending.aborted) {
    await Promise.race([clock.delay(LOOK_EVERY_MS), isOver]);
    await Promise.race([requireSameSource(now, options), isOver]);
  }
}

/** Throws LOAD_CHANGED, and MOVE_RESTART when keys are divided in another way. */
async function requireSameSource({ set }: Attempt, { place, access }: LoadOptions): Promise<void> {
  // Nobody answers, or a failover is under way: the feeds show it.
  const found = await askSource(place, access).catch((error: unknown) => {
    if (error instanceof NodeError || error instanceof TwineError) return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (found.layout !== set.layout) throw lostMark("the source has other shards, or moved slots");
  for (const [index, { name, master }] of found.shards.entries()) {
    const before = set.shards[index]?.master;
    if (before?.host !== master.host || before.port !== master.port) {
      throw changed(`${name} has a new master`);
    }
  }
}

/** What happens beside the following. */
async function untilOver(now: Attempt, options: LoadOptions, course: Course): Promise<void> {
  const isEnding = (): boolean => options.ending.aborted;
  if (!course.isCompared && !course.isSwitched) await compared(now, options, course);
  if (options.isOnce || isEnding()) return;
  if (!course.isSwitched) {
    options.onReady(course.verified);
    await options.cutoverAsked(now.signal);
    await untilQuiet(now, options);
    // Now that nobody writes, a difference is one.
    if (course.differs && !isEnding()) await compared(now, options, course);
    if (course.differs || isEnding()) return;
    await course.switched();
    options.onPhase("switched", reportOf(now, course));
  }
  await options.untilEnding(now.signal);
}

/** An interruption ends the comparison, not the following. */
async function compared(now: Attempt, options: LoadOptions, course: Course): Promise<void> {
  if (!options.compares) return;
  const { access, password, tls, clock, ending } = options;
  const { set, loading, targets, folder } = now;
  try {
    course.verified = await compare({
      ...{ source: options.source, set, nodes: loading.nodes, access, password, tls, clock },
      counts: (key, shard) => countsAt(key, shard, course.scattered.owners, set.homeOf),
      ...{ view: options.views.current() ?? targets.view, file: options.file, folder },
      mayHaveMore: options.mode !== "empty",
      signal: AbortSignal.any([ending, now.signal]),
    });
    course.isCompared = true;
    options.onCompared(course.verified);
  } catch (error) {
    if (!ending.aborted || now.signal.aborted) throw error;
  }
}

/** The cluster has everything, and nothing was written for a while. */
async function untilQuiet({ loading, signal }: Attempt, options: LoadOptions): Promise<void> {
  const { clock, ending } = options;
  let sinceMs = clock.nowMs();
  for (let changes = -1; !ending.aborted && clock.nowMs() - sinceMs < QUIET_MS;) {
    signal.throwIfAborted();
    if (loading.changes !== changes || loading.progress.lagBytes > 0) {
      changes = loading.changes;
      sinceMs = clock.nowMs();
    }
    await clock.delay(REST_MS);
  }
}

function reportOf({ loading }: Pick<Attempt, "loading">, course: Course): LoadReport {
  const progress: LoadProgress = loading.progress;
  const { copies, scattered, leftOut, verified } = course;
  return { ...progress, changes: loading.changes, copies, scattered, leftOut, verified };
}
