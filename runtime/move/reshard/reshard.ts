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
}

export interface ReshardReport extends CopyProgress {
  readonly attempts: number;
  readonly switches: number;
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
class CommitUnknown extends Error {}

export async function reshard(options: ReshardOptions): Promise<ReshardReport> {
  const { alpha, conf, signal, clock } = options;
  await alpha.ask("begin", { conf });
  alpha.startCounting();
  try {
    for (let attempts = 1; ; attempts++) {
      try {
        return { attempts, ...(await attempt(options)) };
      } catch (error) {
        if (signal.aborted || attempts >= ATTEMPTS || !isRepeatable(error)) throw error;
        options.onRepeat(errorText(error));
        await clock.delay(REST_MS * attempts);
        await alpha.ask("undo");
        await viewWhere(options, "the old masters serve", ({ reshard: record }) =>
          record?.phase === "copying" ? true : undefined,
        );
      }
    }
  } catch (error) {
    return await givenUp(options, error);
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
async function givenUp(options: ReshardOptions, error: unknown): Promise<ReshardReport> {
  const { alpha, nodes, hashing, views } = options;
  try {
    await alpha.ask("cancel");
  } catch (refusal) {
    const view = views.current();
    const isOver = view !== undefined && isCommitted(view, hashing);
    if (error instanceof CommitUnknown && isOver) return NOTHING_KNOWN;
    const isRefused = refusal instanceof TwineError && refusal.code === "REFUSED";
    // No answer: the alpha undoes it by itself when the heartbeat stops, and the nodes are emptied by the next run.
    if (!isRefused || isOver || (view?.reshard ?? null) !== null) throw error;
  }
  await nodes.release();
  throw error;
}
const NOTHING_KNOWN: ReshardReport = {
  ...{ attempts: 1, switches: 1, heldMs: 0 },
  ...{ keys: 0, keysTotal: 0, bytes: 0, lagBytes: 0, misplacedKeys: 0 },
};

function isCommitted({ hashing, reshard: record }: View, wanted: Hashing): boolean {
  return (record ?? null) === null && hashing !== undefined && isSameHashing(hashing, wanted);
}

async function attempt(options: ReshardOptions): Promise<Omit<ReshardReport, "attempts">> {
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
  let phase: ReshardPhase = "copying";
  const report = (): void => {
    onPhase(phase, copying?.progress);
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
    return { ...(await switchOver(options, copying)), ...copying.progress };
  } finally {
    cancelReport();
    abort.abort(new Error("the attempt is over"));
    await copying?.close();
    for (const target of targets) target.close();
  }
}

/** Throws RESHARD_LOST when the alpha has removed the record. */
function stillGoing({ views, alpha }: ReshardOptions): () => void {
  let isSeen = false;
  return () => {
    const token = views.current()?.reshard?.token;
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
  copying: Copying,
): Promise<Pick<ReshardReport, "switches" | "heldMs">> {
  const { clock, onRepeat, onPhase } = options;
  for (let switches = 1; ; switches++) {
    onPhase("switching", copying.progress);
    const outcome = await switchOnce(options, copying);
    if ("heldMs" in outcome) return { switches, ...outcome };
    const { why } = outcome;
    if (switches >= SWITCHES) throw notSwitched(why);
    onRepeat(why);
    await clock.delay(REST_MS);
    await copying.follow();
  }
}

/** Committed, or why the old masters serve on. */
type Switched = { readonly heldMs: number } | { readonly why: string };

async function switchOnce(options: ReshardOptions, copying: Copying): Promise<Switched> {
  const { alpha, nodes, views, clock } = options;
  // The record in an older view is of an earlier switch.
  const since = views.current()?.revision ?? 0;
  const refusal = await refusedBy(alpha.ask("switch"));
  if (refusal !== undefined) return { why: refusal };
  const beganMs = clock.nowMs();
  const paused = await reached("draining", since, options);
  if (typeof paused === "string") return { why: paused };
  await copying.drainTo(paused.marks ?? []);
  const late = await refusedBy(alpha.ask("fence"));
  if (late !== undefined) return { why: late };
  const fenced = await reached("fenced", since, options);
  if (typeof fenced === "string") return { why: fenced };
  await copying.drainTo(fenced.marks ?? []);
  await nodes.untilInSync(IN_SYNC_WITHIN_MS);
  const masters = await nodes.masters();
  try {
    const why = await refusedBy(alpha.ask("commit", { masters }));
    return why === undefined ? { heldMs: Math.round(clock.nowMs() - beganMs) } : { why };
  } catch (error) {
    throw new CommitUnknown(errorText(error), { cause: error });
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

function notSwitched(why: string): TwineError {
  return new TwineError({
    code: "RESHARD_NOT_SWITCHED",
    message: `the new partitions did not take over in ${SWITCHES} tries; the last one: ${why}`,
    remedy: "nothing was changed; correct what twine-status names, and try again",
  });
}
