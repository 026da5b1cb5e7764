// cut-sides.ts: the sources and the new masters of a resharding as two sides to compare, of the same moment though both are
// written to: in each pass everybody gives the data of a cut.
//
//   nothing is copied on --> each source gives its RDB, which has an offset --> the rest up to exactly there is copied
//     --> each new master gives its RDB --> copying goes on
import { credentialsOf } from "../../core/credentials.ts";
import type { HistoryMark } from "../../core/view.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import type { NodeAddress } from "../../replication/node-socket.ts";
import type { KeyStream, Side } from "../verify/read-side.ts";
import type { Copying } from "./copying.ts";
import type { GroupNode, NodePorts } from "./node-group.ts";

export interface CutSidesOptions extends NodePorts {
  readonly copying: Pick<Copying, "nodes" | "drainExactly" | "pace">;
  /** By new partition. */
  readonly masters: readonly Pick<GroupNode, "name" | "host" | "port" | "db">[];
  /** Of a key; undefined: not known. A key that lies elsewhere is not copied. */
  readonly oldPartitionOf: ((key: Buffer) => number) | undefined;
  /** Runs the task while nothing else is copied. */
  readonly alone: (task: () => Promise<void>) => Promise<void>;
}

/**
 * The targets give their data after the sources: what expires in between has gone there. A node waits 5 s before it gives its
 * data (repl-diskless-sync-delay), and its clock may differ.
 */
const EXPIRING_WITHIN_MS = 10_000;

/** What a stream awaits before it asks for its RDB, and before it reads it; and whom it tells where the RDB lies. */
type Begin = (cut: Cut) => readonly [Promise<void>, Promise<void>, (start: HistoryMark) => void];

export class CutSides {
  readonly source: Side;
  readonly target: Side;
  readonly #options: CutSidesOptions;
  /** By pass. */
  readonly #cuts: Cut[] = [];
  /** Keys (latin1) that were copied from a moment after the present cut: they are not of the same moment. */
  #later: ReadonlySet<string> = new Set();
  /** What expires up to then is not compared. One moment for both sides, however long they are read. */
  #expiredByMs = 0;
  /** A node may wait for longer, for example while it saves its data. */
  #expiringWithinMs = EXPIRING_WITHIN_MS;

  constructor(options: CutSidesOptions) {
    const { copying, masters, oldPartitionOf } = options;
    this.#options = options;
    const isOfCut = (key: Buffer): boolean => !this.#later.has(key.toString("latin1"));
    const expiredByMs = (): number => this.#expiredByMs;
    const sources = copying.nodes.map(({ partition, address, db }, index): KeyStream => {
      const isHere = (key: Buffer): boolean =>
        oldPartitionOf === undefined || oldPartitionOf(key) === partition;
      const wants = (key: Buffer, stored: number): boolean =>
        stored === db && isHere(key) && isOfCut(key);
      const name = `the source of partition ${partition}`;
      const begin = (cut: Cut) => [cut.held, cut.taken, cut.sourceStarts(index)] as const;
      return { name, db, wants, expiredByMs, open: this.#opener(address, begin) };
    });
    const targets = masters.map((master, index): KeyStream => {
      const { name, db } = master;
      const wants = (key: Buffer, stored: number): boolean => stored === db && isOfCut(key);
      const begin = (cut: Cut) => [cut.taken, cut.taken, cut.targetStarts(index)] as const;
      return { name, db, wants, expiredByMs, open: this.#opener(master, begin) };
    });
    // All of them belong to the cut.
    this.source = { name: "the old nodes", streams: sources, streamsAtOnce: sources.length };
    this.target = { name: "the new nodes", streams: targets, streamsAtOnce: targets.length };
  }

  /** Each call of the returned function is the next pass. */
  #opener(address: NodeAddress, begin: Begin): () => AsyncGenerator<Buffer> {
    let pass = 0;
    return () => this.#chunks(address, this.#cutOf(pass++), begin);
  }

  async *#chunks(address: NodeAddress, cut: Cut, begin: Begin): AsyncGenerator<Buffer> {
    const { copying, password, tls, clock, signal } = this.#options;
    try {
      const [mayOpen, mayRead, onStart] = begin(cut);
      await mayOpen;
      const access = { credentials: credentialsOf("monitor", password), tls, clock, signal };
      for await (const chunk of openRdbStream(address, { ...access, onStart }).chunks()) {
        await mayRead;
        yield chunk;
        await copying.pace.worked();
      }
    } catch (error) {
      cut.fail(error);
      throw error;
    }
  }

  #cutOf(pass: number): Cut {
    const before = this.#cuts[pass];
    if (before !== undefined) return before;
    const { copying, masters, clock, alone } = this.#options;
    const cut = new Cut(copying.nodes.length, masters.length);
    this.#cuts[pass] = cut;
    alone(async () => {
      let takenMs = clock.nowMs();
      await cut.run(async (starts) => {
        this.#later = new Set(await copying.drainExactly(starts));
        this.#expiredByMs = Date.parse(clock.wallTime()) + this.#expiringWithinMs;
        takenMs = clock.nowMs();
      });
      const tookMs = clock.nowMs() - takenMs;
      this.#expiringWithinMs = Math.max(this.#expiringWithinMs, 2 * tookMs);
    }).catch((error: unknown) => {
      cut.fail(error);
    });
    return cut;
  }
}

/** One moment of all sources, and the same of all targets. */
class Cut {
  readonly #held = new Gate();
  readonly #sourcesStarted = new Gate();
  readonly #taken = new Gate();
  readonly #targetsStarted = new Gate();
  readonly #starts: HistoryMark[] = [];
  readonly #startedTargets = new Set<number>();
  readonly #sourceCount: number;
  readonly #targetCount: number;

  constructor(sourceCount: number, targetCount: number) {
    this.#sourceCount = sourceCount;
    this.#targetCount = targetCount;
  }

  /** The targets stand still. */
  get held(): Promise<void> {
    return this.#held.opened;
  }

  /** The targets have what the sources had. */
  get taken(): Promise<void> {
    return this.#taken.opened;
  }

  sourceStarts(index: number): (start: HistoryMark) => void {
    return (start) => {
      this.#starts[index] = start;
      if (Object.keys(this.#starts).length === this.#sourceCount) this.#sourcesStarted.open();
    };
  }

  targetStarts(index: number): () => void {
    return () => {
      this.#startedTargets.add(index);
      if (this.#startedTargets.size === this.#targetCount) this.#targetsStarted.open();
    };
  }

  /** `drain`: to exactly these marks, by source. */
  async run(drain: (starts: readonly HistoryMark[]) => Promise<void>): Promise<void> {
    this.#held.open();
    await this.#sourcesStarted.opened;
    await drain(this.#starts);
    this.#taken.open();
    await this.#targetsStarted.opened;
  }

  fail(error: unknown): void {
    const gates = [this.#held, this.#sourcesStarted, this.#taken, this.#targetsStarted];
    for (const gate of gates) gate.fail(error);
  }
}

class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => undefined;
  fail: (error: unknown) => void = () => undefined;

  constructor() {
    this.opened = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
    // Nobody may wait for it when it fails.
    this.opened.catch(() => undefined);
  }
}
