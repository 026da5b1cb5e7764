// follow-action.ts: the action on one node of a partition that follows another system's master. Pure.
import { addressOf } from "../../../core/cluster.ts";
import type { FollowedMaster, NodeView, PartitionView } from "../../../core/view.ts";
import type { NodeInfo } from "../nodes/info.ts";

export interface FollowStep {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/**
 * The master that the node must be repointed to; undefined: no action.
 * 1. Not before every write to this partition is excluded (phase copying).
 * 2. Not if it already follows that master.
 * 3. Not if it reports master and holds keys: somebody made it master by hand and wrote to it, so a person must decide. But
 *    the master that hands back is repointed: the tool has checked that the old master has all its data.
 */
export function followStep(
  node: Pick<NodeView, "name">,
  info: NodeInfo,
  partition: PartitionView,
  following: FollowedMaster,
): FollowStep | undefined {
  if (following.phase !== "copying" || isFollowingOld(info, following)) return undefined;
  const isHandingBack =
    following.isBack === true &&
    partition.lastMaster === node.name &&
    partition.masterRunId === info.runId;
  if (info.role === "master" && info.keys > 0 && !isHandingBack) return undefined;
  const { host, port } = following;
  return { name: `${host}:${port}`, host: addressOf(host), port };
}

export function isFollowingOld(
  { following }: Pick<NodeInfo, "following">,
  old: Pick<FollowedMaster, "host" | "port">,
): boolean {
  return following?.host === addressOf(old.host) && following.port === old.port;
}
