// scan-cursor.ts: one SCAN cursor over all partitions. Pure.
//
//   cursor = (node's cursor * TAGS + tag of the master) * partitions + partition
//
// A node's cursor means something only to the redis-server that gave it: its hash tables are seeded anew in every
// process, and a replica's differ from its master's. The tag says whose cursor it is; when another master is there,
// its partition is scanned from its beginning, which may show a key twice, as SCAN may, but leaves none out.
// Small numbers stay small, because some clients keep cursors as doubles, exact up to 2^53.

const TAGS = 65_536n;
const CURSOR_MAX = 2n ** 64n;

export interface ScanPosition {
  readonly partition: number;
  /** Of the master that gave `nodeCursor`; see tagOf. */
  readonly tag: number;
  /** "0" at a partition's beginning. */
  readonly nodeCursor: string;
}

/** Undefined when the text is no cursor. */
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

/** The cursor of HSCAN, SSCAN or ZSCAN: one of SCAN where there is one partition, the key's. The small containers that
    Redis gives whole have no cursor but 0, and keep it. Undefined when the text is no cursor. */
export function parseKeyCursor(text: string): ScanPosition | undefined {
  return parseCursor(text, 1);
}

export function printKeyCursor(position: ScanPosition): string {
  return position.nodeCursor === "0" ? "0" : printCursor({ ...position, partition: 0 }, 1);
}

/** What follows the node's answer: further in the same partition, the beginning of the next, or "0", the end. */
export function cursorAfter(position: ScanPosition, partitions: number): string {
  if (position.nodeCursor !== "0") return printCursor(position, partitions);
  const partition = position.partition + 1;
  if (partition >= partitions) return "0";
  return printCursor({ partition, tag: 0, nodeCursor: "0" }, partitions);
}

/** A number below TAGS for a master's incarnation: its name, its process, and since when it is master. FNV-1a. */
export function tagOf(incarnation: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(incarnation)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return (hash ^ (hash >>> 16)) & 0xffff;
}
