// request.ts: what a client wants of one partition, on its way there and back. Pure.
import { encodeCommand, errorReply } from "../resp/encode.ts";
import { OVERTAKEN, overtakenReads, plainKeys } from "../route/overtaken.ts";
import { isIdempotent } from "../route/repeatable.ts";

/** Resolves the reply's one receiver. Called exactly once. */
export type TakeReply = (reply: Buffer) => void;

/** One command of a caller. `args` holds at least the name. */
export interface Errand {
  readonly args: readonly Buffer[];
  /** When it was asked for. */
  readonly sinceMs: number;
  readonly done: TakeReply;
}

/** One command, or a whole transaction, for one partition. */
export interface Request {
  readonly bytes: Buffer;
  /** Replies that it brings: 1; more for a transaction, whose last one counts. */
  readonly replyCount: number;
  readonly isRead: boolean;
  /** Its keys as latin1 text; undefined when it concerns every key. Asked only while something is held. */
  keys(): readonly string[] | undefined;
  /** Done twice it leaves what it leaves when done once. */
  isRepeatable(): boolean;
  /** Asked each time when it is about to be written; absent: it may be. False: it has answered itself. */
  readonly leaves?: (() => boolean) | undefined;
  readonly done: TakeReply;
  /** When it was asked for. */
  readonly sinceMs: number;
  /** The order in which a lane got them. */
  order: number;
  /** The node whose connection broke while it was on the wire. */
  unknownAt: string | undefined;
}

export interface RequestFacts {
  readonly isRead: boolean;
  /** Indices into the arguments; undefined when it concerns every key. */
  readonly keys: readonly number[] | undefined;
  readonly sinceMs: number;
}

export function commandRequest(
  args: readonly Buffer[],
  facts: RequestFacts,
  done: TakeReply,
  bytes: Buffer = encodeCommand(args),
): Request {
  return {
    bytes,
    replyCount: 1,
    isRead: facts.isRead,
    keys: () => facts.keys?.map((index) => args[index]?.toString("latin1") ?? ""),
    isRepeatable: () => facts.isRead || isIdempotent(args),
    done,
    sinceMs: facts.sinceMs,
    order: 0,
    unknownAt: undefined,
  };
}

/** MULTI, the commands, EXEC: sent in one piece, so that nothing comes between them. */
export function transactionRequest(
  commands: readonly (readonly Buffer[])[],
  facts: RequestFacts,
  done: TakeReply,
  leaves?: () => boolean,
): Request {
  return {
    bytes: Buffer.concat([MULTI, ...commands.map(encodeCommand), EXEC]),
    replyCount: commands.length + 2,
    isRead: facts.isRead,
    keys: () => keysOfAll(commands),
    // What a WATCH guards is not to be done without it.
    isRepeatable: () => facts.isRead || (leaves === undefined && commands.every(isIdempotent)),
    leaves,
    done,
    sinceMs: facts.sinceMs,
    order: 0,
    unknownAt: undefined,
  };
}

/** undefined as soon as one of them may concern any key. */
function keysOfAll(commands: readonly (readonly Buffer[])[]): readonly string[] | undefined {
  const all: string[] = [];
  for (const args of commands) {
    const keys = plainKeys(args);
    if (keys === undefined) return undefined;
    all.push(...keys);
  }
  return all;
}

const MULTI = encodeCommand(["MULTI"]);
const EXEC = encodeCommand(["EXEC"]);

const MINUS = 45;
/** A lane here has one client. */
const ONE_OWNER = {};

/** Whether the reply proves that nothing was executed: these errors come instead of a command's execution, never after
    it, and a transaction of which one command was refused so is discarded whole. */
export function isNotExecuted(reply: Buffer): boolean {
  if (reply[0] !== MINUS) return false;
  const text = reply.toString("latin1", 1, 80);
  return /^(EXECABORT Transaction discarded because of: )?(READONLY|MASTERDOWN|LOADING) /.test(
    text,
  );
}

/** Whether a request that may have been executed may be sent again. */
export function mayRepeat(request: Request, retryUnknown: "reads" | "idempotent"): boolean {
  return request.isRead || (retryUnknown === "idempotent" && request.isRepeatable());
}

/** The reads of `run`, all that was on the wire in its order, that are not repeated because they would show a later write
    of this client. `idempotent` is the wish for no error where that is all that can be seen. */
export function overtaken(
  run: readonly Request[],
  retryUnknown: "reads" | "idempotent",
): ReadonlySet<Request> {
  if (retryUnknown === "idempotent") return new Set();
  return overtakenReads(
    run,
    () => ONE_OWNER,
    (request) => request.keys(),
  );
}

/** The answer to a request that will not be done. A write that was on the wire once may have been executed, whatever stops
    it now. */
export function lostReply(
  request: Request,
  partition: number,
  why: string,
  isOvertaken = false,
): Buffer {
  if (request.unknownAt === undefined || (request.isRead && !isOvertaken)) {
    return errorReply(`TWINEDOWN ${why}`);
  }
  return errorReply(
    `UNCERTAIN ${request.unknownAt} of partition ${partition} gave no reply, ` +
      `${isOvertaken ? OVERTAKEN : "the command may have been executed"}: ${why}`,
  );
}
