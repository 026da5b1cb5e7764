// reshard.ts: the order of a resharding, with the alpha's record around it.
//
//   begin --> empty the new nodes, copy, follow --> switch, drain, fence, drain, commit --> the new partitions serve
//                  ^                 |                        |
//                  '--- a source, a new node or a feed was lost, or the switch was undone ---' a few times
//   failed for good, or interrupted: cancel; the old masters serve on, and the new nodes are emptied
//
// New nodes are emptied only when no commit can happen any more: after the alpha has answered a cancel, or while the chosen
// view says that there is no switch and no commit was asked for.
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { isSameHashing, type Hashing } from "../../core/hashing.ts";
import type { ReshardProgress } from "../../core/reshard-progress.ts";
import type { ReshardView, View } from "../../core/view.ts";
import type { ViewSource } from "../../register/view-source.ts";
import { NodeError } from "../../replication/node-error.ts";
import type { AlphaSteps } from "./alpha-steps.ts";
import { Copying, type CopyingOptions, type CopyProgress } from "./copying.ts";
import type { NewNodes } from "./new-nodes.ts";

export type ReshardPhase = "copying" | "following" | "switching" | "over";

export interface ReshardOptions extends Omit<
  CopyingOptions,
  "view" | "targets" | "folder" | "requireGoing"
> {
  readonly alpha: AlphaSteps;
  readonly views: ViewSource;
  readonly nodes: NewNodes;
  /** The new twine.conf, canonical. */
  readonly conf: string;
  /** Of the new twine.conf. */
  readonly hashing: Hashing;
  /** A private, empty folder for each attempt. */
  readonly newFolder: () => Promise<string>;
  readonly onPhase: (phase: ReshardPhase, progress: CopyProgress | undefined) => void;
  /** An attempt failed and is repeated. */
  readonly onRepeat: (why: string) => void;
  /** It failed for good, and these new nodes could not be emptied. */
  readonly onLeft: (nodes: readonly string[]) => void;
  /** Throws when the cluster has changed so that the new twine.conf does not fit it any more. */
  readonly requireFitting: (view: View) => void;
}

export interface ReshardReport extends CopyProgress {
  readonly attempts: number;
  readonly switches: number;
  /** The longest hold of a switch that was undone; null: none was. */
  readonly longestHoldMs: number | null;
  /** From the alpha's answer that it pauses until its answer that the new partitions serve. */
  readonly heldMs: number;
}

const ATTEMPTS = 5;
const SWITCHES = 20;
const REST_MS = 500;
const VIEW_WITHIN_MS = 20_000;
const IN_SYNC_WITHIN_MS = 5_000;
const PROGRESS_EVERY_MS = 500;

/** Whether the commit was chosen is not known: nothing may be emptied. */
class CommitUnknown extends TwineError {
  readonly heldSinceMs: number;

  constructor(cause: unknown, heldSinceMs: number) {
    const [problem] = cause instanceof TwineError ? cause.problems : [];
    const why = problem?.message ?? errorText(cause);
    super(
      {
        code: "RESHARD_UNKNOWN",
        message: `it is not known whether the new partitions serve: ${why}`,
        remedy:
          "twine-status shows which partitions serve; if the old ones do, run the command again with --empty",
      },
      { cause },
    );
    this.heldSinceMs = heldSinceMs;
  }
}

/** How far it has come. */
type Course = { -readonly [Key in keyof Omit<ReshardReport, "heldMs">]: ReshardReport[Key] };

export async function reshard(options: ReshardOptions): Promise<ReshardReport> {
  const { alpha, conf, signal, clock } = options;
  await alpha.ask("begin", { conf });
  alpha.startCounting();
  const course: Course = {
    ...{ attempts: 1, switches: 0, longestHoldMs: null },
    ...{ keys: 0, keysTotal: 0, bytes: 0, lagBytes: 0, misplacedKeys: 0 },
  };
  try {
    for (; ; course.attempts++) {
      try {
        const heldMs = await attempt(options, course);
        return { ...course, heldMs };
      } catch (error) {
        if (signal.aborted || course.attempts >= ATTEMPTS || !isRepeatable(error)) throw error;
        options.onRepeat(errorText(error));
        // At once: it may be in the middle of a switch, and then clients are held.
        await alpha.ask("undo");
        await viewWhere(options, "the old masters serve", ({ reshard: record }) =>
          record?.phase === "copying" ? true : undefined,
        );
        await clock.delay(REST_MS * course.attempts);
      }
    }
  } catch (error) {
    return await givenUp(options, course, error);
  } finally {
    await alpha.stopCounting();
  }
}

