// restore-cluster.ts: the order of a restore, with the alpha's record around it. All or nothing.
//
//   begin (alpha: nobody is served, monitors leave the nodes alone)
//     -> fill every node -> release (alpha: from here on only forward) -> loaded, durable, counted
//     -> finish (alpha: promotes one node of each partition) -> served
//   any failure before the release: cancel (alpha: promotes the old masters; nothing has changed)
//
// While the tool lives it counts in a request of its own; when it falls silent the alpha does what can be done without it
// (monitor/decide/restore.ts).
import { TwineError } from "../../core/errors.ts";
import type { RestoreRequest } from "../../core/request.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { askAlpha } from "../../register/ask-alpha.ts";
import type { SharedHashes } from "../../register/shared-hashes.ts";
import { NodeFeeds, type FeedOptions, type ReadyNode } from "./feed-nodes.ts";
import type { PreparedPartition } from "./prepare.ts";
import { errorText } from "../../core/error-text.ts";
import { beginRestore } from "./begin-restore.ts";
import { mark } from "../../ports/timeline.ts";

export interface RestoreOptions extends FeedOptions {
  readonly board: SharedHashes;
  /** The chosen view; rejects when there is none. */
  readonly readView: () => Promise<View>;
  readonly view: View;
  readonly prepared: readonly PreparedPartition[];
  readonly nodes: readonly ReadyNode[];
  /** By partition, 40 hex digits that nobody has; empty: that partition is left as it is. */
  readonly replicationIds: readonly string[];
  readonly token: string;
  /** Who restores, for people. */
  readonly by: string;
  /** An id that nobody else uses. */
  readonly newId: () => string;
  readonly onProgress?: (progress: RestoreProgress) => void;
}

export interface RestoreProgress {
  readonly phase: "filling" | "loading" | "promoting";
  readonly bytes: number;
  readonly bytesTotal: number;
}

const ALIVE_EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 15_000;
const SERVED_WITHIN_MS = 60_000;
/** A backup that runs looks for a restore every 300 ms (no-restore.ts), and must see it. */
const RECORDED_MS_MIN = 600;
const RETRY_MS = 100;
const LOOK_MS = 20;

type StepName = "begin" | "release" | "finish" | "cancel";

/** Throws with the reason; the error says whether anything has changed. */
export async function restoreCluster(options: RestoreOptions): Promise<void> {
  const asked = new Asking(options);
  const feeds = await NodeFeeds.listen(
    options.nodes,
    options.prepared,
    options.replicationIds,
    options,
  );
  let isReleased = false;
  const endReport = reportProgress(options, feeds, () => isReleased);
  try {
    mark("begin");
    const { clock, signal, readView } = options;
    const ask = (): Promise<void> => asked.step("begin");
    await beginRestore({ clock, signal, readView, ask, withinMs: ANSWER_WITHIN_MS });
    const begunAtMs = clock.nowMs();
    asked.startCounting();
    mark("fill");
    await feeds.fill();
    signal.throwIfAborted();
    mark("release");
    await asked.step("release");
    isReleased = true;
    const { unready } = feeds;
    if (!feeds.release()) throw notReleased(unready);
    mark("load");
    const loaded = await feeds.loaded();
    mark("compare");
    const wrong = await feeds.differences();
    if (wrong.length > 0) throw incomplete(wrong.join("; "));
    await clock.delay(Math.max(0, begunAtMs + RECORDED_MS_MIN - clock.nowMs()));
    mark("finish");
    await asked.step("finish", mastersAmong(loaded, options));
    mark("serve");
    await untilServed(options);
    mark("served");
  } catch (error) {
    if (isReleased) throw afterRelease(error, options.signal);
    throw await cancelled(asked, options, error);
  } finally {
    endReport();
    feeds.close();
    await asked.stopCounting();
  }
}

/** What the alpha is asked in the course of one restore. */
class Asking {
  readonly #options: RestoreOptions;
  readonly #aliveId: string;
  #count = 0;
  #isCounting = false;
  #counting = Promise.resolve();
  #endRest: () => void = () => undefined;
  hasBegun = false;

  constructor(options: RestoreOptions) {
    this.#options = options;
    this.#aliveId = options.newId();
  }

  async step(step: StepName, masters: readonly (string | null)[] = []): Promise<void> {
    const { board, clock, token, by, replicationIds, newId } = this.#options;
    const body: RestoreRequest = { kind: "restore", step, token, by, replicationIds, masters };
    // Asked is asked: whether the answer comes or not, it may have been done.
    if (step === "begin") this.hasBegun = true;
    const endMs = clock.nowMs() + ANSWER_WITHIN_MS;
    for (;;) {
      try {
        await askAlpha(board, body, { clock, id: newId(), withinMs: ANSWER_WITHIN_MS });
        return;
      } catch (error) {
        // Nobody is served meanwhile: status nodes that are slow for a moment must not cost the whole restore.
        const isSilent = error instanceof TwineError && error.code === "STATUS_UNREACHABLE";
        if (!isSilent || step === "begin" || clock.nowMs() > endMs) throw error;
        await clock.delay(RETRY_MS);
      }
    }
  }

  startCounting(): void {
    this.#isCounting = true;
    this.#counting = this.#countOn();
  }

