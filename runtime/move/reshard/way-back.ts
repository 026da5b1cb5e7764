// way-back.ts: the time after a resharding in which the old partitions can serve again without a loss: what is written to
// the new masters is copied into the old ones, by the same mover in the other direction.
//
//   commit --> feeds of the new masters, kept on disk --> routers' leases are over: old masters take what is copied
//     keeping --twine-reshard --back--> switch, drain, fence, drain, commit --> the old partitions serve again
//        '--- time over, Ctrl-C, a node or a feed was lost --> the old nodes are detached again
import type { ClusterConfig } from "../../core/cluster.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { builtinHashing } from "../../core/hashing.ts";
import type { View } from "../../core/view.ts";
import type { MoveTarget } from "../target.ts";
import { Copying, type CopyingOptions, type CopyProgress } from "./copying.ts";
import { OldNodes } from "./old-nodes.ts";
import type { BackStart, ReshardPhase } from "./reshard.ts";
import {
  CommitUnknown,
  isCommitted,
  switchOver,
  viewWhere,
  type Successors,
  type SwitchOptions,
} from "./switch-over.ts";

export interface WayBackOptions
  extends
    SwitchOptions,
    BackStart,
    Pick<CopyingOptions, "partitionOf" | "oldPartitionOf" | "password" | "tls"> {
  /** Of the cluster before the resharding. */
  readonly config: ClusterConfig;
  /** Before the commit. */
  readonly viewBefore: View;
  readonly newFolder: () => Promise<string>;
  readonly forMs: number;
  /** Of the switch before. */
  readonly longestHoldMs: number | null;
  readonly onPhase: (phase: ReshardPhase, progress: CopyProgress | undefined) => void;
}

export interface WayBackEnd {
  /** over: nobody went back in time. lost: it could not be kept. */
  readonly kind: "over" | "interrupted" | "lost" | "returned" | "unknown";
  readonly why: string;
  /** returned: how long requests were held. */
  readonly heldMs?: number;
}

const ROUND_REST_MS = 200;
const IN_SYNC_WITHIN_MS = 5_000;
/** Routers stop when their lease is over, by their own clocks. */
const LEASES = 2;

/** Never rejects: the new partitions serve, whatever happens. */
export async function keepWayBack(options: WayBackOptions): Promise<WayBackEnd> {
  const { alpha, signal, config, viewBefore } = options;
  let nodes: OldNodes | undefined;
  let end: WayBackEnd;
  try {
    nodes = await OldNodes.connect(config, viewBefore, options);
    end = await kept(options, nodes);
  } catch (error) {
    end = await ended(options, error);
  }
  if (end.kind === "returned") await nodes?.leave();
  else if (end.kind === "unknown") nodes?.end();
  else {
    // Without an answer the alpha ends it when the heartbeat stops.
    await alpha.ask("stay").catch(() => undefined);
    await nodes?.release();
  }
  return end.kind === "lost" && signal.aborted ? { ...end, kind: "interrupted" } : end;
}

/** What an error means: it may have come after the commit. */
async function ended(options: WayBackOptions, error: unknown): Promise<WayBackEnd> {
  const [problem] = error instanceof TwineError ? error.problems : [];
  const why = problem?.message ?? errorText(error);
  if (!(error instanceof CommitUnknown)) return { kind: "lost", why };
  const { alpha, config, clock } = options;
  try {
    await alpha.ask("stay");
    return { kind: "lost", why };
  } catch (refusal) {
    const isRefused = refusal instanceof TwineError && refusal.code === "REFUSED";
    if (!isRefused) return { kind: "unknown", why };
  }
  const { signal } = new AbortController();
  const view = await viewWhere({ ...options, signal }, "the end of the record", (seen) =>
    seen.reshard?.token === alpha.token ? undefined : seen,
  ).catch(() => undefined);
  if (view === undefined) return { kind: "unknown", why };
  if (!isCommitted(view, builtinHashing(config.settings))) return { kind: "lost", why };
  return { kind: "returned", why, heldMs: Math.round(clock.nowMs() - error.heldSinceMs) };
}

