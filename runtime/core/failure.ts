// failure.ts: why a request to a node failed, as data. Pure.
// Callers branch on `kind`; only a tool, a page or a log line turns it into a sentence. Only this file interprets the
// error messages of Redis, Node and OpenSSL.
import { errorText } from "./error-text.ts";

export type FailureKind =
  /** The port refused the connection: no process listens there. */
  | "refused"
  /** No reply arrived in time. */
  | "no-answer"
  /** The connection was closed or broke. */
  | "closed"
  /** The node refused these credentials, or this command for this user. */
  | "login"
  /** Only one side uses TLS, or the certificates do not match. */
  | "tls"
  /** The host's name could not be resolved. */
  | "unknown-host"
  /** A status node of another cluster. */
  | "foreign"
  /** This version cannot parse the reply. */
  | "malformed"
  | "other";

/** One node that could not be reached or read. `cause` is the original error. */
export interface NodeFailure {
  readonly kind: FailureKind;
  readonly node: string;
  readonly cause: Error;
}

/** An error with its kind. */
export class FailureError extends Error {
  readonly kind: FailureKind;
  /** The message without the address, for callers that show the node already. */
  readonly reason: string;
  constructor(kind: FailureKind, reason: string, more: { address?: string; cause?: unknown } = {}) {
    const { address, cause } = more;
    super(
      // Node's own errors include the address: `connect ECONNREFUSED 127.0.0.1:6401`.
      address === undefined || reason.includes(address) ? reason : `${address}: ${reason}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = "FailureError";
    this.kind = kind;
    this.reason = reason;
  }
}

/** What went wrong, without the address. */
export function reasonOf({ cause }: NodeFailure): string {
  return cause instanceof FailureError ? cause.reason : cause.message;
}

const KINDS_BY_CODE: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: "refused",
  ETIMEDOUT: "no-answer",
  ECONNRESET: "closed",
  EPIPE: "closed",
  ENOTFOUND: "unknown-host",
  EAI_AGAIN: "unknown-host",
  EPROTO: "tls",
};

/** The kind of a connection error: its own kind, else by its code, else by its message. */
export function failureKindOf(error: unknown): FailureKind {
  if (error instanceof FailureError) return error.kind;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const byCode = KINDS_BY_CODE[code];
  if (byCode !== undefined) return byCode;
  return failureKindOfWords(errorText(error));
}

/** As failureKindOf, for an error text: a Redis error reply, or a message of ioredis or OpenSSL. */
export function failureKindOfWords(words: string): FailureKind {
  if (/\b(NOAUTH|WRONGPASS|NOPERM)\b|without any password/.test(words)) return "login";
  if (/\bECONNREFUSED\b/.test(words)) return "refused";
  if (/\bEPROTO\b|\b(SSL|TLS)\b|certificate/i.test(words)) return "tls";
  if (/timed? ?out|\bETIMEDOUT\b/i.test(words)) return "no-answer";
  if (/\bclosed\b|\bECONNRESET\b/i.test(words)) return "closed";
  if (/\bE(NOTFOUND|AI_AGAIN)\b/.test(words)) return "unknown-host";
  return "other";
}

export function failureOf(node: string, error: unknown): NodeFailure {
  const cause = error instanceof Error ? error : new Error(String(error));
  return { kind: failureKindOf(error), node, cause };
}
