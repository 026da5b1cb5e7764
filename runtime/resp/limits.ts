// limits.ts: limits of what a peer may send, and the error beyond them. Pure.
// The limits are Redis's where Redis has one, so that whatever passes here also passes there: on a malformed request a
// node would close a connection that many clients share.

export interface RequestLimits {
  /** Arguments of one command. */
  readonly arrayLength: number;
  readonly bulkBytes: number;
  /** The length of the whole command; absent: only the arguments are limited. */
  readonly commandBytes?: number;
}

export const REQUEST_LIMITS: RequestLimits = Object.freeze({
  arrayLength: 1_048_576,
  bulkBytes: 512 * 1024 * 1024,
});

/** Redis's limits for a client that has not authenticated yet. */
export const UNAUTHENTICATED_LIMITS: RequestLimits = Object.freeze({
  arrayLength: 10,
  bulkBytes: 16_384,
});

/** Replies may have more elements than a request has arguments, for example KEYS of a large partition. */
export const REPLY_ELEMENTS_MAX = 2 ** 31 - 1;
export const NESTING_MAX = 32;
/** For replies that are passed on without decoding. Scripts may return any depth and any line length, and such a reply
    must not close the connection that other clients share. */
export const PASSED_NESTING_MAX = 2 ** 20;
export const PASSED_LINE_BYTES_MAX = 2 ** 30;
/** An inline command: Redis accepts as much without a newline. */
export const LINE_BYTES_MAX = 64 * 1024;

/** The bytes are not RESP. `message` is Redis's error text without the leading "ERR ". */
export class RespError extends Error {
  constructor(what: string) {
    super(`Protocol error: ${what}`);
    this.name = "RespError";
  }
}
