// request.ts: requests of tools to the alpha through the status nodes. Pure.
//
//   asked --alpha takes it, on a majority of the status nodes--> asked, isTaken --executed--> done | refused
//     \--tool withdraws it, on a majority--> refused: certainly never executed
//
// A tool writes {state: "asked"} under a new id on every status node that it reaches. The alpha reads all of them, takes
// the request, executes it once and replaces the entry with its answer. Both can't have a majority: so a request that was
// withdrawn is never executed, and one that was taken is never withdrawn: its tool says that it may still be executed.
// Heartbeats (alive) are neither taken nor withdrawn.
import type { ReshardProgress } from "./reshard-progress.ts";

export interface AcceptLossRequest {
  readonly kind: "accept-loss";
  /** The data node to become its partition's master. Writes that only other nodes have are lost. */
  readonly node: string;
}

export interface HandoverRequest {
  readonly kind: "handover";
  /** The data node that is about to stop. Another node of its partition must become master first. */
  readonly node: string;
}

export interface PromoteToRequest {
  readonly kind: "promote-to";
  /** The data node to become its partition's master, without data loss. */
  readonly node: string;
}

export interface ForgetRescueRequest {
  readonly kind: "forget-rescue";
  /** The data node whose rescued data was handled: the status no longer shows it. The file is kept. */
  readonly node: string;
}

/** Steps of a restore of the whole cluster, by the tool that holds the token (monitor/decide/restore.ts). */
export type RestoreRequest =
  | {
      readonly kind: "restore";
      readonly step: "begin" | "release" | "finish" | "cancel";
      readonly token: string;
      /** Who started the restore. For display only. */
      readonly by: string;
      /** begin: the new data's replication id, by partition. Empty: that partition stays unchanged. */
      readonly replicationIds: readonly string[];
      /** finish: the node to become master, by partition. */
      readonly masters: readonly (string | null)[];
    }
  /** A heartbeat of the tool. No alpha answers it; the tool marks it as done when it ends. */
  | {
      readonly kind: "restore";
      readonly step: "alive";
      readonly token: string;
      readonly count: number;
    };

/** Steps of a resharding, by the tool that holds the token (monitor/decide/reshard). */
export type ReshardRequest =
  | {
      readonly kind: "reshard";
      readonly step: "begin" | "switch" | "fence" | "commit" | "undo" | "cancel" | "back" | "stay";
      readonly token: string;
      /** Who started it. For display only. */
      readonly by: string;
      /** begin: the new twine.conf as canonicalConf() prints it. commit: the present one, if the way back to it is to be
          kept. Empty otherwise. */
      readonly conf: string;
      /** commit: the new masters, by partition. */
      readonly masters: readonly NewMaster[];
    }
  /** A heartbeat of the tool. No alpha answers it; the tool marks it as done when it ends. */
  | {
      readonly kind: "reshard";
      readonly step: "alive";
      readonly token: string;
      readonly count: number;
      /** For people only. Absent: nothing was copied yet, or the tool is an older one. */
      readonly progress?: ReshardProgress;
    };

/** A node that has the data of its new partition, and reports master. */
export interface NewMaster {
  readonly node: string;
  readonly runId: string;
  readonly replicationId: string;
}

/** A cut of the whole cluster (core/cut.ts). The answer's message is the cut as JSON (monitor/decide/cut.ts). */
export interface CutRequest {
  readonly kind: "cut";
  /** Who requested it. For display only. */
  readonly by: string;
}

/** Steps by which a partition copies another system's master and takes over from it, or goes back
    (monitor/decide/follow/follow.ts). */
export interface FollowRequest {
  readonly kind: "follow";
  readonly step: "begin" | "mark" | "unmark" | "promote" | "back" | "copy" | "stay" | "finish";
  readonly partition: number;
  /** Who requested it. For display only. */
  readonly by: string;
  /** The other system's master. */
  readonly host: string;
  readonly port: number;
  /** mark, promote: the other master's replication id, and its offset when no client could write to it any more. */
  readonly replicationId: string;
  readonly offset: number;
}

/** Requests that concern one data node. */
export type NodeRequest =
  AcceptLossRequest | HandoverRequest | PromoteToRequest | ForgetRescueRequest;

export type RequestBody =
  NodeRequest | RestoreRequest | CutRequest | FollowRequest | ReshardRequest;

/** The count of a tool's heartbeat, with the token of its work; undefined for other requests. */
export function heartbeatIn(
  body: RequestBody,
): { readonly token: string; readonly count: number } | undefined {
  const isBeat = (body.kind === "restore" || body.kind === "reshard") && body.step === "alive";
  return isBeat ? body : undefined;
}

export interface Request {
  readonly id: string;
  readonly body: RequestBody;
  readonly state: "asked" | "done" | "refused";
  /** Why it was refused, or what was done. Empty while the state is "asked". */
  readonly message: string;
  /** An alpha has begun with it. */
  readonly isTaken?: true;
  /** When its tool withdraws it, in ms since 1970 by the tool's clock. Absent: the tool is an older one. */
  readonly untilMs?: number;
}

/** Clocks of hosts may differ by this. */
const CLOCKS_APART_MS_MAX = 60_000;

/** Its tool can't await the answer any more: it was killed before it withdrew the request. */
export function isOutdated({ state, isTaken, untilMs }: Request, wallMs: number): boolean {
  if (state !== "asked" || isTaken === true || untilMs === undefined) return false;
  return wallMs > untilMs + CLOCKS_APART_MS_MAX;
}
