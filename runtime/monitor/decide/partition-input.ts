// partition-input.ts: the input for choosing one partition's master. Pure.
import type { NodeView, PartitionView } from "../../core/view.ts";
import type { LastSeen, NodeObservation } from "./nodes/observations.ts";
import type { FenceTimes, Rules } from "./rules.ts";
import type { NodeHealth } from "./nodes/node-health.ts";

export interface PartitionInput extends FenceTimes {
  readonly partition: PartitionView;
  /** Its data nodes in the present view, first to last. */
  readonly nodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  /** How long this alpha has been alpha. */
  readonly ledForMs: number;
  /** Nodes that answer, but whose INFO is older than the last action on them, or that an earlier alpha's action may still
      reach: their INFO proves nothing about a partition without a master. */
  readonly stale: ReadonlySet<string>;
  /** The node that an operator requested as master, without regard to the data of the others. */
  readonly acceptLossOf: string | undefined;
  /** Every data node of the view; a node that follows none of them follows a foreign master. */
  readonly dataNodes: readonly NodeView[];
  readonly observations: ReadonlyMap<string, NodeObservation>;
  readonly rules: Rules;
}
