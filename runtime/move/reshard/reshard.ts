// reshard.ts: the order of a resharding, with the alpha's record around it.
//
//   begin --> empty the new nodes, copy, verify, follow --> switch, drain, fence, drain, commit --> the new partitions serve
//                  ^                 |                             |
//                  '--- a source, a new node or a feed was lost, or the switch was undone ---' a few times
//   keys differ, failed for good, or interrupted: cancel; the old masters serve on, and the new nodes are emptied
//
// New nodes are emptied only when no commit can happen any more: after the alpha has answered a cancel, or while the chosen
// view says that there is no switch and no commit was asked for.
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import type { Hashing } from "../../core/hashing.ts";
import type { ReshardProgress } from "../../core/reshard-progress.ts";
import type { HistoryMark, View } from "../../core/view.ts";
import { NodeError } from "../../replication/node-error.ts";
import type { ExpiringKeys } from "../expiring-keys.ts";
import { Copying, type CopyingOptions, type CopyProgress } from "./copying.ts";
import type { Verified, VerifyProgress } from "../verify/verify.ts";
import type { NewNodes } from "./new-nodes.ts";
import {
  CommitUnknown,
  isCommitted,
  switchOver,
  viewAfterIt,
  viewWhere,
  type HoldSteps,
  type Successors,
  type Switched,
  type SwitchOptions,
} from "./switch-over.ts";
import { verifyCopy } from "./verify-copy.ts";

export type ReshardPhase =
  "copying" | "verifying" | "following" | "switching" | "keeping" | "switching back";

export interface ReshardOptions
  extends
    SwitchOptions,
    Omit<CopyingOptions, "view" | "targets" | "folder" | "requireGoing" | "expiring" | "viewNow"> {
  readonly nodes: NewNodes;
  /** The new twine.conf, canonical. */
  readonly conf: string;
  /** The present one, canonical, if the way back to it is to be kept; else empty. */
  readonly oldConf: string;
  /** Of the new twine.conf. */
  readonly hashing: Hashing;
  /** A private, empty folder for each attempt. */
  readonly newFolder: () => Promise<string>;
  readonly onPhase: (phase: ReshardPhase, progress: NowProgress | undefined) => void;
  /** Every key is compared before the switch. */
  readonly verifies: boolean;
  /** The redis-server that loads values to compare them; absent: that of PATH. */
  readonly program?: string | undefined;
  /** It failed for good, and these new nodes could not be emptied. */
  readonly onLeft: (nodes: readonly string[]) => void;
  /** Throws when the cluster has changed so that the new twine.conf does not fit it any more. */
  readonly requireFitting: (view: View) => void;
}

export interface NowProgress extends CopyProgress {
  /** While it verifies. */
  readonly verify?: VerifyProgress | undefined;
}

export interface ReshardReport extends CopyProgress {
  readonly attempts: number;
  readonly switches: number;
  /** The longest hold of a switch, also of one that was undone. */
  readonly longestHoldMs: number | null;
  /** What was compared before the switch; null: nothing was. */
  readonly verified: Pick<Verified, "sourceKeys" | "targetKeys" | "passes"> | null;
  /** From the alpha's answer that it pauses until the view in which the new partitions serve. */
  readonly heldMs: number;
  /** null: not known, because the alpha's last answer did not come. */
  readonly steps: HoldSteps | null;
}

/** From where the new masters' writes are to be copied back. */
export interface BackStart {
  /** By new partition: at the commit. */
  readonly marks: readonly HistoryMark[];
  readonly expiring: ExpiringKeys;
}

export interface Resharded {
  readonly report: ReshardReport;
  /** Absent: the alpha was not asked for a way back. */
  readonly back: BackStart | undefined;
}

const ATTEMPTS = 5;
const REST_MS = 500;
const BACK_WITHIN_MS = 300_000;
const IN_SYNC_WITHIN_MS = 5_000;
const PROGRESS_EVERY_MS = 500;

/** How far it has come. */
type Course = {
  -readonly [Key in keyof Omit<ReshardReport, "heldMs" | "steps">]: ReshardReport[Key];
} & {
  back?: BackStart;
};

