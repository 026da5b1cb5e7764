// archive-service.ts: the archive by itself: while this monitor leads, twine-backup --archive runs as a process of its own.
//
//   look (alpha? backup-archive yes? is everything served?) --> start it --a line of JSON each second--> onState
//        no longer, or another twine.conf --> SIGTERM: it ships what it has          ended by itself --> again, after a rest
//
// It holds the other end of its standard input: should this monitor be killed, that process ends too.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { ClusterConfig } from "../../core/cluster.ts";
import { errorText } from "../../core/error-text.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask } from "../../ports/periodic-task.ts";
import { parseArchiveState, STATE_CHARS_MAX, type ArchiveState } from "../../core/archive-state.ts";

export interface ArchiveServiceOptions {
  readonly clock: Clock;
  readonly config: () => ClusterConfig;
  /** Whether this monitor leads now. */
  readonly isAlpha: () => boolean;
  readonly view: () => View | null;
  /** The program and arguments that record the cluster of that file. */
  readonly command: (file: string) => readonly [string, ...string[]];
  /** About once a second; undefined: nothing is recorded by this monitor. */
  readonly onState: (state: ArchiveState | undefined) => void;
  readonly onStarted: () => void;
  /** It ended, though it was not told to. */
  readonly onFailed: (why: string) => void;
}

const LOOK_MS = 500;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** One that has run for so long failed for another reason than the one before. */
const STEADY_MS = 60_000;
const OUTPUT_CHARS_MAX = 4000;
/** It ships what it has; then it is ended. */
const END_MS_MAX = 15_000;

interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly settings: string;
  readonly startedAtMs: number;
  readonly ended: Promise<void>;
  isTold: boolean;
}

export function startArchiveService(options: ArchiveServiceOptions): { stop(): Promise<void> } {
  const service = new ArchiveService(options);
  const task = startPeriodicTask({
    clock: options.clock,
    restMs: () => LOOK_MS,
    run: () => {
      service.look();
    },
    onError: (error) => {
      options.onFailed(errorText(error));
    },
  });
  return {
    stop: async () => {
      await task.stop();
      await service.end();
    },
  };
}

class ArchiveService {
  readonly #options: ArchiveServiceOptions;
  #running: Running | undefined;
  #failures = 0;
  #retryAtMs = -Infinity;

  constructor(options: ArchiveServiceOptions) {
    this.#options = options;
  }

  look(): void {
    const { clock, config, isAlpha, view } = this.#options;
    const conf = config();
    const isWanted =
      isAlpha() && conf.settings.backupArchive === "yes" && conf.settings.backupDirs.length > 0;
    const running = this.#running;
    if (running !== undefined) {
      if (!isWanted || running.settings !== settingsOf(conf)) void this.end();
      return;
    }
    if (!isWanted) this.#options.onState(undefined);
    const isServed = view()?.partitions.every(({ master }) => master !== null) === true;
    if (isWanted && isServed && clock.nowMs() >= this.#retryAtMs) this.#start(conf);
  }

  async end(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    if (!running.isTold) running.child.kill("SIGTERM");
    running.isTold = true;
    const cancel = this.#options.clock.after(END_MS_MAX, () => running.child.kill("SIGKILL"));
    await running.ended;
    cancel();
  }

  #start(conf: ClusterConfig): void {
    const { clock, command, onStarted } = this.#options;
    const [program, ...args] = command(conf.file);
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    // It may be gone before it reads.
    child.stdin.on("error", () => undefined);
    let err = "";
    child.stderr.on("data", (data: Buffer) => {
      err = (err + data.toString()).slice(-OUTPUT_CHARS_MAX);
    });
    this.#read(child.stdout);
    const running: Running = {
      ...{ child, settings: settingsOf(conf), startedAtMs: clock.nowMs(), isTold: false },
      ended: new Promise((resolve) => {
        const over = (why: string): void => {
          this.#over(running, why);
          resolve();
        };
        child.once("error", (error) => {
          over(error.message);
        });
        child.once("close", (code) => {
          over(`${err.trim()} (exit code ${String(code)})`);
        });
      }),
    };
    this.#running = running;
    onStarted();
  }

  #over(running: Running, why: string): void {
    if (this.#running !== running) return;
    const { clock, onState, onFailed } = this.#options;
    this.#running = undefined;
    onState(undefined);
    if (running.isTold) return;
    const nowMs = clock.nowMs();
    this.#failures = nowMs - running.startedAtMs > STEADY_MS ? 1 : this.#failures + 1;
    this.#retryAtMs = nowMs + Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (this.#failures - 1));
    onFailed(why);
  }

  #read(stdout: Readable): void {
    let text = "";
    stdout.on("data", (data: Buffer) => {
      const lines = (text + data.toString()).split("\n");
      text = (lines.pop() ?? "").slice(-STATE_CHARS_MAX);
      for (const line of lines) {
        const state = parseArchiveState(line);
        if (state !== undefined) this.#options.onState(state);
      }
    });
  }
}

/** What the process has read: with other settings it is started anew. */
function settingsOf({ file, settings }: ClusterConfig): string {
  const { cluster, partitions, backupDirs, backupCompress, backupKey, backupCutEveryMs } = settings;
  return JSON.stringify([
    ...[file, cluster, partitions, backupDirs, backupCompress, backupKey, backupCutEveryMs],
  ]);
}
