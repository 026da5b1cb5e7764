// cluster-nodes.ts: reads the answer of CLUSTER NODES. Pure.
//
//   ID 127.0.0.1:7000@17000 myself,master - 0 1426238317239 4 connected 0-5460 5462
//
// https://redis.io/docs/latest/commands/cluster-nodes/

export interface ClusterLine {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** The id of its master, or "-". */
  readonly master: string;
  readonly epoch: number;
  readonly isConnected: boolean;
  /** Ranges of slots, both ends included. */
  readonly slots: readonly (readonly [number, number])[];
}

export function parseClusterNodes(text: string): ClusterLine[] {
  return text.split("\n").flatMap((line) => {
    const [id, address, flags, master, , , epoch, link, ...ranges] = line.trim().split(" ");
    if (id === undefined || address === undefined || link === undefined) return [];
    return [
      {
        id,
        port: Number(/:(\d+)/.exec(address)?.[1]),
        flags: (flags ?? "").split(","),
        master: master ?? "-",
        epoch: Number(epoch),
        isConnected: link === "connected",
        slots: ranges.flatMap(slotRange),
      },
    ];
  });
}

/** Slots on their way to another node stand in brackets; nothing moves here. */
function slotRange(text: string): (readonly [number, number])[] {
  const found = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (found === null) return [];
  const from = Number(found[1]);
  return [[from, found[2] === undefined ? from : Number(found[2])]];
}

/** Who owns `slot` in this node's eyes. */
export function masterOfSlot(text: string, slot: number): ClusterLine | undefined {
  return parseClusterNodes(text).find(({ slots }) =>
    slots.some(([from, to]) => from <= slot && slot <= to),
  );
}
