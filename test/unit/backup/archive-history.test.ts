// archive-history.test.ts: whatever happens to masters, archivers and targets, what is read of an archive is what was written.
import fc from "fast-check";
import { expect, test } from "vitest";
import { printBlock } from "../../../runtime/backup/archive/archive-block.ts";
import { endOf, readArchiveIndex } from "../../../runtime/backup/archive/archive-index.ts";
import { headName, segmentName } from "../../../runtime/backup/archive/archive-names.ts";
import { pathTo, unneededFiles, type Base } from "../../../runtime/backup/archive/archive-path.ts";
import { BlockBox, type BoxOutput } from "../../../runtime/backup/archive/block-box.ts";
import { readLegs } from "../../../runtime/backup/archive/read-legs.ts";
import { printRunHead, RUN_FORMAT } from "../../../runtime/backup/archive/run-head.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

/** One partition: its history by id, and where the master is. */
class Partition {
  readonly histories = new Map<string, Buffer>();
  readonly name: string;
  id: string;
  #count = 0;
  #boundaries = [0];

  constructor(name: string) {
    this.name = name;
    this.id = this.#newId();
    this.histories.set(this.id, Buffer.alloc(0));
  }

  get bytes(): Buffer {
    return this.histories.get(this.id) ?? Buffer.alloc(0);
  }

  write(): void {
    const command = encodeCommand([
      "SET",
      `${this.name}:${this.#count++}`,
      "x".repeat(this.#count % 17),
    ]);
    this.histories.set(this.id, Buffer.concat([this.bytes, command]));
    this.#boundaries.push(this.bytes.length);
  }

  /** So many commands at the end are lost: a replica passes on whole ones. */
  failover(lost: number): void {
    const kept = this.bytes.subarray(0, this.#boundaries.at(-1 - lost) ?? 0);
    this.#boundaries = this.#boundaries.filter((at) => at <= kept.length);
    this.id = this.#newId();
    this.histories.set(this.id, kept);
  }

  #newId(): string {
    return `${this.name}${this.histories.size}`.padEnd(40, "0");
  }
}

class World {
  readonly files = new Map<string, Buffer>();
  readonly partitions = [new Partition("p"), new Partition("q")];
  readonly bases: { base: Base; partition: number; segment: number }[] = [];
  readonly read: { id: string; offset: number }[];
  /** Grows with each gap: no path leads from one to the next. */
  readonly segments = [0, 0];
  nowMs = Date.parse("2026-12-01T00:00:00Z");
  #runs = 0;
  box: BlockBox;

  constructor() {
    this.read = this.partitions.map(({ id, bytes }) => ({ id, offset: bytes.length }));
    this.box = this.#newBox();
    for (const [at] of this.partitions.entries()) this.#history(at, undefined);
    this.box.begin([], "begins");
  }

  store = {
    list: () => Promise.resolve([...this.files.keys()]),
    read: (name: string) => this.#chunks(name),
  };

  async *#chunks(name: string): AsyncGenerator<Buffer> {
    await Promise.resolve();
    yield this.files.get(name) ?? Buffer.alloc(0);
  }

  #newBox(): BlockBox {
    return new BlockBox({
      partitions: this.partitions.length,
      head: { format: RUN_FORMAT, cluster: "c", twineVersion: "1", compression: "none" },
      wallMs: () => (this.nowMs += 100),
      newSuffix: () => (this.#runs++).toString(16).padStart(6, "0"),
      onOutput: (output) => {
        this.#keep(output);
      },
    });
  }

  #keep(output: BoxOutput): void {
    if (output.kind === "head") {
      this.files.set(headName(output.head.run), Buffer.from(printRunHead(output.head)));
      return;
    }
    const { run, header, chunks } = output;
    const { block, atMs } = header;
    const name = segmentName({ run, first: block, last: block, firstMs: atMs, lastMs: atMs });
    this.files.set(name, printBlock(header, chunks));
  }

  #history(at: number, before: string | undefined): void {
    const mark = this.read[at];
    if (mark === undefined) return;
    this.box.history(at, { replicationId: mark.id, offset: mark.offset }, before, "why");
  }

  /** What the reader does at its node: the next bytes, or the other history first. */
  record(at: number, bytes: number): void {
    const [partition, mark] = [this.partitions[at], this.read[at]];
    if (partition === undefined || mark === undefined) return;
    if (mark.id !== partition.id) {
      const before = mark.id;
      const known = partition.bytes.length;
      const common = commonLength(
        partition.histories.get(mark.id),
        partition.histories.get(partition.id),
      );
      Object.assign(mark, { id: partition.id, offset: Math.min(mark.offset, common, known) });
      this.#history(at, before);
    }
    const chunk = partition.bytes.subarray(mark.offset, mark.offset + bytes);
    if (chunk.length === 0) return;
    mark.offset += chunk.length;
    this.box.add(at, chunk);
  }

  gap(at: number): void {
    const [partition, mark] = [this.partitions[at], this.read[at]];
    if (partition === undefined || mark === undefined) return;
    Object.assign(mark, { id: partition.id, offset: partition.bytes.length });
    this.segments[at] = (this.segments[at] ?? 0) + 1;
    this.#history(at, undefined);
  }

  base(at: number): void {
    const partition = this.partitions[at];
    if (partition === undefined) return;
    // As the archiver sees to it: a base counts only when it comes behind what is recorded of its own history.
    if (this.read[at]?.id !== partition.id) this.record(at, 0);
    const base = {
      replicationId: partition.id,
      offset: partition.bytes.length,
      startedAtMs: this.nowMs,
    };
    this.bases.push({ base, partition: at, segment: this.segments[at] ?? 0 });
  }

  /** Killed: what was not in a block is gone; another one goes on behind the last block. */
  async restart(): Promise<void> {
    const end = await endOf(this.store, await readArchiveIndex(this.store));
    if (end === undefined) throw new Error("no end");
    this.box = this.#newBox();
    for (const [at, mark] of end.marks.entries()) {
      Object.assign(this.read[at] ?? {}, { id: mark.replicationId, offset: mark.offset });
      this.#history(at, mark.replicationId);
    }
    // Another partition is still waited for, and this one's feed has begun.
    this.record(0, 50);
    this.box.begin([end], "another archiver goes on");
  }
}

