// schedule.ts: backups by themselves: the alpha's monitor takes one whenever the newest is older than backup-every.
//
//   look (am I alpha? is every partition served? how old is the newest?) --due--> twine-backup as a process of its own
//                                                                    lead lost --> SIGTERM: it removes what it wrote
//
// Whose turn it is follows from who leads, and when from what lies in the targets; so nothing is remembered, and a new alpha
// goes on where the old one was. A process of its own, because a monitor must not be slowed by what it saves.
import { parseS3Place } from "../core/backup-place.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import type { Problem } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import { startPeriodicTask } from "../ports/periodic-task.ts";
import { listBackups } from "./list-backups.ts";
import { runWhileAlpha } from "./run-while-alpha.ts";
import type { BackupTarget } from "./targets/target.ts";
import { errorText } from "../core/error-text.ts";

export interface BackupState {
  /** When the newest backup that can be listed was begun, ISO 8601; null: there is none. */
  readonly lastAt: string | null;
  /** Why the last attempt failed, or which target fails; empty when nothing does. */
  readonly failed: string;
}

export interface ScheduleOptions {
  readonly clock: Clock;
  readonly config: () => ClusterConfig;
  /** Whether this monitor leads now. */
  isAlpha(): boolean;
  readonly view: () => View | null;
  openTargets(config: ClusterConfig): readonly BackupTarget[];
  /** The program and arguments that take a backup of the cluster of that file. */
  command(file: string): readonly [string, ...string[]];
  /** Whether what the archive records can't be restored from any backup. Absent: never. */
  readonly isBaseNeeded?: () => boolean;
  /** Called at each look, and after each attempt. */
  onState?(state: BackupState): void;
  /** `output` is what the tool printed. */
  onTaken(output: string): void;
  onFailed(why: string): void;
}

const LOOK_MS_MAX = 30_000;
const BUCKET_LOOK_MS_MAX = 300_000;
const RETRY_MS_MIN = 60_000;
/** Between two backups that the archive needs. */
const BASE_MS_MIN = 5000;
const LOOK_GAP_MS = 1000;
/** Until this monitor leads and every partition is served: that look reads no target, and a new cluster has no backup yet. */
const IDLE_LOOK_MS = 1000;
/** The view shows so much of a reason. */
const REASON_CHARS_MAX = 400;

/** Whether a backup is due. Pure. The least gap keeps a backup that fails from being tried all the time, and doubles each time
    that it fails: one that ends with a full disk would otherwise fill it every minute, beside the nodes' own files. */
export function isDue(times: {
  readonly newestStartedAtMs: number | undefined;
  readonly everyMs: number;
  readonly wallMs: number;
  /** By the monotonic clock; undefined: not tried yet. */
  readonly triedAtMs: number | undefined;
  readonly nowMs: number;
  /** Attempts that have failed since the last that did not. */
  readonly failures: number;
  /** When the last one was taken, by the monotonic clock; undefined: none by this monitor. */
  readonly takenAtMs?: number | undefined;
  /** Backups that were taken in a row because the archive needed one; absent: it needs none. */
  readonly basesInVain?: number | undefined;
}): boolean {
  const { newestStartedAtMs, everyMs, wallMs, triedAtMs, nowMs, failures, takenAtMs } = times;
  const { basesInVain } = times;
  if (basesInVain !== undefined) {
    // One that does not help is not taken again and again.
    const restMs = Math.min(everyMs, BASE_MS_MIN * 2 ** (basesInVain + failures));
    return triedAtMs === undefined || nowMs - triedAtMs >= restMs;
  }
  // Whatever the targets list: one that can be written and not listed would be filled without end.
  if (takenAtMs !== undefined && nowMs - takenAtMs < everyMs) return false;
  const gapMs = Math.min(everyMs, RETRY_MS_MIN * 2 ** Math.max(failures - 1, 0));
  if (triedAtMs !== undefined && nowMs - triedAtMs < gapMs) return false;
  if (newestStartedAtMs === undefined) return true;
  // One from the future is of a clock that was wrong: it must not stop all backups until then.
  return wallMs - newestStartedAtMs >= everyMs || newestStartedAtMs - wallMs > everyMs;
}

function restMs({ config, isBaseNeeded }: ScheduleOptions, bucketRest: number): number {
  const usualMs = Math.min(LOOK_MS_MAX, config().settings.backupEveryMs / 2);
  return isBaseNeeded?.() === true ? Math.min(usualMs, BASE_MS_MIN) : Math.max(usualMs, bucketRest);
}

export interface Schedule {
  /** Look at once: something has changed. */
  trigger(): void;
  stop(): Promise<void>;
}

