// pool.ts: the parent of a router with several processes: keeps as many workers as twine.conf asks for, passes
// signals on, and adds up what they have counted.
//
//   started ─▶ listening ─▶ died ─▶ started anew: at once when it had lived for a while, else after a growing pause
//      └─ ended by itself, and no worker has ever listened ─▶ the parent ends with its exit code: it can't start at all
//
// Every worker is a whole router: connections, lease and view of its own. They share the port alone: the system spreads
// new connections over them (SO_REUSEPORT), or, where it can't, the parent hands them out in turn (node:cluster). So a
// worker that dies takes its own clients with it and nobody else's.
// The parent touches no client and no node. Workers end when it is gone, as node:cluster has them do.
import type { Cluster, Worker } from "node:cluster";
import { EXIT } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { addSnapshots, countsAlone, NO_FIGURES, type RouterSnapshot } from "../stats/snapshot.ts";
import { isFromWorker, type FromParent, type FromWorker } from "./messages.ts";
import { nextPauseMs } from "./pause.ts";

export interface WorkerPoolOptions {
  readonly cluster: Cluster;
  readonly count: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A worker ended before it listened, and has said why on standard error. */
export class WorkersFailed extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`a worker can't start: it ended with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** A worker that does not answer in this time counts with what it said last. */
const ANSWER_MS = 500;
/** So much of what a worker counts can be lost with it. */
const ASK_EVERY_MS = 1000;

interface Member {
  readonly worker: Worker;
  readonly startedAtMs: number;
  isListening: boolean;
  missedHangUp: boolean;
  /** Its last word. */
  snapshot: RouterSnapshot;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #members = new Map<number, Member>();
  readonly #answers = new Map<number, () => void>();
  readonly #pauses = new Set<() => void>();
  readonly #started: Settling;
  readonly #ended: Settling;
  /** Of the workers that have died. */
  #retired = NO_FIGURES;
  /** Workers that were started in another's place. */
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

  /** Resolves when all workers listen. Rejects with WorkersFailed when none ever did and one has ended by itself. */
  listening(): Promise<void> {
    return this.#started.promise;
  }

  /** What the workers that live count and hold, and what those counted that have died. */
  async snapshot(): Promise<RouterSnapshot> {
    await this.#ask();
    return [...this.#members.values()].reduce(
      (sum, { snapshot }) => addSnapshots(sum, snapshot),
      this.#retired,
    );
  }

  /** Passes SIGHUP on. A worker that is still starting would die of it, and gets it as soon as it listens. */
  hangUp(): void {
    for (const member of this.#members.values()) {
      if (member.isListening) member.worker.process.kill("SIGHUP");
      else member.missedHangUp = true;
    }
  }

  /**
   * Has the workers end by SIGTERM, and waits for them; those that have not ended after `waitMs` are killed. Gives the
   * highest of their exit codes, 1 for one that a signal ended.
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
    const state = { isListening: false, missedHangUp: false, snapshot: NO_FIGURES };
    const member = { worker, startedAtMs, ...state };
    this.#members.set(worker.id, member);
    worker.on("message", (message: unknown) => {
      if (isFromWorker(message)) this.#hear(member, message);
    });
    worker.on("error", (error) => {
      log.error("a worker", { worker: worker.id, why: error.message });
    });
    worker.on("exit", (code: number | null, signal: string | null) => {
      this.#bury(member, code, signal);
    });
  }

  #hear(member: Member, message: FromWorker): void {
    if (message.kind === "figures") {
      member.snapshot = message.snapshot;
      this.#answers.get(message.question)?.();
      return;
    }
    member.isListening = true;
    if (member.missedHangUp) member.worker.process.kill("SIGHUP");
    this.#hasListened = true;
    const all = [...this.#members.values()];
    const isWhole = all.length >= this.#options.count;
    if (isWhole && all.every(({ isListening }) => isListening)) this.#started.resolve();
  }

  #bury(member: Member, code: number | null, signal: string | null): void {
    const { clock, log } = this.#options;
    const { id, process } = member.worker;
    this.#members.delete(id);
    this.#retired = addSnapshots(this.#retired, countsAlone(member.snapshot));
    if (this.#isEnding) {
      // One that was still starting knows no SIGTERM yet.
      const isAsked = code === null && signal === "SIGTERM";
      this.#exitCode = Math.max(this.#exitCode, isAsked ? EXIT.ok : (code ?? EXIT.failure));
      if (this.#members.size === 0) this.#ended.resolve();
      return;
    }
    // One that can't start although others could, may have met a twine.conf that is just being written.
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
      // A worker that is just ending can't be asked any more: its last word counts.
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

/** A promise that is settled from outside. Nobody has to wait for it. */
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
