// sim-rescuer.ts: production's Rescuer over simulated data nodes: takes a copy as a replica that comes, copies and goes.
// What it saved the checkers are told. The way to the node is not simulated: a rescue that a cut breaks leaves the node to
// a person, and nothing would become whole again.
import type { Rescuer } from "../../runtime/replication/rescue.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { DataNode } from "./data-node.ts";

export interface SimRescuerOptions {
  readonly clock: Clock;
  readonly nodeAt: (port: number) => DataNode | undefined;
  /** How long the copy takes. */
  readonly syncMs: () => number;
  readonly onSaved: (writes: readonly number[]) => void;
}

export function simRescuer({ clock, nodeAt, syncMs, onSaved }: SimRescuerOptions): Rescuer {
  return {
    save: async ({ node: name, port, epoch, revision }) => {
      const node = nodeAt(port);
      if (node?.process.isUp !== true || !node.replication.isMaster) {
        throw new Error(`${name} serves no replica`);
      }
      const { replication, process } = node;
      const { life } = process;
      if (!replication.history.hasBacklog) replication.history.renew();
      const { writes, count, replicationId, offset } = replication.snapshot();
      const saved = writes.slice(0, count);
      await clock.delay(syncMs());
      if (!process.isAlive(life)) throw new Error(`${name} ended`);
      onSaved(saved);
      return { path: `${name}-${epoch}-${revision}.rdb`, upTo: { replicationId, offset } };
    },
  };
}