async function kept(options: WayBackOptions, nodes: OldNodes): Promise<WayBackEnd> {
  const { views, newFolder, marks, onPhase, signal } = options;
  const record = await viewWhere(options, "the record of the way back", (view) =>
    view.reshard?.isBack === true || (view.reshard ?? null) === null ? view : undefined,
  );
  if (!isKept(record, options)) return { kind: "lost", why: "the alpha does not keep it" };
  onPhase("keeping", undefined);
  const abort = new AbortController();
  // Filled when the old masters may be written to: until then the feeds are only kept.
  const targets: MoveTarget[] = [];
  let copying: Copying | undefined;
  try {
    copying = await Copying.open({
      ...{ ...options, targets, view: record, folder: await newFolder() },
      signal: AbortSignal.any([signal, abort.signal]),
      viewNow: () => views.current() ?? record,
      requireGoing: () => {
        requireKept(options);
      },
    });
    await copying.resume(marks);
    await options.clock.delay(LEASES * options.config.settings.leaseMs);
    await nodes.keep();
    targets.push(...(await nodes.targets()));
    return await keptOn(options, nodes, copying, targets);
  } finally {
    abort.abort(new Error("the way back is over"));
    await copying?.close();
    for (const target of targets) target.close();
  }
}

async function keptOn(
  options: WayBackOptions,
  nodes: OldNodes,
  copying: Copying,
  targets: readonly MoveTarget[],
): Promise<WayBackEnd> {
  const { views, clock, signal, forMs, onPhase } = options;
  const endMs = clock.nowMs() + forMs;
  for (;;) {
    if (signal.aborted) return { kind: "interrupted", why: errorText(signal.reason) };
    requireKept(options);
    if (views.current()?.reshard?.phase === "copying") break;
    if (clock.nowMs() > endMs) return { kind: "over", why: "its time is over" };
    await copying.followWhatCame();
    // While nothing is written, nothing else shows that an old node is gone.
    await Promise.all(targets.map((target) => target.send([["PING"]])));
    onPhase("keeping", copying.progress);
    const { longestHoldMs } = options;
    options.alpha.report({ step: "following", sources: copying.sources, longestHoldMs });
    await clock.delay(ROUND_REST_MS);
  }
  onPhase("switching back", copying.progress);
  await copying.followWhatCame();
  const successors = oldSuccessors(nodes, copying);
  const { heldMs } = await switchOver(options, successors, {
    onSwitch: () => undefined,
    onHeld: () => undefined,
  });
  return { kind: "returned", why: "twine-reshard --back", heldMs };
}

function oldSuccessors(nodes: OldNodes, copying: Copying): Successors {
  return {
    follow: () => copying.followWhatCame(),
    followWhatCame: () => copying.followWhatCame(),
    drainTo: (marks) => copying.drainTo(marks),
    changes: () => copying.changes,
    // Clients may write to the old masters only when the new ones are detached.
    mayBeReadyEarly: false,
    ready: async () => {
      const [masters] = await Promise.all([
        nodes.masters(),
        nodes.untilInSync(IN_SYNC_WITHIN_MS),
        nodes.openToClients(),
      ]);
      return { masters };
    },
    notReady: () => nodes.closeToClients(),
  };
}

function isKept(view: View | undefined, { alpha }: WayBackOptions): boolean {
  return view?.reshard?.token === alpha.token && view.reshard.isBack === true;
}

/** Throws WAY_BACK_ENDED. */
function requireKept(options: WayBackOptions): void {
  if (isKept(options.views.current(), options)) return;
  throw new TwineError({
    code: "WAY_BACK_ENDED",
    message: "the alpha has ended it: it did not hear from this process for too long",
    remedy: "the new partitions serve on; to go back, run another resharding",
  });
}
