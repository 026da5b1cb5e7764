// in-sync.ts: whether a replica holds what its master holds. Pure.
//
//   link up --sample the master's offset--> catching up --reached it, master lists it online--> in sync
//      ^                                        | link down, either restarted
//      +----------------------------------------+
//
// A link that is up proves little: the replica says so up to a second before the master's stream reaches it. So an
// offset is sampled at the master after the link was seen up, and the replica must reach that one.
import { addressOf } from "../../core/cluster.ts";
import type { NodeView } from "../../core/view.ts";
import type { NodeInfo } from "./info.ts";

/** One replica's way into sync. */
export interface SyncMark {
  /** Whose link it is; a restart of either makes the mark void. */
  readonly runIds: string;
  /** When the INFO was asked for that first showed the link up. */
  readonly linkUpAtMs: number;
  /** The master's offset sampled later than that; null until then. */
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
  /** The partition's nodes on the same port, this one included and the master not. */
  readonly namesakes: readonly NodeView[];
  readonly mark: SyncMark | undefined;
}

/**
 * 1. No link, another history, or not listed online by the master: not in sync, start over.
 * 2. It was in sync and nothing broke: still.
 * 3. No mark, or a mark of other processes: remember when the link was seen up.
 * 4. No target yet: the first offset that was asked of the master after that.
 * 5. In sync once the target is reached.
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
 * The master knows its replicas by address only, and by the one that it sees: behind a bridge that is not the one of
 * twine.conf. So the port decides where it is unambiguous, the address where it matches, and otherwise as many must be
 * online on that port as there are nodes of the partition.
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
