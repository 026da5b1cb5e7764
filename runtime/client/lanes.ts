// lanes.ts: all lanes of one client: one to each partition's master, and one to each replica that reads go to, which has
// the master's as its fallback. Made when they are first asked for.
import { Lane } from "./lane.ts";
import type { LaneContext } from "./lane-context.ts";

export class Lanes {
  readonly #context: LaneContext;
  readonly #masters: (Lane | undefined)[] = [];
  /** By partition and node. */
  readonly #readers = new Map<string, Lane>();
  readonly #turns: number[] = [];
  readonly #endWatch: () => void;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#endWatch = context.topology.onChange(() => {
      for (const lane of this.#all()) lane.changed();
    });
  }

  master(partition: number): Lane {
    return (this.#masters[partition] ??= new Lane(
      { partition, target: () => this.#context.topology.master(partition) },
      this.#context,
    ));
  }

  /** For one read: the partition's readers in turn, or its master. */
  reader(partition: number): Lane {
    const readers = this.#context.topology.readers(partition);
    const turn = (this.#turns[partition] ?? 0) + 1;
    this.#turns[partition] = turn;
    const chosen = readers[turn % Math.max(readers.length, 1)];
    if (chosen === undefined) return this.master(partition);
    const id = `${partition} ${chosen.name}`;
    const known = this.#readers.get(id);
    if (known !== undefined) return known;
    const target = (): ReturnType<LaneContext["topology"]["master"]> =>
      this.#context.topology.readers(partition).find(({ name }) => name === chosen.name);
    const lane = new Lane({ partition, target, fallback: this.master(partition) }, this.#context);
    this.#readers.set(id, lane);
    return lane;
  }

  close(): void {
    this.#endWatch();
    // The readers' first: what they give up, the masters' refuse.
    for (const lane of this.#readers.values()) lane.close();
    for (const lane of this.#masters) lane?.close();
  }

  /** Masters' lanes first: they take what the others give up. */
  *#all(): Generator<Lane> {
    for (const lane of this.#masters) if (lane !== undefined) yield lane;
    yield* this.#readers.values();
  }
}
