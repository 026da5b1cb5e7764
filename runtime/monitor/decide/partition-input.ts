// partition-input.ts: what the choice of one partition's master is made from. Pure.
import type { NodeView, PartitionView } from "../../core/view.ts";
import type { LastSeen } from "./observations.ts";
import type { FenceTimes, Rules } from "./rules.ts";
import type { Standing } from "./standing.ts";

export interface PartitionInput extends FenceTimes {
  readonly partition: PartitionView;
  /** Its data nodes as the present view has them, first to last. */
  readonly nodes: readonly NodeView[];
  readonly standings: ReadonlyMap<string, Standing>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  /** How long this alpha has led. */
  readonly ledForMs: number;
  /** Nodes that answer, but were asked before the last action on them was done, or may still get one of an earlier
      alpha: what they said proves nothing about a partition without a master. */
  readonly unsettled: ReadonlySet<string>;
  /** The node that an operator asked to be master whatever the others held. */
  readonly acceptLossOf: string | undefined;
  readonly rules: Rules;
}
