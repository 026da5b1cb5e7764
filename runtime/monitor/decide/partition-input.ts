// partition-input.ts: what the choice of one partition's master is made from. Pure.
import type { NodeView, PartitionView } from "../../core/view.ts";
import type { LastSeen } from "./observations.ts";
import type { Standing } from "./standing.ts";

export interface PartitionInput {
  readonly partition: PartitionView;
  /** Its data nodes as the present view has them, first to last. */
  readonly nodes: readonly NodeView[];
  readonly standings: ReadonlyMap<string, Standing>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  /** How long this alpha has led. */
  readonly ledForMs: number;
  readonly downAfterMs: number;
  /** The node that an operator asked to be master whatever the others held. */
  readonly acceptLossOf: string | undefined;
}