/** A source or a new node was lost, or did what can't be followed. */
function isRepeatable(error: unknown): boolean {
  if (error instanceof NodeError) return error.kind !== "denied";
  return error instanceof TwineError && REPEATABLE.has(error.problems[0]?.code ?? "");
}
const REPEATABLE = new Set([
  ...["MOVE_RESTART", "RESHARD_NO_SOURCE", "RESHARD_NODE_AWAY", "RESHARD_NOT_IN_SYNC"],
]);

/** Cancels; the error that ended it, unless the commit was chosen after all. */
async function givenUp(
  options: ReshardOptions,
  course: Course,
  error: unknown,
): Promise<ReshardReport> {
  const { alpha, nodes, hashing, clock, onLeft } = options;
  const isUnknown = error instanceof CommitUnknown;
  try {
    await alpha.ask("cancel");
  } catch (refusal) {
    const isRefused = refusal instanceof TwineError && refusal.code === "REFUSED";
    // No answer: the alpha undoes it by itself when the heartbeat stops, and the nodes are emptied by the next run.
    if (!isRefused && !isUnknown) throw error;
    const view = await viewAfterIt(options);
    const isOver = view !== undefined && isCommitted(view, hashing);
    if (isUnknown && isOver) {
      return { ...course, heldMs: Math.round(clock.nowMs() - error.heldSinceMs) };
    }
    if (!isRefused || view === undefined || isOver || (view.reshard ?? null) !== null) throw error;
  }
  const left = await nodes.release();
  if (left.length > 0) onLeft(left);
  throw isUnknown ? notCommitted(error) : error;
}

/** The first view without this record; undefined: none came in time. The followed view may be older than a refusal. */
function viewAfterIt(options: ReshardOptions): Promise<View | undefined> {
  const { token } = options.alpha;
  // After an interruption too.
  const { signal } = new AbortController();
  return viewWhere({ ...options, signal }, "the end of the record", (view) =>
    view.reshard?.token === token ? undefined : view,
  ).catch(() => undefined);
}

function isCommitted({ hashing, reshard: record }: View, wanted: Hashing): boolean {
  return (record ?? null) === null && hashing !== undefined && isSameHashing(hashing, wanted);
}

/** How long requests were held. */
async function attempt(options: ReshardOptions, course: Course): Promise<number> {
  const { nodes, onPhase, newFolder, clock } = options;
  // The followed view may be older than the alpha's answer.
  const view = await viewWhere(options, "the record of this resharding", (seen) =>
    seen.reshard?.token === options.alpha.token ? seen : undefined,
  );
  onPhase("copying", undefined);
  await nodes.prepare();
  const targets = await nodes.targets();
  const abort = new AbortController();
  const signal = AbortSignal.any([options.signal, abort.signal]);
  let copying: Copying | undefined;
  let cancelReport: () => void = () => undefined;
  let phase: ReshardProgress["step"] = "copying";
  const report = (): void => {
    onPhase(phase, copying?.progress);
    const { longestHoldMs } = course;
    if (copying !== undefined) {
      options.alpha.report({ step: phase, sources: copying.sources, longestHoldMs });
    }
    cancelReport = clock.after(PROGRESS_EVERY_MS, report);
  };
  try {
    const going = { requireGoing: stillGoing(options) };
    const folder = await newFolder();
    copying = await Copying.open({ ...options, ...going, signal, view, targets, folder });
    report();
    await copying.load();
    phase = "following";
    await copying.follow();
    phase = "switching";
    return await switchOver(options, course, copying);
  } finally {
    cancelReport();
    Object.assign(course, copying?.progress);
    abort.abort(new Error("the attempt is over"));
    await copying?.close();
    for (const target of targets) target.close();
  }
}

/** Throws RESHARD_LOST when the alpha has removed the record, and RESHARD_CONFLICT. */
function stillGoing({ views, alpha, requireFitting }: ReshardOptions): () => void {
  let isSeen = false;
  let fitting: View | undefined;
  return () => {
    const view = views.current();
    if (view !== undefined && view !== fitting) requireFitting(view);
    fitting = view;
    const token = view?.reshard?.token;
    isSeen ||= token === alpha.token;
    if (!isSeen || token === alpha.token) return;
    throw new TwineError({
      code: "RESHARD_LOST",
      message: "the alpha has ended the resharding: it did not hear from this process for too long",
      remedy: "nothing was changed; try again when the machine and its network are less busy",
    });
  };
}

async function switchOver(
  options: ReshardOptions,
  course: Course,
  copying: Copying,
): Promise<number> {
  const { clock, onRepeat, onPhase } = options;
  for (let switches = 1; ; switches++) {
    course.switches = switches;
    onPhase("switching", copying.progress);
    const outcome = await switchOnce(options, copying);
    if ("heldMs" in outcome) return outcome.heldMs;
    const { why, heldSinceMs } = outcome;
    if (heldSinceMs !== undefined) {
      const heldMs = Math.round(clock.nowMs() - heldSinceMs);
      course.longestHoldMs = Math.max(course.longestHoldMs ?? 0, heldMs);
    }
    if (switches >= SWITCHES) throw notSwitched(why);
    onRepeat(why);
    await clock.delay(REST_MS);
    await copying.follow();
  }
}

