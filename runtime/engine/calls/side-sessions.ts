// side-sessions.ts: further engine sessions of one program. Each running transaction or blocking command has its own, so that
// none waits for the partition of another.
//
//   run(bytes, count) -> an idle session, or a new one -> count replies -> idle again
import type { Engine, EngineClient } from "../engine.ts";
import { streamPair } from "../stream-pair.ts";
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import { ReplyScanner } from "../../resp/reply-scanner.ts";
import type { WrittenPartitions } from "../../route/session/written-partitions.ts";

const IDLE_MAX = 32;

export interface SideRun {
  readonly bytes: Buffer;
  /** The number of replies. */
  readonly count: number;
  readonly isBlocking: boolean;
  /** One reply begins at bytes[start]; the bytes are valid only during the call. */
  onReply(bytes: Buffer, start: number, index: number): void;
  /** The session ended before all replies had arrived. */
  onLost(): void;
}

class SideSession {
  readonly #near;
  readonly client: EngineClient;
  readonly #scanner = new ReplyScanner();
  readonly #onIdle: (session: SideSession) => void;
  readonly #onClose: (session: SideSession) => void;
  run: SideRun | undefined;
  #index = 0;
  /** Replies to skip first: of the session's own HELLO. */
  #skip = 0;

  constructor(
    engine: Engine,
    protocol: Protocol,
    written: WrittenPartitions | undefined,
    on: Record<"idle" | "close", (session: SideSession) => void>,
  ) {
    const { programEnd: near, engineEnd } = streamPair();
    this.#near = near;
    this.#onIdle = on.idle;
    this.#onClose = on.close;
    this.client = engine.attach(engineEnd, { written });
    near.on("data", (chunk: Buffer) => {
      this.#receive(chunk);
    });
    near.on("close", () => {
      const { run } = this;
      this.run = undefined;
      this.#onClose(this);
      run?.onLost();
    });
    if (protocol === 2) return;
    this.#skip = 1;
    near.write(encodeCommand(["HELLO", String(protocol)]));
  }

  get isOpen(): boolean {
    return !this.#near.destroyed;
  }

  start(run: SideRun): void {
    this.run = run;
    this.#index = 0;
    this.#near.write(run.bytes);
  }

  destroy(): void {
    this.#near.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#scanner.push(chunk);
    while (this.#scanner.advance()) {
      const { run } = this;
      if (this.#skip > 0) this.#skip--;
      else if (run !== undefined) {
        const isLast = ++this.#index === run.count;
        if (isLast) this.run = undefined;
        run.onReply(this.#scanner.source, this.#scanner.start, this.#index - 1);
        if (isLast) this.#onIdle(this);
      }
    }
  }
}

export class SideSessions {
  readonly #engine: Engine;
  readonly #protocol: Protocol;
  readonly #written: WrittenPartitions | undefined;
  readonly #all = new Set<SideSession>();
  readonly #idle: SideSession[] = [];

  /** `written`: the partitions that the program has written to, for WAIT. */
  constructor(engine: Engine, protocol: Protocol, written: WrittenPartitions | undefined) {
    this.#engine = engine;
    this.#protocol = protocol;
    this.#written = written;
  }

  start(run: SideRun): void {
    let session = this.#idle.pop();
    if (session?.isOpen !== true) {
      session = new SideSession(this.#engine, this.#protocol, this.#written, {
        idle: (one) => {
          this.#rest(one);
        },
        close: (one) => {
          this.#forget(one);
        },
      });
      this.#all.add(session);
    }
    session.start(run);
  }

  /** Ends the blocking commands without losing an element that a node has already popped for them. */
  endBlocking(): void {
    for (const { run, client } of this.#all) if (run?.isBlocking === true) client.endWaiting();
  }

  destroy(): void {
    for (const session of [...this.#all]) session.destroy();
    this.#all.clear();
    this.#idle.length = 0;
  }

  /** Called when the session has ended, also when the engine ended it. */
  #forget(session: SideSession): void {
    this.#all.delete(session);
    const at = this.#idle.indexOf(session);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #rest(session: SideSession): void {
    if (session.isOpen && this.#idle.length < IDLE_MAX) {
      this.#idle.push(session);
      return;
    }
    this.#all.delete(session);
    session.destroy();
  }
}
