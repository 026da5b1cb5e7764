// emit.ts: the only place where a monitor emits events. docs/EVENTS.md lists the same names; a test compares them.
// `+x`: x begins or happens; `-x`: it ends. Programs that search the log rely on the names.
import type { Log, LogFields } from "../ports/log.ts";

export const EVENTS = {
  "+start": "this monitor runs and answers on its HTTP port",
  "+stop": "this monitor has stopped after SIGTERM or SIGINT",
  "+sentinel-port": "this monitor speaks Sentinel's protocol on its second port",
  "+alpha": "this monitor leads from this epoch on",
  "-alpha": "this monitor no longer leads; `why` says what ended it",
  "+view": "a changed view was chosen",
  "+state": "the cluster's state changed",
  "+promote":
    "the view names the node that is about to become master of the partition; not in a handover",
  "+master": "the view names this master of the partition: it serves",
  "-master": "the partition's master no longer serves",
  "+failover": "the partition's master was lost; a new one is chosen",
  "-failover": "the partition has a master again after a failover",
  "+handover": "a planned change of the partition's master begins",
  "-handover": "it has ended; `isDone` says whether `to` became master; otherwise it was cancelled",
  "+follow": "the partition's nodes are to copy another system's master",
  "-follow": "the partition no longer follows another system's master",
  "+halt": "the partition has no master and `needs` says what it waits for",
  "+needs": "the partition in HALT waits for something else than before",
  "-halt": "the partition needs nothing any more",
  "+down": "the node is dead in the view",
  "-down": "the node is back in the view",
  "+trouble": "something is wrong with the data node beside its role; `why` says what",
  "-trouble": "that has ended",
  "+script-kill":
    "a script that kept the data node from serving for 3/4 of down-after was ended (SCRIPT KILL or FUNCTION KILL)",
  "+sync": "the replica holds what its master holds",
  "-sync": "the replica is behind its master, or cut off from it",
  "+suspect": "this monitor gets no answer from the data node",
  "-suspect": "this monitor gets answers from the data node again",
  "+cut-off":
    "most data nodes are silent to this alpha: it may be cut off itself and changes nothing for now",
  "-cut-off": "data nodes answer this alpha again",
  "+repoint": "REPLICAOF was sent: the node follows the partition's master",
  "+detach":
    "the node was made a replica of nowhere: a lost master's replica, or one that called itself master",
  "+pause": "writes on the node were paused for `forMs` at most",
  "-pause": "the pause of the node's writes was ended",
  "+cut":
    "the writes of all masters stood still for `pausedMs` at most, and every partition's offset was sampled",
  "-cut": "a cut is void and every master's writes go on; `why` says what came between",
  "+step-down": "the node was made a replica of nowhere and its pause was ended",
  "+rescue": "all data of a rogue master was saved to `place`",
  "-rescue": "the data of a rogue master could not be saved, so the node keeps it; `why` says why",
  "+promoted": "REPLICAOF NO ONE was sent: the node becomes master",
  "+fence": "connections of an earlier alpha to this node were closed",
  "-act": "an action on a node failed and will be tried again; `why` is what the node said",
  "+read": "this monitor has read twine.conf again (SIGHUP)",
  "+conf": "a changed twine.conf was adopted by the cluster",
  "-conf":
    "a changed twine.conf waits for other monitors, was refused, can't be used, or is not the adopted one: `waits`, `retiring`, `refused` or `differs` is true, `why` says more",
  "+rotation":
    "the password is being rotated; `phase` says how far, `without` names the hosts that do not accept the new one yet",
  "-rotation": "no rotation of the password is under way any more",
  "+node": "twine.conf has a new node",
  "-node": "a node left twine.conf",
  "+answer": "a tool's request was answered",
  "-member":
    "this monitor does not take part in the cluster: it belongs to another cluster, or another monitor has its name; `why` says which",
  "+member": "this monitor takes part in the cluster again",
  "-register": "no majority of the status nodes answers; `reasons` names them",
  "+register": "a majority of the status nodes answers again",
  "-entry":
    "an entry on a status node could not be read and was removed; `node`, `hash` and `field` say which, `why` what was wrong",
  "+backup": "a backup that was due was taken; `result` is what twine-backup printed",
  "+rehearsal":
    "a backup was restored into a scratch cluster and found good; `result` is what twine-backup printed",
  "-rehearsal": "a rehearsal of a backup failed and will be tried again; `why` says more",
  "-backup": "a backup that was due failed and will be tried again; `why` says more",
  "+archive": "this monitor began to record every write (backup-archive)",
  "-archive": "the recording ended by itself, and begins again after a rest; `why` says more",
  "-task":
    "something that this monitor does in the background failed and will be tried again; the same error again is not logged",
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
  "+trouble",
  "+script-kill",
  "-alpha",
  "+cut-off",
  "-act",
  "+rescue",
  "-rescue",
  "-conf",
  "-register",
  "-entry",
  "-task",
  "-alert",
]);

/** Only an operator can repair these. */
const ERRORS: ReadonlySet<EventName> = new Set(["-member", "-tick"]);

/**
 * Writes events to the log as errors, warnings or information, and gives each to `publish`, for programs that subscribe on
 * the status nodes.
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
