// reply-errors.ts: converts error replies into Error objects. Pure.
//
// All are ioredis's ReplyError, which programs and libraries know. The engine's own errors (UNCERTAIN, TWINEDOWN, ...)
// have their first word as `code`, and a `remedy`. For unsupported commands the code is NOT_SUPPORTED.
import { ReplyError } from "ioredis";
import { TwineError, type Problem } from "../core/errors.ts";
import { reasonOf, type FailureKind, type NodeFailure } from "../core/failure.ts";
import { closingCauseOf } from "../engine/pipelines/pipeline-context.ts";

const NodeError = ReplyError as new (message: string) => Error;

/** An error reply of a node or of the engine. */
export interface ClusterReplyError extends Error {
  /** Only for the engine's own errors. */
  readonly code?: string;
  readonly remedy?: string;
  /** The command that got this reply, with ioredis's name. */
  command?: { readonly name: string; readonly args: readonly unknown[] };
}

const REMEDIES: Readonly<Record<string, string>> = {
  TWINEDOWN: "see twine-status; hold-for says how long a request may wait for its partition",
  UNCERTAIN: "read the key to see what became of it, or see retry-unknown idempotent",
  UNDERREPLICATED: "the master has the write; see why its replicas lag, or lower ack-replicas",
  CROSSSLOT: "give keys that belong together a hash tag",
  PARTIAL: "repeat it for the keys that the message names",
};
const OWN_PREFIX = "ERR twine: ";

/** The engine's error for pending requests when it is closed. */
const CLOSING = `TWINEDOWN ${closingCauseOf("client")}`;

/** The Error for a reply `-text`. */
export function replyError(text: string): ClusterReplyError {
  if (text === CLOSING || text.startsWith("CLIENT_CLOSED ")) return closedError();
  if (text.startsWith(OWN_PREFIX)) {
    return Object.assign(new NodeError(text.slice(OWN_PREFIX.length)), { code: "NOT_SUPPORTED" });
  }
  const [code = ""] = text.split(" ", 1);
  const remedy = REMEDIES[code];
  const error = new NodeError(text);
  return remedy === undefined ? error : Object.assign(error, { code, remedy });
}

/** The error of commands whose client was closed by quit() or disconnect(). The message is ioredis's own, because
    libraries compare it. */
export function closedError(): Error {
  return Object.assign(new Error("Connection is closed."), {
    code: "CLIENT_CLOSED",
    remedy: "make another client, or call connect()",
  });
}

/** Rejects with closedError() if the engine was closed before it was ready. */
export function orClosed<T>(ready: Promise<T | undefined>): Promise<T> {
  const opened = ready.then((engine) => {
    if (engine === undefined) throw closedError();
    return engine;
  });
  // The caller that awaits it gets the error.
  opened.catch(() => undefined);
  return opened;
}

/** As closedError(), for a command that a node may have received. */
export function uncertainError(name: string): Error {
  return replyError(
    `UNCERTAIN the client was closed before '${name}' was answered, the command may have been executed`,
  );
}

/** The error for a command that this client does not support. */
export function refusedCommand(name: string, reason: string): ClusterReplyError {
  return replyError(`${OWN_PREFIX}'${name}' is not supported: ${reason}`);
}

/** The error of commands that were buffered too long before the client was ready. */
export function notReadyError(why: Problem | undefined): Error {
  const message = "TWINEDOWN the client has no view of the cluster yet";
  if (why === undefined) return replyError(message);
  return new TwineError({ ...why, code: "TWINEDOWN", message: `${message}: ${why.message}` });
}

/** The problem of a node that has not reported its commands. */
export function silenceProblem(silence: NodeFailure | undefined): Problem | undefined {
  if (silence === undefined) return undefined;
  const { kind, node } = silence;
  const remedy = SILENCE_REMEDIES[kind] ?? "see why the node does not answer";
  return { code: "NODE_SILENT", message: `${node}: ${reasonOf(silence)}`, remedy };
}

const SAME_TLS = "if the node runs, see that both sides speak TLS or neither does";
const SILENCE_REMEDIES: Readonly<Partial<Record<FailureKind, string>>> = {
  login: "give the right password as option password",
  refused: "start the node, or correct its address",
  // A server with the other setting of TLS is silent, closes the connection, or sends malformed data.
  ...{ tls: SAME_TLS, "no-answer": SAME_TLS, closed: SAME_TLS, malformed: SAME_TLS },
};
