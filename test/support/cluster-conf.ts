// cluster-conf.ts: the twine.conf of a test's cluster, from how many nodes of each kind it has. Ports are placeholders,
// {NAME}, which the launcher (cluster-folder.ts) replaces by free ones.

export interface ClusterShape {
  readonly partitions: number;
  readonly nodesPerPartition: number;
  readonly statusNodes: number;
  readonly monitors: number;
  readonly routers: number;
  /** Partition P's nodes use database P, so that a wrong or missing SELECT shows; otherwise all use database 0. */
  readonly ownDatabases: boolean;
  /** Every monitor has a port for Sentinel's protocol, {NAME-2}; every router one for statistics, {NAME-2}. */
  readonly secondPorts: boolean;
  /** The name of a data node; `number` counts from 1 in each partition. */
  readonly nameOf: (partition: number, number: number) => string;
  /** Further lines of twine.conf. */
  readonly lines: readonly string[];
}

const DEFAULT_SHAPE: ClusterShape = {
  partitions: 1,
  nodesPerPartition: 1,
  statusNodes: 1,
  monitors: 1,
  routers: 0,
  ownDatabases: false,
  secondPorts: false,
  nameOf: (partition, number) => `p${partition}-${number}`,
  lines: [],
};

/** a1, a2 ... of partition 0, b1, b2 ... of partition 1. */
export const byLetter: ClusterShape["nameOf"] = (partition, number) =>
  `${String.fromCharCode(97 + partition)}${number}`;

export function clusterConf(more: Partial<ClusterShape>): string {
  const shape = { ...DEFAULT_SHAPE, ...more };
  const { nameOf, ownDatabases, secondPorts } = shape;
  const second = (name: string): string => (secondPorts ? ` {${name}-2}` : "");
  const data = numbered(shape.partitions, (at) =>
    numbered(shape.nodesPerPartition, (number) => {
      const name = nameOf(at - 1, number);
      return `${name}=data ${at - 1} localhost {${name}} ${ownDatabases ? at - 1 : 0}`;
    }),
  );
  return [
    ...data.flat(),
    ...numbered(shape.statusNodes, (number) => `s${number}=status localhost {s${number}} 0`),
    ...numbered(
      shape.monitors,
      (number) => `m${number}=monitor localhost {m${number}}${second(`m${number}`)}`,
    ),
    ...numbered(
      shape.routers,
      (number) => `r${number}=router localhost {r${number}}${second(`r${number}`)}`,
    ),
    ...shape.lines,
    "",
  ].join("\n");
}

function numbered<T>(count: number, of: (number: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => of(index + 1));
}
