// register-keys.ts: the keys and channels of Twine on every status node, in the db of the node's line. Pure.
// All names start with the cluster's name, except the stamp, which holds that name.

export const STAMP_KEY = "twine:stamp";

export interface RegisterKeys {
  /** String: the view as JSON. */
  readonly view: string;
  /** String: the adopted twine.conf, canonical print; its SHA-256 is the view's confDigest. */
  readonly conf: string;
  /** Hash: promised and accepted ballots, heartbeat, epoch, revision. */
  readonly register: string;
  /** Hash, monitor name -> "SEQUENCE JSON": each monitor's observations of each node (register/shared-hashes.ts). */
  readonly observed: string;
  /** Hash, request id -> JSON (core/request.ts): written by tools; the alpha replaces the entry with its answer. */
  readonly request: string;
  /** Hash, data node name -> "SEQUENCE JSON" of {replicationId, offset, keys}: last seen, updated once a second. */
  readonly offsets: string;
  /** Hash with one field "book", "SEQUENCE JSON": the mails that the alpha has sent (alert/record.ts). */
  readonly mailed: string;
  /** Prefix of the keys that order rolling changes of several hosts: NAME of a lock, host-HOST of a presence. They expire
      by themselves (infra/local/apply/turns.ts). */
  readonly apply: string;
  /** Hash, host -> "SEQUENCE JSON": the host's progress in a rotation of the password (core/rotation.ts). */
  readonly rotation: string;
  /** Channel: "EPOCH REVISION" for every accepted change of the view. */
  readonly channel: string;
  /** Channel: something in `request` has changed. Only speeds things up: whoever waits for a change also reads at intervals. */
  readonly requests: string;
  /** Channel: every event of every monitor, JSON {monitor, event, at, ...} (docs/EVENTS.md). */
  readonly events: string;
}

export function registerKeys(cluster: string): RegisterKeys {
  return {
    view: `${cluster}:view`,
    conf: `${cluster}:conf`,
    register: `${cluster}:register`,
    observed: `${cluster}:observed`,
    request: `${cluster}:request`,
    offsets: `${cluster}:offsets`,
    mailed: `${cluster}:mailed`,
    apply: `${cluster}:apply:`,
    rotation: `${cluster}:rotation`,
    channel: `${cluster}:view`,
    requests: `${cluster}:requests`,
    events: `${cluster}:events`,
  };
}
