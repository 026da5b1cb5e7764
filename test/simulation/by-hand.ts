// by-hand.ts: what somebody wrote to data nodes that he made master by hand: each such write must be in a file.
import type { DataNode, DataNodeWatch } from "./data-node.ts";

/** The name of his process and of his connections. */
export const OPERATOR = "operator";

export class ByHand {
  readonly #taken: { readonly node: string; readonly write: number }[] = [];
  readonly #saved = new Set<number>();

  /** A node that was not the view's master has answered OK. */
  took({ name: node }: DataNode, writes: readonly number[]): void {
    this.#taken.push(...writes.map((write) => ({ node, write })));
  }

  readonly saved = (writes: readonly number[]): void => {
    for (const write of writes) this.#saved.add(write);
  };

  /** Once the world is at rest: what is in no file and no node has any more. */
  missing(dataNodes: readonly DataNode[]): string[] {
    const held = new Set(dataNodes.flatMap(({ replication }) => replication.writes));
    return this.#taken
      .filter(({ write }) => !this.#saved.has(write) && !held.has(write))
      .map(({ node, write }) => `write ${write}, made by hand on ${node}, is in no rescue`);
  }
}

/** What befalls another system's nodes is no concern of the checkers. */
export const SILENT: DataNodeWatch = {
  replicaOf: () => undefined,
  wrote: () => undefined,
  listed: () => undefined,
  lostData: () => undefined,
};
