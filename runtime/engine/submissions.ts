// submissions.ts: runs commands that need no session, each with its own sink for the reply.
//
//   submit(command) --fast path--> pipeline                     commands that can be sent by their bytes alone (most)
//                   --dispatch---> pipelines                    all others
//                   --queue------> dispatch                     while the table of commands or a hash is outstanding
//
// Invariant: commands reach the pipelines in the order of the calls. The keys of queued commands are hashed at once, so
// that an asynchronous hash delays a queue once, not once per command.
import { errorReply, type Protocol } from "../resp/encode.ts";
import { RespError } from "../resp/limits.ts";
import { RequestSplitter } from "../resp/request-splitter.ts";
import { needsSession } from "../route/decide.ts";
import { dispatch } from "./dispatch/dispatch.ts";
import type { DispatchContext, PendingCommand } from "./dispatch/pending-command.ts";
import type { FastPath } from "./dispatch/fast-path.ts";
import type { EngineRules } from "./limits.ts";
import type { PipelineContext } from "./pipelines/pipeline-context.ts";
import type { ReplySink } from "./pipelines/reply-sink.ts";

export interface SubmissionParts {
  readonly dispatching: DispatchContext;
  readonly fastPath: FastPath;
  readonly pipelining: PipelineContext;
  /** Read at every use, because they may change. */
  readonly rules: EngineRules;
}

export class Submissions {
  readonly #parts: SubmissionParts;
  #splitter = new RequestSplitter();
  /** Settles when the newest queued command was sent; undefined: none is queued. */
  #turn: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
  }

  /** As Engine.submit. */
  submit(command: Buffer, sink: ReplySink, tag: number, protocol: Protocol): boolean {
    const splitter = this.#splitter;
    splitter.limits = this.#parts.rules.limits.requests;
    splitter.push(command);
    let isWhole = false;
    try {
      isWhole = splitter.advance() && splitter.waitingBytes === 0;
      if (!isWhole) throw new TypeError("submit() takes one whole command");
      return this.#take(splitter, sink, tag, protocol);
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      reply(sink, tag, errorReply(`ERR ${error.message}`));
      return true;
    } finally {
      if (isWhole) splitter.release();
      else this.#splitter = new RequestSplitter();
    }
  }

  close(): void {
    this.#isClosed = true;
  }

  #take(raw: RequestSplitter, sink: ReplySink, tag: number, protocol: Protocol): boolean {
    const { fastPath, dispatching, pipelining } = this.#parts;
    const isFree = this.#turn === undefined && !this.#isClosed;
    const fast = isFree ? fastPath.find(raw, false) : undefined;
    if (fast !== undefined) {
      fastPath.send(fast, sink, tag, raw, protocol);
      return true;
    }
    const request = raw.request();
    if (needsSession(request.args, dispatching.commands.table)) return false;
    const done = (bytes: Buffer): void => {
      reply(sink, tag, bytes);
    };
    const pending: PendingCommand = { request, protocol, from: sink.owner, done };
    if (this.#isClosed) done(errorReply(`TWINEDOWN ${pipelining.closingCause}`));
    else if (isFree && dispatching.commands.table !== undefined) {
      this.#follow(dispatch(pending, dispatching));
    } else this.#wait(pending);
    return true;
  }

  /** Queues the command until the earlier ones were sent and the table is known. Limited like all buffered requests. */
  #wait(pending: PendingCommand): void {
    const { dispatching, pipelining } = this.#parts;
    const bytes = pending.request.raw.length;
    if (pipelining.bufferedBytes + bytes > pipelining.holdBytesMax) {
      pending.done(errorReply("OOM twine: hold-bytes is used up"));
      return;
    }
    pipelining.bufferedBytes += bytes;
    const turn = this.#turn ?? Promise.resolve();
    const isKnown = dispatching.commands.table !== undefined;
    const sent = isKnown
      ? this.#dispatch({ ...pending, turn })
      : Promise.all([turn, this.#whenKnown()]).then(() => this.#dispatch(pending));
    this.#follow(
      Promise.resolve(sent).then(() => {
        pipelining.bufferedBytes -= bytes;
      }),
    );
  }

  #dispatch(pending: PendingCommand): Promise<void> | undefined {
    return pending.from.isGone ? pending.turn : dispatch(pending, this.#parts.dispatching);
  }

  #whenKnown(): Promise<void> {
    const { dispatching, pipelining } = this.#parts;
    return new Promise((resolve) => {
      dispatching.commands.whenKnown(() => {
        resolve();
      }, pipelining.holdForMs);
    });
  }

  /** Later commands wait for this one. */
  #follow(placed: Promise<void> | undefined): void {
    if (placed === undefined) return;
    const turn = placed.then(() => {
      if (this.#turn === turn) this.#turn = undefined;
    });
    this.#turn = turn;
  }
}

function reply(sink: ReplySink, tag: number, bytes: Buffer): void {
  if (!sink.isGone) sink.take(tag, bytes, 0, bytes.length);
}
