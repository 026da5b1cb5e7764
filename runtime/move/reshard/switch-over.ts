// switch-over.ts: one switch of all partitions, as often as the alpha undoes it: the tool's side of monitor/decide/reshard.
//
//   switch -> paused -> drain -> fence -> fenced -> drain -> commit
//      ^         '---------- undone: the masters serve on ---'
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { isSameHashing, type Hashing } from "../../core/hashing.ts";
import type { NewMaster } from "../../core/request.ts";
import type { ReshardMark, ReshardView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ViewSource } from "../../register/view-source.ts";
import type { AlphaSteps } from "./alpha-steps.ts";

export interface SwitchOptions {
  readonly alpha: AlphaSteps;
  readonly views: ViewSource;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A switch was undone and is repeated. */
  readonly onRepeat: (why: string) => void;
}

/** The nodes that are to serve after the switch, and what brings the data into them. */
export interface Successors {
  /** Until they are hardly behind. */
  follow(): Promise<void>;
  /** What has come so far is copied. */
  followWhatCame(): Promise<void>;
  /** They have everything up to the marks. */
  drainTo(marks: readonly ReshardMark[]): Promise<void>;
  /** How many changes were copied. */
  changes(): number;
  /** Their replicas have it too, and they may serve: what the commit says. */
  ready(): Promise<Ready>;
  /** `ready` may come before the masters are detached; it counts if nothing is copied any more. */
  readonly mayBeReadyEarly: boolean;
  /** The commit was refused. */
  notReady(): Promise<void>;
}

export interface Ready {
  readonly masters: readonly NewMaster[];
  readonly conf?: string;
}

export interface SwitchEvents {
  readonly onSwitch: (count: number) => void;
  /** A switch was undone after so long. */
  readonly onHeld: (heldMs: number) => void;
}

export interface Switched {
  readonly switches: number;
  /** From the alpha's answer that it pauses until the view in which the new masters serve. */
  readonly heldMs: number;
  readonly steps: HoldSteps;
}

/** How long each step of a hold took. */
export interface HoldSteps {
  /** The alpha paused all masters. */
  readonly pauseMs: number;
  /** What was written until then was copied. */
  readonly copyMs: number;
  /** The alpha detached all masters. */
  readonly fenceMs: number;
  /** What was written until then was copied, and the new masters' replicas have it. */
  readonly readyMs: number;
  /** The alpha published the new partitions. */
  readonly commitMs: number;
}

const SWITCHES = 20;
const REST_MS = 500;
const FOLLOW_REST_MS = 2;
const VIEW_WITHIN_MS = 20_000;

/** Whether the commit was chosen is not known: nothing may be emptied. */
export class CommitUnknown extends TwineError {
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

export async function switchOver(
  options: SwitchOptions,
  successors: Successors,
  { onSwitch, onHeld }: SwitchEvents,
): Promise<Switched> {
  const { clock, onRepeat } = options;
  for (let switches = 1; ; switches++) {
    onSwitch(switches);
    const outcome = await switchOnce(options, successors);
    if ("heldMs" in outcome) return { switches, ...outcome };
    const { why, heldSinceMs } = outcome;
    if (heldSinceMs !== undefined) onHeld(Math.round(clock.nowMs() - heldSinceMs));
    if (switches >= SWITCHES) throw notSwitched(why);
    onRepeat(why);
    await clock.delay(REST_MS);
    await successors.follow();
  }
}

/** Committed, or why the masters of before serve on, and since when requests were held. */
type Outcome =
  Pick<Switched, "heldMs" | "steps"> | { readonly why: string; readonly heldSinceMs?: number };

async function switchOnce(options: SwitchOptions, successors: Successors): Promise<Outcome> {
  const { alpha, views, clock } = options;
  // The record in an older view is of an earlier switch.
  const since = views.current()?.revision ?? 0;
  const asked = refusedBy(alpha.ask("switch"));
  const refusal = await whileFollowing(successors, clock, asked).catch(async (error: unknown) => {
    // Who handles the failure asks for an undo: before the switch it would undo nothing, and clients would be held after it.
    await asked.catch(() => undefined);
    throw error;
  });
  if (refusal !== undefined) return { why: refusal };
  const times = new StepTimes(clock);
  const { beganMs } = times;
  const paused = await whileFollowing(successors, clock, reached("draining", since, options));
  if (typeof paused === "string") return { why: paused, heldSinceMs: beganMs };
  times.ended("pauseMs");
  await successors.drainTo(paused.marks ?? []);
  times.ended("copyMs");
  const early = new EarlyReady(successors);
  const late = await refusedBy(alpha.ask("fence"));
  if (late !== undefined) {
    // It may be further already. A refusal says that there is no record any more: requireGoing finds that.
    await refusedBy(alpha.ask("undo"));
    return { why: late, heldSinceMs: beganMs };
  }
  const fenced = await reached("fenced", since, options);
  if (typeof fenced === "string") return { why: fenced, heldSinceMs: beganMs };
  times.ended("fenceMs");
  await successors.drainTo(fenced.marks ?? []);
  return committed(options, successors, { times, early });
}

/** What is written meanwhile is copied at once, so hardly anything is left when the masters are paused. */
async function whileFollowing<Result>(
  successors: Successors,
  clock: Clock,
  waited: Promise<Result>,
): Promise<Result> {
  const state = { isOver: false };
  const over = waited.finally(() => {
    state.isOver = true;
  });
  // A failure of the copies comes first.
  const either = over.catch(() => undefined);
  while (!state.isOver) {
    await successors.followWhatCame();
    await Promise.race([either, clock.delay(FOLLOW_REST_MS)]);
  }
  return over;
}

/** The new masters' answers are asked for while the old ones are detached. */
class EarlyReady {
  readonly #successors: Successors;
  readonly #changes: number;
  readonly #answer: Promise<Ready | undefined>;

