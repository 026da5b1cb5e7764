// rehearsal-schedule.ts: rehearsals by themselves: the alpha's monitor has the newest backup restored into a scratch cluster
// whenever the last rehearsal is older than backup-rehearse. Beside the backups, which go on meanwhile (../schedule.ts).
import { parseS3Place } from "../../core/backup-place.ts";
import type { ClusterConfig } from "../../core/cluster.ts";
import { errorText } from "../../core/error-text.ts";
import { startPeriodicTask } from "../../ports/periodic-task.ts";
import { listBackups, type ListedBackup } from "../list-backups.ts";
import { runWhileAlpha, type AlphaPorts } from "../run-while-alpha.ts";
import type { BackupTarget } from "../targets/target.ts";

export interface RehearsalState {
  /** When a backup was last found good by one, ISO 8601; null: none was. */
  readonly lastAt: string | null;
  /** Why the last attempt failed, empty when it did not; null: none was made here. */
  readonly failed: string | null;
}

export interface RehearsalsOptions extends AlphaPorts {
  readonly config: () => ClusterConfig;
  openTargets(config: ClusterConfig): readonly BackupTarget[];
  /** The program and arguments that rehearse the newest backup of the cluster of that file. */
  command(file: string): readonly [string, ...string[]];
  onState(state: RehearsalState): void;
}

const LOOK_MS_MAX = 30_000;
/** Who looks into a bucket pays for each look. */
const BUCKET_LOOK_MS = 15 * 60_000;
const RETRY_MS_MIN = 10 * 60_000;
/** The view shows so much of a reason. */
const REASON_CHARS_MAX = 400;

/** Whether a rehearsal is due. Pure. The gap after a failure doubles each time, up to backup-rehearse itself. */
export function isRehearsalDue(times: {
  /** Of whatever backup, good or not; undefined: none is known. */
  readonly lastAtMs: number | undefined;
  readonly everyMs: number;
  readonly wallMs: number;
  /** By the monotonic clock; undefined: this monitor has made no attempt. */
  readonly triedAtMs: number | undefined;
  readonly nowMs: number;
  /** Attempts that failed since the last that did not. */
  readonly failures: number;
}): boolean {
  const { lastAtMs, everyMs, wallMs, triedAtMs, nowMs, failures } = times;
  const gapMs = failures === 0 ? everyMs : Math.min(everyMs, RETRY_MS_MIN * 2 ** (failures - 1));
  if (triedAtMs !== undefined && nowMs - triedAtMs < gapMs) return false;
  if (failures > 0 || lastAtMs === undefined) return true;
  // One from the future is of a clock that was wrong.
  return wallMs - lastAtMs >= everyMs || lastAtMs - wallMs > everyMs;
}

export interface Rehearsals {
  /** Look at once: a backup was taken. */
  trigger(): void;
  stop(): Promise<void>;
}

export function startRehearsals(options: RehearsalsOptions): Rehearsals {
  const abort = new AbortController();
  const isStopped = (): boolean => abort.signal.aborted;
  let [triedAtMs, failures]: [number | undefined, number] = [undefined, 0];
  let failed: string | null = null;
  const look = async (): Promise<void> => {
    const { clock, config } = options;
    const { file, settings } = config();
    const everyMs = settings.backupRehearseMs;
    if (everyMs === undefined || !options.isAlpha()) return;
    const { backups } = await listBackups(options.openTargets(config()));
    if (backups.length === 0) return;
    options.onState({ lastAt: newestGood(backups), failed });
    const last = newest(backups);
    const lastAtMs = last === undefined ? undefined : Date.parse(last);
    const [wallMs, nowMs] = [Date.parse(clock.wallTime()), clock.nowMs()];
    if (!isRehearsalDue({ lastAtMs, everyMs, wallMs, triedAtMs, nowMs, failures })) return;
    // Stopped while the targets were listed: nobody would end the tool.
    if (isStopped()) return;
    triedAtMs = nowMs;
    const ran = await runWhileAlpha(options, options.command(file), abort.signal);
    if (ran.kind === "lead-lost") {
      triedAtMs = undefined;
      return;
    }
    const why = ran.kind === "failed" ? ran.why : undefined;
    failures = why === undefined ? 0 : failures + 1;
    if (isStopped() || !options.isAlpha()) return;
    failed = (why ?? "").slice(0, REASON_CHARS_MAX);
    const { backups: now } = await listBackups(options.openTargets(config()));
    options.onState({ lastAt: newestGood(now), failed });
  };
  const task = startPeriodicTask({
    clock: options.clock,
    restMs: () => restMs(options.config()),
    run: look,
    onError: (error) => {
      options.onFailed(errorText(error));
    },
  });
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

function restMs({ settings }: ClusterConfig): number {
  const isBucket = settings.backupDirs.some((place) => parseS3Place(place) !== undefined);
  return isBucket ? BUCKET_LOOK_MS : LOOK_MS_MAX;
}

function newest(backups: readonly ListedBackup[]): string | undefined {
  return backups
    .flatMap(({ rehearsed }) => (rehearsed === null ? [] : [rehearsed.at]))
    .toSorted()
    .at(-1);
}

function newestGood(backups: readonly ListedBackup[]): string | null {
  return newest(backups.filter(({ rehearsed }) => rehearsed?.ok === true)) ?? null;
}