  async stopCounting(): Promise<void> {
    if (!this.#isCounting) return;
    this.#isCounting = false;
    this.#endRest();
    await this.#counting;
    const { board } = this.#options;
    // An answer is removed when it is old, a question would be read for ever.
    await board
      .answerRequest({ ...this.#alive(), state: "done", message: "over" })
      .catch(() => undefined);
  }

  #alive() {
    const { token } = this.#options;
    const body = { kind: "restore", step: "alive", token, count: this.#count } as const;
    return { id: this.#aliveId, body, state: "asked", message: "" } as const;
  }

  async #rest(clock: Clock): Promise<void> {
    if (!this.#isCounting) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ALIVE_EVERY_MS, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
  }

  async #countOn(): Promise<void> {
    const { board, clock } = this.#options;
    while (this.#isCounting) {
      this.#count++;
      await board.askRequest(this.#alive()).catch(() => undefined);
      await this.#rest(clock);
    }
  }
}

/** The old masters go on; the error that ended it, with what is true now. */
async function cancelled(
  asked: Asking,
  { view }: RestoreOptions,
  error: unknown,
): Promise<unknown> {
  if (!asked.hasBegun) return error;
  try {
    await asked.step("cancel");
    return error;
  } catch (cause) {
    const why = errorText(error);
    // Refused because it never began: nothing is to be undone.
    if (cause instanceof TwineError && cause.code === "REFUSED") {
      return isMixed(view) ? stillMixed(error) : error;
    }
    return new TwineError(
      {
        code: "CANCEL_FAILED",
        message: `the restore failed (${why}), and no alpha took it back yet`,
        remedy:
          "no node has changed; the monitors take it back by themselves within 15 s: see twine-status",
      },
      { cause },
    );
  }
}

/** Whether a restore before this one broke off after its release. */
function isMixed({ restore }: View): boolean {
  return restore?.phase === "released" || restore?.isMixed === true;
}

function stillMixed(error: unknown): TwineError {
  return new TwineError(
    [
      ...(error instanceof TwineError ? error.problems : []),
      {
        code: "STILL_MIXED",
        message: `${error instanceof TwineError ? "" : `${errorText(error)}: `}some nodes hold the data of a restore that broke off before this one, and some do not`,
        remedy: "mend what failed now, and restore again: the cluster is HALT until then",
      },
    ],
    { cause: error },
  );
}

/** Interrupted after the release: whoever reads it must not think that nothing has changed. */
function afterRelease(error: unknown, signal: AbortSignal): unknown {
  if (!signal.aborted || error instanceof TwineError) return error;
  return new TwineError(
    {
      code: "RESTORE_INTERRUPTED",
      message: "interrupted while the nodes took the new data",
      remedy:
        "see twine-status: when every partition has the new data on disk, the alpha ends the restore by itself; otherwise restore again",
    },
    { cause: error },
  );
}

function notReleased(nodes: readonly string[]): TwineError {
  return new TwineError({
    code: "NOT_RELEASED",
    message: `${nodes.join(", ")} went away in the moment of the release; no node has taken the new data`,
    remedy:
      "see twine-status and the node's log, and restore again: the cluster is HALT until then",
  });
}

function incomplete(why: string): TwineError {
  return new TwineError({
    code: "RESTORE_DIFFERS",
    message: `the nodes do not hold what was restored: ${why}`,
    remedy: "restore again; the cluster is HALT until then",
  });
}

function nobodyLeft(partition: number, { nodes }: View): TwineError {
  const names = nodes.flatMap((node) => (node.partition === partition ? [node.name] : []));
  return new TwineError({
    code: "PARTITION_LOST",
    message: `no node of partition ${partition} (${names.join(", ")}) is left that has taken the new data; other partitions have it`,
    remedy:
      "the cluster is HALT, so that it never serves old and new data together: start those nodes (twine-start), and restore again unless twine-status shows OK by then",
  });
}

/** By partition: the old master if it holds the new data, else the first node that does. */
function mastersAmong(
  loaded: readonly ReadyNode[],
  { view, replicationIds }: RestoreOptions,
): (string | null)[] {
  return view.partitions.map(({ index, master, lastMaster }) => {
    if (replicationIds[index] === "") return null;
    const names = loaded.filter(({ partition }) => partition === index).map(({ node }) => node);
    const old = names.find((name) => name === (master ?? lastMaster));
    const chosen = old ?? names[0];
    if (chosen === undefined) throw nobodyLeft(index, view);
    return chosen;
  });
}

async function untilServed({ clock, readView }: RestoreOptions): Promise<void> {
  const endMs = clock.nowMs() + SERVED_WITHIN_MS;
  for (;;) {
    const view = await readView().catch(() => undefined);
    const isServed = view?.partitions.every(({ master }) => master !== null) === true;
    if (isServed && (view.restore ?? null) === null) return;
    if (clock.nowMs() > endMs) {
      throw new TwineError({
        code: "NOT_SERVED_YET",
        message: `everything was restored, but not every partition has a master after ${SERVED_WITHIN_MS / 1000} s`,
        remedy: "see twine-status",
      });
    }
    await clock.delay(LOOK_MS);
  }
}

const REPORT_EVERY_MS = 200;

function reportProgress(options: RestoreOptions, feeds: NodeFeeds, isReleased: () => boolean) {
  const { clock, onProgress } = options;
  let cancel: () => void = () => undefined;
  const report = (): void => {
    const phase = isReleased() ? "loading" : "filling";
    onProgress?.({ phase, bytes: feeds.sentBytes, bytesTotal: feeds.totalBytes });
    cancel = clock.after(REPORT_EVERY_MS, report);
  };
  report();
  return () => {
    cancel();
  };
}