export function startSchedule(options: ScheduleOptions): Schedule {
  const abort = new AbortController();
  const isStopped = (): boolean => abort.signal.aborted;
  let [triedAtMs, takenAtMs]: (number | undefined)[] = [];
  let [failures, basesInVain, bucketRest] = [0, 0, 0];
  let isIdle = true;
  const targets = keptTargets(options);
  /** Of the last attempt. */
  let failed = "";
  const show = (newestMs: number | undefined, problems: readonly Problem[]): void => {
    options.onState?.({
      lastAt: newestMs === undefined ? null : new Date(newestMs).toISOString(),
      failed: reasonsText([failed, ...problems.map(({ message }) => message)]),
    });
  };
  const look = async (): Promise<void> => {
    const { clock, config, view } = options;
    const { file, settings } = config();
    bucketRest = 0;
    const isServed = view()?.partitions.every(({ master }) => master !== null) === true;
    isIdle = settings.backupDirs.length === 0 || !options.isAlpha() || !isServed;
    if (isIdle) return;
    const { backups, problems } = await listBackups(targets.now());
    const newestStartedAtMs = backups[0]?.startedAtMs;
    const [wallMs, nowMs] = [Date.parse(clock.wallTime()), clock.nowMs()];
    const everyMs = settings.backupEveryMs;
    const isBaseNeeded = options.isBaseNeeded?.() === true;
    if (!isBaseNeeded) basesInVain = 0;
    const seen = { newestStartedAtMs, everyMs, wallMs, ...(isBaseNeeded ? { basesInVain } : {}) };
    const times = { ...seen, triedAtMs, nowMs, failures, takenAtMs };
    if (problems.length > 0) targets.forget();
    else if (failed === "" && settings.backupDirs.some(isBucket)) {
      bucketRest = bucketRestMs((newestStartedAtMs ?? wallMs) + everyMs - wallMs);
    }
    show(newestStartedAtMs, problems);
    if (!isDue(times)) return;
    // Stopped while the targets were listed: nobody would end the tool.
    if (isStopped()) return;
    for (const { message } of problems) options.onFailed(message);
    triedAtMs = nowMs;
    const ran = await runWhileAlpha(options, options.command(file), abort.signal);
    if (ran.kind === "lead-lost") {
      // As every new alpha, it tries at once when it leads again.
      triedAtMs = undefined;
      return;
    }
    const why = ran.kind === "failed" ? ran.why : undefined;
    failures = why === undefined ? 0 : failures + 1;
    if (isBaseNeeded) basesInVain++;
    if (why === undefined) takenAtMs = nowMs;
    // Who leads no more knows nothing of the next attempts.
    if (isStopped() || !options.isAlpha()) return;
    failed = why ?? "";
    show(why === undefined ? wallMs : newestStartedAtMs, problems);
  };
  const task = startPeriodicTask({
    clock: options.clock,
    restMs: () => (isIdle ? IDLE_LOOK_MS : restMs(options, bucketRest)),
    leastGapMs: LOOK_GAP_MS,
    run: look,
    onError: (error) => {
      failed = errorText(error);
      options.onFailed(failed);
      if (options.isAlpha()) show(undefined, []);
    },
  });
  return stoppable(task, abort);
}

function stoppable(task: Schedule, abort: AbortController): Schedule {
  return {
    trigger: () => {
      task.trigger();
    },
    stop: () => {
      abort.abort();
      return task.stop();
    },
  };
}

function reasonsText(reasons: readonly string[]): string {
  return reasons
    .filter((reason) => reason !== "")
    .join("; ")
    .slice(0, REASON_CHARS_MAX);
}

/** Who looks into a bucket pays for each look: it is enough to look when the next backup is due, and now and then, for one that
    somebody has taken by hand. Pure. */
export function bucketRestMs(dueInMs: number): number {
  return Math.min(Math.max(dueInMs, 0), BUCKET_LOOK_MS_MAX);
}

function isBucket(name: string): boolean {
  return parseS3Place(name) !== undefined;
}

/** The same targets as long as twine.conf names them and nothing fails: they remember what they have read, and who they are. */
function keptTargets(options: ScheduleOptions) {
  let kept: { readonly of: string; readonly targets: readonly BackupTarget[] } | undefined;
  return {
    now: (): readonly BackupTarget[] => {
      const { file, settings } = options.config();
      const of = JSON.stringify([file, settings.cluster, settings.backupDirs]);
      if (kept?.of !== of) kept = { of, targets: options.openTargets(options.config()) };
      return kept.targets;
    },
    forget: (): void => {
      kept = undefined;
    },
  };
}