  constructor(successors: Successors) {
    this.#successors = successors;
    this.#changes = successors.changes();
    this.#answer = successors.mayBeReadyEarly
      ? successors.ready().catch(() => undefined)
      : Promise.resolve(undefined);
  }

  async get(): Promise<Ready> {
    const answer = await this.#answer;
    if (answer !== undefined && this.#successors.changes() === this.#changes) return answer;
    return this.#successors.ready();
  }
}

class StepTimes {
  readonly beganMs: number;
  readonly #clock: Clock;
  readonly #tookMs = { pauseMs: 0, copyMs: 0, fenceMs: 0, readyMs: 0, commitMs: 0 };
  readonly #isOver = new Set<keyof HoldSteps>();
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.beganMs = clock.nowMs();
    this.#lastMs = this.beganMs;
  }

  /** The first time counts. */
  ended(step: keyof HoldSteps): void {
    if (this.#isOver.has(step)) return;
    this.#isOver.add(step);
    const nowMs = this.#clock.nowMs();
    this.#tookMs[step] = Math.round(nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  heldUntil(step: keyof HoldSteps): Pick<Switched, "heldMs" | "steps"> {
    this.ended(step);
    return { heldMs: Math.round(this.#lastMs - this.beganMs), steps: this.#tookMs };
  }
}

async function committed(
  options: SwitchOptions,
  successors: Successors,
  { times, early }: { readonly times: StepTimes; readonly early: EarlyReady },
): Promise<Outcome> {
  const body = await early.get();
  times.ended("readyMs");
  const { alpha } = options;
  const { beganMs } = times;
  // Routers serve again from that view on; the answer comes later.
  const endServing = whenServing(options, () => {
    times.ended("commitMs");
  });
  try {
    const why = await refusedBy(alpha.ask("commit", body)).finally(endServing);
    if (why === undefined) return times.heldUntil("commitMs");
    // Clients are held. It also proves that nothing was committed: an alpha may have died between a commit and its answer,
    // and the next one refuses what is over.
    await alpha.ask("undo");
    await successors.notReady();
    return { why, heldSinceMs: beganMs };
  } catch (error) {
    throw new CommitUnknown(error, beganMs);
  }
}

/** Calls `task` once, when the followed view shows the end of the switch. The returned function ends it. */
function whenServing({ alpha, views }: SwitchOptions, task: () => void): () => void {
  const look = (): void => {
    const record = views.current()?.reshard ?? null;
    if (record === null || record.token !== alpha.token || record.phase === "keeping") task();
  };
  return views.onChange(look);
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
  options: SwitchOptions,
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
export async function viewWhere<Found>(
  { views, clock, signal }: Pick<SwitchOptions, "views" | "clock" | "signal">,
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

function news(views: ViewSource, clock: Clock): Promise<void> {
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

/** The first view without this record, or with that of its way back; undefined: none came in time. The followed view may be older than a refusal. */
export function viewAfterIt(options: SwitchOptions): Promise<View | undefined> {
  const { token } = options.alpha;
  // After an interruption too.
  const { signal } = new AbortController();
  return viewWhere({ ...options, signal }, "the end of the record", (view) =>
    view.reshard?.token === token && view.reshard.isBack !== true ? undefined : view,
  ).catch(() => undefined);
}

export function isCommitted({ hashing, reshard: record }: View, wanted: Hashing): boolean {
  const isKept = (record ?? null) === null || record?.isBack === true;
  return isKept && hashing !== undefined && isSameHashing(hashing, wanted);
}

function notSwitched(why: string): TwineError {
  return new TwineError({
    code: "RESHARD_NOT_SWITCHED",
    message: `the new partitions did not take over in ${SWITCHES} tries; the last one: ${why}`,
    remedy: "nothing was changed; correct what twine-status names, and try again",
  });
}
