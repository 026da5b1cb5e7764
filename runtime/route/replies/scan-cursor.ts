// scan-cursor.ts: one SCAN cursor over all partitions. Pure.
//
//   cursor = (node's cursor * TAGS + tag of the master) * partitions + partition
//
// A node's cursor is valid only for the redis-server that returned it: every process seeds its hash tables anew, and a
// replica's differ from its master's. The tag identifies that master. After a change of master, the scan of its partition
// restarts, which may return a key twice, as SCAN allows, but omits none.
// Small numbers stay small, because some clients store cursors as doubles, exact up to 2^53.

const TAGS = 65_536n;
const CURSOR_MAX = 2n ** 64n;

export interface ScanPosition {
  readonly partition: number;
  /** The tag of the master that returned `nodeCursor`; see tagOf. */
  readonly tag: number;
  /** "0" at the beginning of a partition. */
  readonly nodeCursor: string;
}

/** undefined if the text is not a cursor. */
export function parseCursor(text: string, partitions: number): ScanPosition | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const cursor = BigInt(text);
  if (cursor >= CURSOR_MAX) return undefined;
  const count = BigInt(partitions);
  const rest = cursor / count;
  return {
    partition: Number(cursor % count),
    tag: Number(rest % TAGS),
    nodeCursor: String(rest / TAGS),
  };
}

export function printCursor(position: ScanPosition, partitions: number): string {
  const node = BigInt(position.nodeCursor) * TAGS + BigInt(position.tag);
  return String(node * BigInt(partitions) + BigInt(position.partition));
}

/** Parses the cursor of HSCAN, SSCAN or ZSCAN: it has the form of SCAN's cursor in a cluster of one partition. Small
    containers, which Redis returns whole, only have the cursor 0. undefined if the text is not a cursor. */
export function parseKeyCursor(text: string): ScanPosition | undefined {
  return parseCursor(text, 1);
}

export function printKeyCursor(position: ScanPosition): string {
  return position.nodeCursor === "0" ? "0" : printCursor({ ...position, partition: 0 }, 1);
}

/** The next cursor: further in the same partition, or the beginning of the next one, or "0" at the end. `layout` as from
    layoutTagOf. */
export function cursorAfter(position: ScanPosition, partitions: number, layout = 0): string {
  if (position.nodeCursor !== "0") return printCursor(position, partitions);
  const partition = position.partition + 1;
  if (partition >= partitions) return "0";
  return printCursor({ partition, tag: layout, nodeCursor: "0" }, partitions);
}

/** The beginning of everything. */
export const SCAN_START: ScanPosition = { partition: 0, tag: 0, nodeCursor: "0" };

/**
 * The tag of the present partitions: in the cursor at the beginning of a partition. 0 until a cluster is resharded. After it
 * a cursor from before means nothing, because its keys are spread over other partitions.
 */
export function layoutTagOf(resharded: { readonly at: string } | undefined): number {
  return resharded === undefined ? 0 : tagOf(`resharded ${resharded.at}`) || 1;
}

/** Whether a cursor may be from before a resharding, so that the scan must begin anew. `masterTag` of its partition. */
export function isOfOtherLayout(
  { partition, tag, nodeCursor }: ScanPosition,
  layout: number,
  masterTag: number,
): boolean {
  if (layout === 0 || (partition === 0 && tag === 0 && nodeCursor === "0")) return false;
  return tag !== (nodeCursor === "0" ? layout : masterTag);
}

/** A number below TAGS that identifies a master: its name, its process, and since when it is master. FNV-1a. */
export function tagOf(incarnation: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(incarnation)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return (hash ^ (hash >>> 16)) & 0xffff;
}
