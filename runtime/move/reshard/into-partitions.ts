// into-partitions.ts: a running cluster and a new twine.conf, from the first look to the end: checked, estimated, moved.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { addressOf, type ClusterConfig } from "../../core/cluster.ts";
import { canonicalConf } from "../../core/conf/digest.ts";
import { credentialsOf } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import { builtinHashing } from "../../core/hashing.ts";
import { reshardConflict } from "../../core/reshard.ts";
import { builtinPlace } from "../../core/routing.ts";
import type { View } from "../../core/view.ts";
import { silentLog } from "../../ports/log.ts";
import { openRedisLink } from "../../ports/redis-link.ts";
import { readAdoptedConf, type AdoptedConf } from "../../register/adopted-conf.ts";
import { readChosenView } from "../../register/chosen-view.ts";
import { followView } from "../../register/follow.ts";
import { openSharedHashes } from "../../register/shared-hashes.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import { placeOfView } from "../view-place.ts";
import { AlphaSteps } from "./alpha-steps.ts";
import { NewNodes } from "./new-nodes.ts";
import { NOWHERE, type NodePorts } from "./node-group.ts";
import { reshard, type ReshardOptions, type ReshardReport } from "./reshard.ts";
import { roomProblems, sharesOf, type Share } from "./room.ts";
import { requireServer } from "./require-server.ts";
import { sampleKeys } from "./sample-keys.ts";
import { keepWayBack, type WayBackEnd } from "./way-back.ts";

export interface IntoOptions
  extends
    NodePorts,
    Pick<
      ReshardOptions,
      "newFolder" | "onPhase" | "onRepeat" | "onLeft" | "verifies" | "program" | "limit"
    > {
  /** The new twine.conf. */
  readonly config: ClusterConfig;
  /** Keys on the new nodes are no obstacle: they are left from a resharding that was broken off. */
  readonly mayEmpty: boolean;
  /** For how long the old partitions can serve again; 0: not at all. */
  readonly wayBackMs: number;
  /** The new partitions serve. `noWayBack`: why the old ones can't serve again, though it was asked for. */
  readonly onServed: (report: ReshardReport, noWayBack: string | undefined) => void;
}

export interface Planned {
  readonly view: View;
  readonly nodes: NewNodes;
  readonly shares: readonly Share[];
}

type KeyPlace = (key: Buffer) => number;

/** Throws when the cluster can't be moved to this twine.conf. Nothing is changed. The caller closes the nodes. */
export async function planReshard(options: IntoOptions): Promise<Planned> {
  const { config } = options;
  if (options.verifies) await requireServer(options.program);
  const view = await readChosenView(statusAccess(options));
  requireFitting(view, config);
  const samples = await sampleKeys(view, newPlaceOf(config), options);
  const shares = sharesOf(samples, config.settings.partitions);
  const nodes = await NewNodes.connect(config, options);
  try {
    const problems = roomProblems(shares, await nodes.check(view, options.mayEmpty));
    if (problems.length > 0) throw new TwineError(problems);
    return { view, nodes, shares };
  } catch (error) {
    nodes.close();
    throw error;
  }
}

export interface Moved {
  readonly report: ReshardReport;
  /** Absent: there was no way back. */
  readonly wayBack?: WayBackEnd;
}

/**
 * Returns at the end of the way back. Throws when the old partitions serve on, and RESHARD_UNKNOWN when nobody knows which
 * serve.
 */
export async function reshardInto({ view, nodes }: Planned, options: IntoOptions): Promise<Moved> {
  const { config, clock, password, tls, signal } = options;
  const access = { ...statusAccess(options), user: "monitor" } as const;
  const board = openSharedHashes(access);
  const views = followView({ ...access, log: silentLog });
  const alpha = new AlphaSteps({
    ...{ board, clock, token: randomUUID(), newId: randomUUID },
    by: `process ${process.pid} on ${hostname()}`,
  });
  const { newFolder, onPhase, onRepeat } = options;
  const common = { clock, password, tls, signal, views, alpha, newFolder, onPhase, onRepeat };
  try {
    const old = await oldLayout(view, options);
    const { report, back } = await reshard({
      ...{ ...common, nodes, onLeft: options.onLeft },
      ...{ verifies: options.verifies, program: options.program, limit: options.limit },
      requireFitting: (seen) => {
        requireFitting(seen, config);
      },
      conf: canonicalConf(config),
      oldConf: typeof old === "string" ? "" : old.text,
      hashing: builtinHashing(config.settings),
      partitionOf: newPlaceOf(config),
      oldPartitionOf: placeOfView(view),
    });
    await detachReplicas(view, options);
    options.onServed(report, typeof old === "string" && old !== "" ? old : undefined);
    if (back === undefined || typeof old === "string") return { report };
    const wayBack = await keepWayBack({
      ...{ ...common, ...back, config: old.config, viewBefore: view, forMs: options.wayBackMs },
      longestHoldMs: report.longestHoldMs,
      ...{ partitionOf: old.placeOf, oldPartitionOf: newPlaceOf(config) },
    });
    return { report, wayBack };
  } finally {
    await alpha.stopCounting();
    await views.close();
    await board.close();
  }
}

/** Only the status nodes of the new twine.conf: its data nodes are not the running cluster's. */
function statusAccess({ config, password, clock }: IntoOptions) {
  const nodes = config.nodes.filter(({ kind }) => kind !== "data");
  return { config: { ...config, nodes }, password, clock, openLink: openRedisLink } as const;
}

function newPlaceOf({ settings }: ClusterConfig): KeyPlace {
  const { hash, partitions, hashTag } = settings;
  if (hash.kind !== "builtin") throw new Error("only built-in functions");
  const { name, distribution } = hash;
  return builtinPlace({ hash: name, partitions, hashTag, distribution });
}

interface OldLayout extends AdoptedConf {
  readonly placeOf: KeyPlace;
}

/** What the way back needs; or why there is none, empty if nobody asked for it. */
async function oldLayout(view: View, options: IntoOptions): Promise<OldLayout | string> {
  if (options.wayBackMs === 0) return "";
  const placeOf = placeOfView(view);
  if (placeOf === undefined) return "the present hash is not a built-in one";
  const adopted = await readAdoptedConf(
    { ...statusAccess(options), user: "monitor" },
    view.confDigest,
  );
  if (adopted === undefined) return "no status node that answers holds the present twine.conf";
  return { ...adopted, placeOf };
}

const DETACH_WITHIN_MS = 2_000;

/** Old replicas still follow a detached master and would answer who reads from replicas by an old view. Never rejects. */
async function detachReplicas(view: View, { password, tls, clock }: IntoOptions): Promise<void> {
  const credentials = credentialsOf("monitor", password);
  const old = view.nodes.filter(({ kind }) => kind === "data");
  await Promise.allSettled(
    old.map(async ({ host, port }) => {
      const access = { credentials, tls, clock, silenceMsMax: DETACH_WITHIN_MS };
      const socket = await openNodeSocket({ host: addressOf(host), port }, access);
      try {
        await socket.call("REPLICAOF", NOWHERE.host, NOWHERE.port);
      } finally {
        socket.destroy();
      }
    }),
  );
}

/** Throws RESHARD_CONFLICT. */
function requireFitting(view: View, config: ClusterConfig): void {
  const why = reshardConflict(view, config);
  if (why === undefined) return;
  throw new TwineError({
    code: "RESHARD_CONFLICT",
    message: `the cluster can't get the partitions of ${config.file}: ${why}`,
    remedy: "correct NEW.conf; docs/reshard.md shows an example",
  });
}
