// pool.ts: the parent of a router with several processes. Runs as many workers as twine.conf sets, passes signals on, and
// adds up their counters.
//
//   started ─▶ listening ─▶ died ─▶ restarted: at once if it had lived for a while, else after a growing pause
//      └─ exited, and no worker has ever listened ─▶ the parent ends with its exit code: workers can't start at all
//
// Every worker is a complete router with its own connections, lease and view. Workers share only the port: the system
// spreads new connections over them (SO_REUSEPORT) or, where it can't, the parent distributes them in turn
// (node:cluster). So a worker that dies disconnects only its own clients.
// The parent connects to no client and no node. Workers end when the parent has ended, as node:cluster arranges.
import type { Cluster, Worker } from "node:cluster";
import { EXIT } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import {
  addSnapshots,
  countsAlone,
  NO_FIGURES,
  type RouterSnapshot,
} from "../../engine/stats/snapshot.ts";
import { isFromWorker, type FromParent, type FromWorker } from "./messages.ts";
import { nextPauseMs } from "./pause.ts";

export interface WorkerPoolOptions {
  readonly cluster: Cluster;
  readonly count: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A worker exited before it listened; it has written the reason to standard error. */
export class WorkersFailed extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`a worker can't start: it ended with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** If a worker does not reply within this time, its last reply is used. */
const ANSWER_MS = 500;
/** At most so much of a worker's counts is lost when it dies. */
const ASK_EVERY_MS = 1000;

interface Member {
  readonly worker: Worker;
  readonly startedAtMs: number;
  isListening: boolean;
  missedReload: boolean;
  /** Its last reply. */
  snapshot: RouterSnapshot;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #members = new Map<number, Member>();
  readonly #answers = new Map<number, () => void>();
  readonly #pauses = new Set<() => void>();
  readonly #started: Settling;
  readonly #ended: Settling;
  /** The sum of the counters of dead workers. */
  #retired = NO_FIGURES;
  /** The number of workers that were started to replace others. */
  restarts = 0;
  #questions = 0;
  #quickDeaths = 0;
  #exitCode: number = EXIT.ok;
  #hasListened = false;
  #isEnding = false;
  #endAsking: (() => void) | undefined;

  /** Starts the workers. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#started = new Settling();
    this.#ended = new Settling();
    for (let number = 0; number < options.count; number++) this.#start();
    this.#askAgain();
  }

  /** Resolves when all workers listen. Rejects with WorkersFailed if one exited and none ever listened. */
  listening(): Promise<void> {
    return this.#started.promise;
  }

  /** The counters and levels of the running workers, plus the counters of dead ones. */
  async snapshot(): Promise<RouterSnapshot> {
    await this.#ask();
    return [...this.#members.values()].reduce(
      (sum, { snapshot }) => addSnapshots(sum, snapshot),
      this.#retired,
    );
  }

  /** Passes SIGHUP on. It would kill a worker that is still starting, so such a worker gets it when it listens. */
  reload(): void {
    for (const member of this.#members.values()) {
      if (member.isListening) member.worker.process.kill("SIGHUP");
      else member.missedReload = true;
    }
  }

  /**
   * Sends SIGTERM to the workers and awaits their exit; after `waitMs` the remaining ones are killed. Returns the highest
   * exit code: 1 for a killed worker, 0 for one that SIGTERM ended before it had a handler.
   */
  async end(waitMs: number): Promise<number> {
    this.#isEnding = true;
    this.#endAsking?.();
    for (const endPause of this.#pauses) endPause();
    this.#signalAll("SIGTERM");
    const endWait = this.#options.clock.after(waitMs, () => {
      this.#signalAll("SIGKILL");
    });
    if (this.#members.size > 0) await this.#ended.promise;
    endWait();
    return this.#exitCode;
  }

  #signalAll(name: NodeJS.Signals): void {
    for (const { worker } of this.#members.values()) worker.process.kill(name);
  }

  #start(): void {
    const { cluster, clock, log } = this.#options;
    const worker = cluster.fork();
    const startedAtMs = clock.nowMs();
    const state = { isListening: false, missedReload: false, snapshot: NO_FIGURES };
    const member = { worker, startedAtMs, ...state };
    this.#members.set(worker.id, member);
    worker.on("message", (message: unknown) => {
      if (isFromWorker(message)) this.#hear(member, message);
    });
    worker.on("error", (error) => {
      log.error("a worker", { worker: worker.id, why: error.message });
    });
    worker.on("exit", (code: number | null, signal: string | null) => {
      this.#onExit(member, code, signal);
    });
  }

  #hear(member: Member, message: FromWorker): void {
    if (message.kind === "figures") {
      member.snapshot = message.snapshot;
      this.#answers.get(message.question)?.();
      return;
    }
    member.isListening = true;
    if (member.missedReload) member.worker.process.kill("SIGHUP");
    this.#hasListened = true;
    const all = [...this.#members.values()];
    const isWhole = all.length >= this.#options.count;
    if (isWhole && all.every(({ isListening }) => isListening)) this.#started.resolve();
  }

  #onExit(member: Member, code: number | null, signal: string | null): void {
    const { clock, log } = this.#options;
    const { id, process } = member.worker;
    this.#members.delete(id);
    this.#retired = addSnapshots(this.#retired, countsAlone(member.snapshot));
    if (this.#isEnding) {
      // SIGTERM kills a worker that was still starting: it had no handler yet.
      const isAsked = code === null && signal === "SIGTERM";
      this.#exitCode = Math.max(this.#exitCode, isAsked ? EXIT.ok : (code ?? EXIT.failure));
      if (this.#members.size === 0) this.#ended.resolve();
      return;
    }
    // If other workers could start, this one may have read a twine.conf that was just being written.
    if (!this.#hasListened && code !== null && code !== EXIT.ok) {
      this.#started.reject(new WorkersFailed(code));
      return;
    }
    const livedMs = Math.round(clock.nowMs() - member.startedAtMs);
    const { pauseMs, quickDeathCount } = nextPauseMs(livedMs, this.#quickDeaths);
    this.#quickDeaths = quickDeathCount;
    log.error("a worker died", {
      worker: id,
      workerPid: process.pid,
      code,
      signal,
      livedMs,
      pauseMs,
    });
    const endPause = clock.after(pauseMs, () => {
      this.#pauses.delete(endPause);
      this.restarts++;
      this.#start();
    });
    this.#pauses.add(endPause);
  }

  async #ask(): Promise<void> {
    const asked = [...this.#members.values()].filter(({ isListening }) => isListening);
    await Promise.all(asked.map(({ worker }) => this.#answerOf(worker)));
  }

  #answerOf(worker: Worker): Promise<void> {
    return new Promise((resolve) => {
      const question = ++this.#questions;
      const done = (): void => {
        this.#answers.delete(question);
        endWait();
        resolve();
      };
      const endWait = this.#options.clock.after(ANSWER_MS, done);
      this.#answers.set(question, done);
      const message: FromParent = { kind: "figures?", question };
      // A worker that is exiting can't reply: its last reply is used.
      if (!worker.isConnected()) done();
      else {
        worker.send(message, (error: Error | null) => {
          if (error !== null) done();
        });
      }
    });
  }

  #askAgain(): void {
    this.#endAsking = this.#options.clock.after(ASK_EVERY_MS, () => {
      void this.#ask().then(() => {
        if (!this.#isEnding) this.#askAgain();
      });
    });
  }
}

/** A promise with public resolve and reject. It may stay unawaited. */
class Settling {
  readonly promise: Promise<void>;
  resolve: () => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => undefined);
  }
}