/** Committed, or why the old masters serve on, and since when requests were held. */
type Switched =
  { readonly heldMs: number } | { readonly why: string; readonly heldSinceMs?: number };

async function switchOnce(options: ReshardOptions, copying: Copying): Promise<Switched> {
  const { alpha, nodes, views, clock } = options;
  // The record in an older view is of an earlier switch.
  const since = views.current()?.revision ?? 0;
  const refusal = await refusedBy(alpha.ask("switch"));
  if (refusal !== undefined) return { why: refusal };
  const beganMs = clock.nowMs();
  const paused = await reached("draining", since, options);
  if (typeof paused === "string") return { why: paused, heldSinceMs: beganMs };
  await copying.drainTo(paused.marks ?? []);
  const late = await refusedBy(alpha.ask("fence"));
  if (late !== undefined) {
    // It may be further already. A refusal says that there is no record any more: requireGoing finds that.
    await refusedBy(alpha.ask("undo"));
    return { why: late, heldSinceMs: beganMs };
  }
  const fenced = await reached("fenced", since, options);
  if (typeof fenced === "string") return { why: fenced, heldSinceMs: beganMs };
  await copying.drainTo(fenced.marks ?? []);
  const [masters] = await Promise.all([nodes.masters(), nodes.untilInSync(IN_SYNC_WITHIN_MS)]);
  try {
    const why = await refusedBy(alpha.ask("commit", { masters }));
    if (why === undefined) return { heldMs: Math.round(clock.nowMs() - beganMs) };
    // Clients are held. It also proves that nothing was committed: an alpha may have died between a commit and its answer,
    // and the next one refuses what is over.
    await alpha.ask("undo");
    return { why, heldSinceMs: beganMs };
  } catch (error) {
    throw new CommitUnknown(error, beganMs);
  }
}

async function refusedBy(asked: Promise<void>): Promise<string | undefined> {
  try {
    await asked;
    return undefined;
  } catch (error) {
    if (error instanceof TwineError && error.code === "REFUSED") return error.problems[0]?.message;
    throw error;
  }
}

/** The record in that phase, or why the switch was undone. */
function reached(
  phase: "draining" | "fenced",
  since: number,
  options: ReshardOptions,
): Promise<ReshardView | string> {
  return viewWhere(options, phase, ({ reshard: record, revision }) => {
    if (revision <= since) return undefined;
    if (record?.phase === phase) return record;
    const isUndone = record?.phase === "undoing" || record?.phase === "copying";
    if (isUndone && record.failed !== undefined) return `the switch was undone: ${record.failed}`;
    return (record ?? null) === null ? "the alpha has ended the resharding" : undefined;
  });
}

/** Waits for a view of which `found` makes something. Throws RESHARD_STUCK. */
async function viewWhere<Found>(
  { views, clock, signal }: Pick<ReshardOptions, "views" | "clock" | "signal">,
  what: string,
  found: (view: View) => Found | undefined,
): Promise<Found> {
  const endMs = clock.nowMs() + VIEW_WITHIN_MS;
  for (;;) {
    signal.throwIfAborted();
    const view = views.current();
    const result = view === undefined ? undefined : found(view);
    if (result !== undefined) return result;
    if (clock.nowMs() > endMs) {
      throw new TwineError({
        code: "RESHARD_STUCK",
        message: `the alpha did not get to this within ${VIEW_WITHIN_MS / 1000} s: ${what}`,
        remedy: "see twine-status and the monitors' logs, and try again",
      });
    }
    await news(views, clock);
  }
}

const NEWS_WITHIN_MS = 100;

function news(views: ViewSource, clock: ReshardOptions["clock"]): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      endWatch();
      cancel();
      resolve();
    };
    const endWatch = views.onChange(end);
    const cancel = clock.after(NEWS_WITHIN_MS, end);
  });
}

/** The cancel was executed, or the view shows it. */
function notCommitted({ cause }: CommitUnknown): TwineError {
  return new TwineError(
    {
      code: "RESHARD_NOT_SWITCHED",
      message: "the new partitions did not take over: the alpha did not answer the last step",
      remedy: "nothing was changed; see twine-status, and run the command again",
    },
    { cause },
  );
}

function notSwitched(why: string): TwineError {
  return new TwineError({
    code: "RESHARD_NOT_SWITCHED",
    message: `the new partitions did not take over in ${SWITCHES} tries; the last one: ${why}`,
    remedy: "nothing was changed; correct what twine-status names, and try again",
  });
}