/** The heartbeat goes on when it has succeeded; the caller ends it. */
export async function reshard(options: ReshardOptions): Promise<Resharded> {
  const { alpha, conf, signal, clock, nodes } = options;
  await alpha.ask("begin", { conf });
  alpha.startCounting();
  const course: Course = {
    ...{ attempts: 1, switches: 0, longestHoldMs: null, verified: null },
    ...{ keys: 0, keysTotal: 0, bytes: 0, lagBytes: 0, misplacedKeys: 0 },
  };
  try {
    for (; ; course.attempts++) {
      try {
        return resharded(course, await attempt(options, course));
      } catch (error) {
        if (signal.aborted || course.attempts >= ATTEMPTS || !isRepeatable(error)) throw error;
        options.onRepeat(errorText(error));
        // At once: it may be in the middle of a switch, and then clients are held.
        await alpha.ask("undo");
        await viewWhere(options, "the old masters serve", ({ reshard: record }) =>
          record?.phase === "copying" ? true : undefined,
        );
        await clock.delay(REST_MS * course.attempts);
        await nodes.untilBack(BACK_WITHIN_MS, stillGoing(options));
      }
    }
  } catch (error) {
    return await givenUp(options, course, error);
  }
}

function resharded(
  { back, verified, ...course }: Course,
  { heldMs, steps }: Pick<ReshardReport, "heldMs" | "steps">,
): Resharded {
  const { sourceKeys = 0, targetKeys = 0, passes = 0 } = verified ?? {};
  const compared = verified === null ? null : { sourceKeys, targetKeys, passes };
  const longestHoldMs = Math.max(course.longestHoldMs ?? 0, heldMs);
  return { report: { ...course, longestHoldMs, verified: compared, heldMs, steps }, back };
}

/** A source or a new node was lost, or did what can't be followed. */
function isRepeatable(error: unknown): boolean {
  if (error instanceof NodeError) return error.kind !== "denied";
  return error instanceof TwineError && REPEATABLE.has(error.problems[0]?.code ?? "");
}
const REPEATABLE = new Set([
  ...["MOVE_RESTART", "RESHARD_NO_SOURCE", "RESHARD_NODE_AWAY", "RESHARD_NOT_IN_SYNC"],
  "VERIFY_UNREADABLE",
]);

/** Cancels; the error that ended it, unless the commit was chosen after all. */
async function givenUp(
  options: ReshardOptions,
  course: Course,
  error: unknown,
): Promise<Resharded> {
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
      const heldMs = Math.round(clock.nowMs() - error.heldSinceMs);
      return resharded(course, { heldMs, steps: null });
    }
    if (!isRefused || view === undefined || isOver || (view.reshard ?? null) !== null) {
      throw error;
    }
  }
  const left = await nodes.release();
  if (left.length > 0) onLeft(left);
  throw isUnknown ? notCommitted(error) : error;
}

async function attempt(options: ReshardOptions, course: Course): Promise<Switched> {
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
  let verify: VerifyProgress | undefined;
  const report = (): void => {
    onPhase(phase, copying && { ...copying.progress, verify });
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
    if (options.verifies) {
      phase = "verifying";
      course.verified = await verifyCopy({
        ...{ ...options, ...going, signal, view, folder, copying, masters: nodes.masterNodes },
        program: options.program,
        onProgress: (progress) => (verify = progress),
      });
      verify = undefined;
    }
    phase = "following";
    await copying.follow();
    phase = "switching";
    const successors = newSuccessors(options, course, copying);
    return await switchOver(options, successors, {
      onSwitch: (count) => {
        course.switches = count;
        onPhase("switching", copying?.progress);
      },
      onHeld: (ms) => {
        course.longestHoldMs = Math.max(course.longestHoldMs ?? 0, ms);
      },
    });
  } finally {
    cancelReport();
    Object.assign(course, copying?.progress);
    abort.abort(new Error("the attempt is over"));
    await copying?.close();
    for (const target of targets) target.close();
  }
}

function newSuccessors(
  { nodes, oldConf }: ReshardOptions,
  course: Course,
  copying: Copying,
): Successors {
  let calls = 0;
  return {
    follow: () => copying.follow(),
    followWhatCame: () => copying.followWhatCame(),
    drainTo: (marks) => copying.drainTo(marks),
    changes: () => copying.changes,
    mayBeReadyEarly: true,
    ready: async () => {
      calls += 1;
      const call = calls;
      const [masters, marks] = await Promise.all([
        nodes.masters(),
        nodes.historyMarks(),
        nodes.untilInSync(IN_SYNC_WITHIN_MS),
      ]);
      // A call of an earlier switch may end later: its marks are older, and from them writes would be copied back twice.
      if (oldConf !== "" && call === calls) course.back = { marks, expiring: copying.expiring };
      return { masters, conf: oldConf };
    },
    notReady: () => Promise.resolve(),
  };
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
