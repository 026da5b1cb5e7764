// in-sync.ts: decides whether a replica has all data of its master. Pure.
//
//   link up --sample the master's offset--> catching up --reached it, master lists it online--> in sync
//      ^                                        | link down, either restarted
//      +----------------------------------------+
//
// A link that is up proves little: a replica reports it up to a second before the master's stream reaches it. So the
// master's offset is sampled after the link was seen up, and the replica must reach that offset.
import { addressOf } from "../../../core/cluster.ts";
import type { NodeView } from "../../../core/view.ts";
import type { NodeInfo } from "./info.ts";

/** The progress of one replica that is catching up. */
export interface SyncMark {
  /** The run ids of replica and master; a restart of either makes the mark void. */
  readonly runIds: string;
  /** When the INFO that first showed the link up was asked for. */
  readonly linkUpAtMs: number;
  /** The master's offset, sampled after that; null until then. */
  readonly targetOffset: number | null;
}

export type SyncMarks = ReadonlyMap<string, SyncMark>;

interface Asked {
  readonly info: NodeInfo;
  readonly askedAtMs: number;
}

export interface SyncInput {
  readonly wasInSync: boolean;
  readonly replica: Asked & { readonly node: NodeView };
  readonly master: Asked;
  /** The partition's nodes on the same port: includes this node, not the master. */
  readonly namesakes: readonly NodeView[];
  readonly mark: SyncMark | undefined;
}

/**
 * 1. No link, another history, or not listed online by the master: not in sync, start over.
 * 2. It was in sync and nothing changed: still in sync.
 * 3. No mark, or a mark of other processes: record when the link was seen up.
 * 4. No target yet: the first offset of the master that was asked for after that.
 * 5. In sync when the target is reached.
 */
export function judgeSync(input: SyncInput): { isInSync: boolean; mark: SyncMark | undefined } {
  const { replica, master } = input;
  if (!replica.info.isLinkUp || replica.info.replicationId !== master.info.replicationId) {
    return { isInSync: false, mark: undefined };
  }
  if (!isListedOnline(input)) return { isInSync: false, mark: input.mark };
  if (input.wasInSync) return { isInSync: true, mark: undefined };
  const runIds = `${replica.info.runId} ${master.info.runId}`;
  const mark =
    input.mark?.runIds === runIds
      ? input.mark
      : { runIds, linkUpAtMs: replica.askedAtMs, targetOffset: null };
  const isSampledLater = master.askedAtMs > mark.linkUpAtMs;
  const targetOffset = mark.targetOffset ?? (isSampledLater ? master.info.offset : null);
  if (targetOffset !== null && replica.info.offset >= targetOffset) {
    return { isInSync: true, mark: undefined };
  }
  return { isInSync: false, mark: { ...mark, targetOffset } };
}

/**
 * The master lists its replicas by the addresses that it sees; behind a bridge these are not the addresses of twine.conf.
 * So the port decides if it is unambiguous, and the address if it matches. Otherwise as many replicas must be online on
 * that port as the partition has nodes there.
 */
function isListedOnline(input: SyncInput): boolean {
  const { node } = input.replica;
  const onPort = input.master.info.replicas.filter(
    (listed) => listed.port === node.port && listed.isOnline,
  );
  if (input.namesakes.length <= 1) return onPort.length > 0;
  if (onPort.some(({ ip }) => ip === addressOf(node.host))) return true;
  return onPort.length >= input.namesakes.length;
}