function commonLength(a: Buffer = Buffer.alloc(0), b: Buffer = Buffer.alloc(0)): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

const partition = fc.integer({ min: 0, max: 1 });
const event = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("write" as const), partition }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("record" as const),
      partition,
      bytes: fc.integer({ min: 1, max: 200 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("close" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("base" as const), partition }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("failover" as const),
      partition,
      lost: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("gap" as const), partition }) },
);

test("every path from a base to a block gives the bytes that were written, and there is one where nothing is missing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 60 }), async (events) => {
      const world = new World();
      for (const one of events) {
        if (one.kind === "write") world.partitions[one.partition]?.write();
        if (one.kind === "record") world.record(one.partition, one.bytes);
        if (one.kind === "close") world.box.close();
        if (one.kind === "base") world.base(one.partition);
        if (one.kind === "failover") world.partitions[one.partition]?.failover(one.lost);
        if (one.kind === "gap") world.gap(one.partition);
        if (one.kind === "restart") await world.restart();
      }
      world.record(0, 100_000);
      world.record(1, 100_000);
      world.box.close();
      await compare(world);
    }),
    { numRuns: 300 },
  );
});

async function compare(world: World): Promise<void> {
  const index = await readArchiveIndex(world.store);
  const { run, block, offsets } = world.box.recorded ?? { run: "", block: 0, offsets: [] };
  for (const { base, partition: at, segment } of world.bases) {
    const history = world.partitions[at];
    const to = offsets[at] ?? 0;
    if (history === undefined) continue;
    const now = history.bytes;
    const isLost = commonLength(history.histories.get(base.replicationId), now) < base.offset;
    const path = pathTo(index, base, at, { run, block, offset: to });
    if (path.kind === "gap") {
      // One that was ahead of what was recorded of its history when that ended: nobody knows whether it was lost.
      const isAhead = [...index.heads.values()].some(({ starts }) => {
        const { before, replicationId, offset } = starts[at] ?? { replicationId: "", offset: 0 };
        const isSwitch = before === base.replicationId && replicationId !== before;
        return isSwitch && offset < base.offset;
      });
      const isGap = segment !== world.segments[at];
      expect(isLost || isAhead || isGap || base.offset > to).toBe(true);
      continue;
    }
    const read: Buffer[] = [];
    await readLegs(
      world.store,
      path.legs,
      { partition: at, offset: base.offset, feedDb: 0 },
      {
        ...{ signal: new AbortController().signal, isExact: false },
        onChunk: (bytes) => Promise.resolve(void read.push(Buffer.from(bytes))),
      },
    );
    const bytes = Buffer.concat(read);
    expect(bytes.equals(now.subarray(base.offset, base.offset + bytes.length))).toBe(true);
    // Only a command that is not whole may be missing.
    expect(to - base.offset - bytes.length).toBeLessThan(80);
  }
}

test("what no kept backup needs goes, and every path from a kept one is still there", async () => {
  const world = new World();
  const startedAtMs: number[] = [];
  for (let round = 0; round < 6; round++) {
    world.nowMs += 3_600_000;
    startedAtMs.push(world.nowMs);
    world.base(0);
    for (let more = 0; more < 4; more++) {
      world.partitions[0]?.write();
      world.record(0, 1000);
      world.box.close();
    }
    await world.restart();
  }
  const before = await readArchiveIndex(world.store);
  for (const name of unneededFiles(before, startedAtMs[3] ?? 0)) world.files.delete(name);
  const index = await readArchiveIndex(world.store);
  expect(index.heads.size).toBeLessThan(before.heads.size);
  expect(index.segments).toHaveLength(12);
  world.partitions[0]?.write();
  world.record(0, 1000);
  world.box.close();
  const { run = "", block = 0, offsets = [] } = world.box.recorded ?? {};
  const after = await readArchiveIndex(world.store);
  const kinds = world.bases.map(
    ({ base }) => pathTo(after, base, 0, { run, block, offset: offsets[0] ?? 0 }).kind,
  );
  expect(kinds).toEqual(["gap", "gap", "gap", "path", "path", "path"]);
});
