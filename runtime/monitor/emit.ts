// emit.ts: the one place where a monitor names what happened. docs/EVENTS.md lists the same names; a test compares.
// `+x` begins or happens, `-x` ends. The names are a promise to whoever greps the log.
import type { Log, LogFields } from "../ports/log.ts";

export const EVENTS = {
  "+start": "this monitor runs and answers on its HTTP port",
  "+stop": "this monitor was told to stop, and has",
  "+sentinel-port": "this monitor speaks Sentinel's protocol on its second port",
  "+alpha": "this monitor leads from this epoch on",
  "-alpha": "this monitor no longer leads; `why` says what ended it",
  "+view": "a changed view was chosen",
  "+state": "the cluster's state changed",
  "+promote": "the view names the node that is about to become master of the partition",
  "+master": "the view names this master of the partition: it serves",
  "-master": "the partition's master no longer serves",
  "+failover": "the partition's master was lost and another one is looked for",
  "-failover": "the partition has a master again after a failover",
  "+handover": "a planned change of the partition's master begins",
  "-handover": "it is over; `isDone` says whether `to` takes over or it was taken back",
  "+halt": "the partition has no master and `needs` says what it waits for",
  "+needs": "the partition in HALT waits for something else than before",
  "-halt": "the partition needs nothing any more",
  "+down": "the node is dead in the view",
  "-down": "the node is back in the view",
  "+sync": "the replica holds what its master holds",
  "-sync": "the replica is behind its master, or cut off from it",
  "+suspect": "this monitor gets no answer from the data node",
  "-suspect": "this monitor gets answers from the data node again",
  "+cut-off": "most data nodes are silent to this alpha: it suspects itself and changes nothing",
  "-cut-off": "data nodes answer this alpha again",
  "+repoint": "the node was told to follow the partition's master",
  "+detach":
    "the node was made a replica of nowhere: a lost master's replica, or one that called itself master",
  "+pause": "writes on the node were paused for `forMs` at most",
  "-pause": "the node's writes go on, for the handover that paused them is over",
  "+step-down": "the node was made a replica of nowhere and its pause was ended",
  "+rescue": "all that a rogue master holds was saved to `place`",
  "-rescue":
    "what a rogue master holds could not be saved, so it keeps it; `why` says what stood against it",
  "+told": "the node was told to become master",
  "+fence": "connections of an earlier alpha to this node were closed",
  "-act": "an action on a node failed and will be tried again; `why` is what the node said",
  "+read": "this monitor has read twine.conf again (SIGHUP)",
  "+conf": "a changed twine.conf was adopted by the cluster",
  "-conf":
    "a changed twine.conf waits for other monitors, was refused, or can't be used: `waits`, `retiring` or `refused` is true, `why` says more",
  "+node": "twine.conf has a new node",
  "-node": "a node left twine.conf",
  "+answer": "a tool's request was answered",
  "-member":
    "this monitor keeps out of the cluster: it is another one's, or the second of its name; `why` says which",
  "+member": "this monitor takes part in the cluster again",
  "-register": "no majority of the status nodes answers; `reasons` names them",
  "+register": "a majority of the status nodes answers again",
  "-task":
    "something that this monitor does in the background failed and will be tried again; the same trouble again is not told",
  "-tick": "a round of this monitor's loop failed: a mistake in Twine, please report it",
  "+alert": "a mail about incidents was taken by the SMTP server",
  "-alert": "a mail could not be sent and will be tried again; `why` says what to do",
} as const;

export type EventName = keyof typeof EVENTS;

export type Emit = (event: EventName, fields?: LogFields) => void;

const WARNINGS: ReadonlySet<EventName> = new Set([
  "-master",
  "+failover",
  "+halt",
  "+down",
  "-alpha",
  "+cut-off",
  "-act",
  "+rescue",
  "-rescue",
  "-conf",
  "-register",
  "-task",
  "-alert",
]);

/** What nobody but a person can mend. */
const ERRORS: ReadonlySet<EventName> = new Set(["-member", "-tick"]);

/**
 * Writes events to the log, what calls for a look as warnings or errors and the rest as information, and hands each to `publish`,
 * for whoever listens on the status nodes.
 */
export function createEmit(
  log: Log,
  publish: (event: EventName, fields: LogFields) => void = () => undefined,
): Emit {
  return (event, fields = {}) => {
    if (ERRORS.has(event)) log.error(event, fields);
    else if (WARNINGS.has(event)) log.warn(event, fields);
    else log.info(event, fields);
    publish(event, fields);
  };
}
