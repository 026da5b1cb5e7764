// isolated-lanes.ts: lanes to masters that one caller at a time has for itself, so that a WATCH is nobody else's.
//
//   lend -> an idle one of that partition, or a new one -> release -> idle for a while -> closed
//
// They are lanes like all others, with the same rules of holding and repeating. What is more: whoever has one hears when
// its connection was lost, because what was watched on it is watched no more.
import { Lane } from "../lane.ts";
import type { LaneContext } from "../lane-context.ts";
import type { Request } from "../request.ts";

const IDLE_MS = 15_000;
/** Per partition. */
const IDLE_MAX = 4;

/** A lane that somebody has for itself. */
export interface IsolatedLane {
  readonly partition: number;
  submit(request: Request): void;
  /** Runs each time when its connection was lost. */
  onLost: () => void;
}

interface Kept extends IsolatedLane {
  readonly lane: Lane;
  /** When it was released; undefined: it is lent. */
  idleSinceMs: number | undefined;
}

export class IsolatedLanes {
  readonly #context: LaneContext;
  readonly #kept = new Set<Kept>();
  readonly #endWatch: () => void;
  #endSweep: (() => void) | undefined;
  #isClosed = false;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#endWatch = context.topology.onChange(() => {
      for (const { lane } of this.#kept) lane.changed();
    });
  }

  lend(partition: number): IsolatedLane {
    for (const kept of this.#kept) {
      if (kept.partition !== partition || kept.idleSinceMs === undefined) continue;
      kept.idleSinceMs = undefined;
      return kept;
    }
    const options = {
      partition,
      target: () => this.#context.topology.master(partition),
      onLost: () => {
        kept.onLost();
      },
    };
    const lane = new Lane(options, this.#context);
    const kept: Kept = {
      ...{ partition, lane, idleSinceMs: undefined, onLost: () => undefined },
      submit: (request) => {
        lane.submit(request);
      },
    };
    if (this.#isClosed) lane.close();
    else this.#kept.add(kept);
    return kept;
  }

  /** Takes one back on which everything is answered and nothing is watched. */
  release(lent: IsolatedLane): void {
    const kept = [...this.#kept].find((one) => one === lent);
    if (kept === undefined) return;
    kept.onLost = () => undefined;
    kept.idleSinceMs = this.#context.clock.nowMs();
    const alike = [...this.#kept].filter(
      ({ partition, idleSinceMs }) => partition === kept.partition && idleSinceMs !== undefined,
    );
    if (alike.length > IDLE_MAX) this.#end(kept);
    this.#sweepLater();
  }

  close(): void {
    this.#isClosed = true;
    this.#endWatch();
    this.#endSweep?.();
    for (const kept of [...this.#kept]) this.#end(kept);
  }

  #end(kept: Kept): void {
    this.#kept.delete(kept);
    kept.lane.close();
  }

  #sweepLater(): void {
    this.#endSweep ??= this.#context.clock.after(IDLE_MS, () => {
      this.#endSweep = undefined;
      const oldMs = this.#context.clock.nowMs() - IDLE_MS;
      for (const kept of [...this.#kept])
        if ((kept.idleSinceMs ?? Infinity) <= oldMs) this.#end(kept);
      const isIdle = [...this.#kept].some(({ idleSinceMs }) => idleSinceMs !== undefined);
      if (isIdle) this.#sweepLater();
    });
  }
}
