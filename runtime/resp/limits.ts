// limits.ts: what a peer may send before it is told off, and the error that tells it. Pure.
// The figures are Redis's own where it has one, so that whatever passes here also passes there: a backend that met
// a malformed request would close a connection that many clients share.

export interface RequestLimits {
  /** Arguments of one command. */
  readonly arrayLength: number;
  readonly bulkBytes: number;
  /** Of the whole command; absent: no more than its arguments. */
  readonly commandBytes?: number;
}

export const REQUEST_LIMITS: RequestLimits = Object.freeze({
  arrayLength: 1_048_576,
  bulkBytes: 512 * 1024 * 1024,
});

/** Redis allows this much to a client that has yet to show its password. */
export const UNAUTHENTICATED_LIMITS: RequestLimits = Object.freeze({
  arrayLength: 10,
  bulkBytes: 16_384,
});

/** Replies may hold more elements than a request has arguments: KEYS of a large partition. */
export const REPLY_ELEMENTS_MAX = 2 ** 31 - 1;
export const NESTING_MAX = 32;
/** An inline command, a status or an error: as much as Redis takes without a line's end. */
export const LINE_BYTES_MAX = 64 * 1024;

/** The bytes are not RESP. `message` is what Redis would say, without the leading "ERR ". */
export class RespError extends Error {
  constructor(what: string) {
    super(`Protocol error: ${what}`);
    this.name = "RespError";
  }
}
