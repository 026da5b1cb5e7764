// register-keys.ts: what Twine keeps on every status node, in the db of that node's line. Pure.
// All are prefixed with the cluster's name but the stamp, which says whose status node this is.

export const STAMP_KEY = "twine:stamp";

export interface RegisterKeys {
  /** String: the view as JSON. */
  readonly view: string;
  /** Hash: promised and accepted ballots, heartbeat, epoch, revision. */
  readonly register: string;
  /** Hash, monitor name -> "SEQUENCE JSON": what each monitor sees of each node (register/notice-board.ts). */
  readonly observed: string;
  /** Hash, request id -> JSON (core/request.ts): asked by tools, answered in place by the alpha. */
  readonly request: string;
  /** Hash, data node name -> "SEQUENCE JSON" of {replicationId, offset, keys}: last seen, once a second. */
  readonly offsets: string;
  /** Hash with the one field "book", "SEQUENCE JSON": what the alpha has mailed (alert/record.ts). */
  readonly mailed: string;
  /** Channel: "EPOCH REVISION" at every accepted change of the view. */
  readonly channel: string;
  /** Channel: every event of every monitor, JSON {monitor, event, at, ...} (docs/EVENTS.md). */
  readonly events: string;
}

export function registerKeys(cluster: string): RegisterKeys {
  return {
    view: `${cluster}:view`,
    register: `${cluster}:register`,
    observed: `${cluster}:observed`,
    request: `${cluster}:request`,
    offsets: `${cluster}:offsets`,
    mailed: `${cluster}:mailed`,
    channel: `${cluster}:view`,
    events: `${cluster}:events`,
  };
}
