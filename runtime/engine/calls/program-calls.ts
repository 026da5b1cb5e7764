// program-calls.ts: sends the commands of a program in this process to the engine and gives each one its reply, in order.
//
//   submit(call)    --bytes--> engine.submit() --reply by its tag--> program.answer(call)
//   beside(calls)   --bytes--> a side session (side-sessions.ts) --------------^
//
// call-order.ts decides when each call is submitted. A call that is cancelled after that is reported as "uncertain" when a
// node may have executed it.
import type { Duplex } from "node:stream";
import { CommandWriter } from "../../resp/command-writer.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { Engine } from "../engine.ts";
import type { ReplySink, Requester } from "../pipelines/reply-sink.ts";
import { HeldOrder, type HeldCalls } from "./held-order.ts";
import { SideSessions } from "./side-sessions.ts";

/** Shared by all programs: a command is encoded and submitted in one synchronous step. */
const writer = new CommandWriter();

/** What a program provides for its calls, of type C. */
export interface ProgramPort<C> extends HeldCalls<C> {
  readonly protocol: Protocol;
  /** The command's name in lower case. */
  nameOf(call: C): string;
  /** Encodes the command. `isAlone`: the program may repeat it in another form (EVALSHA as EVAL). */
  write(call: C, writer: CommandWriter, isAlone: boolean): void;
  /** The reply begins at bytes[start], valid only during the call. `unit`: the calls that were sent together with it. */
  answer(call: C, bytes: Buffer, start: number, unit?: readonly C[]): void;
  /** closed: the command was not sent, or it only reads. uncertain: a node may have executed it. */
  giveUp(call: C, outcome: "closed" | "uncertain"): void;
}

class Sink implements ReplySink {
  readonly owner: Requester & { isGone: boolean };
  readonly take: ReplySink["take"];

  constructor(owner: Sink["owner"], take: ReplySink["take"]) {
    this.owner = owner;
    this.take = take;
  }

  get isGone(): boolean {
    return this.owner.isGone;
  }
}

/** Exists while the program is connected to an engine. */
interface Attached {
  readonly engine: Engine;
  readonly sessions: SideSessions;
  readonly sink: Sink;
}

export class ProgramCalls<C> {
  readonly order: HeldOrder<C>;
  readonly #program: ProgramPort<C>;
  #attached: Attached | undefined;

  constructor(program: ProgramPort<C>) {
    this.#program = program;
    this.order = new HeldOrder(program);
  }

  /** Attaches `stream` to the engine. A WAIT on any of the program's sessions counts the writes of all of them.
      `hasLostWatch`: the previous stream ended while it had a WATCH. */
  attach(engine: Engine, stream: Duplex, hasLostWatch: boolean): void {
    const before = this.#attached;
    const options = { written: before?.sink.owner.written, hasLostWatch };
    const { written } = engine.attach(stream, options).owner;
    if (before?.engine === engine) return;
    const owner = written === undefined ? { isGone: false } : { isGone: false, written };
    const sink = new Sink(owner, (tag, bytes, start) => {
      const call = this.order.settle(tag);
      if (call !== undefined) this.#program.answer(call, bytes, start);
    });
    const sessions = new SideSessions(engine, this.#program.protocol, written);
    this.#attached = { engine, sink, sessions };
  }

  /** Cancels every call that has no reply yet. */
  detach(): void {
    const attached = this.#attached;
    this.#attached = undefined;
    if (attached === undefined) return;
    attached.sink.owner.isGone = true;
    for (const call of this.order.takeCalls()) this.#giveUp(call, attached);
    attached.sessions.destroy();
  }

  /** Ends the blocking commands without losing an element that a node has already popped for them. */
  endBlocking(): void {
    this.#attached?.sessions.endBlocking();
  }

  /** Sends a call to its partition, now. */
  submit(call: C): void {
    const attached = this.#attached;
    if (attached === undefined) {
      this.#giveUp(call, undefined);
      return;
    }
    this.#program.write(call, writer, true);
    const tag = this.order.begin(call);
    const bytes = writer.bytes.subarray(0, writer.end);
    if (attached.engine.submit(bytes, attached.sink, tag, this.#program.protocol)) return;
    // By the nodes' command table, this command needs a session.
    this.order.settle(tag);
    this.beside([call], true, () => undefined);
  }

  /** Sends the calls on a side session. `over` is called when every call has its reply or is cancelled. */
  beside(calls: readonly C[], isBlocking: boolean, over: () => void): void {
    const attached = this.#attached;
    let answered = 0;
    const onLost = (): void => {
      for (const call of calls.slice(answered)) this.#giveUp(call, attached);
      over();
    };
    if (attached === undefined) {
      onLost();
      return;
    }
    const bytes = calls.map((call) => {
      this.#program.write(call, writer, false);
      return writer.copy();
    });
    attached.sessions.start({
      ...{ bytes: Buffer.concat(bytes), count: calls.length, isBlocking, onLost },
      onReply: (reply, start, index) => {
        const call = calls[index];
        answered = index + 1;
        if (call !== undefined) this.#program.answer(call, reply, start, calls);
        if (answered === calls.length) over();
      },
    });
  }

  /** Whether a node may have executed a command of the program's own stream that has no reply. Valid before detach(). */
  mayBeDone(name: string): boolean {
    return mayBeDone(name, this.#attached);
  }

  #giveUp(call: C, attached: Attached | undefined): void {
    const isUncertain = mayBeDone(this.#program.nameOf(call), attached);
    this.#program.giveUp(call, isUncertain ? "uncertain" : "closed");
  }
}

function mayBeDone(name: string, attached: Attached | undefined): boolean {
  return (
    attached !== undefined && attached.engine.commands?.get(name)?.flags.has("readonly") !== true
  );
}
