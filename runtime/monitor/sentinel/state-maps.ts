// state-maps.ts: the state of a master, a replica or a sentinel as the map that Sentinel returns. Pure.
// Keys and their order are those of Sentinel 7.0 (sentinel.c, addReplySentinelRedisInstance); a test compares them with a
// real one. Two keys of Twine follow: twine-node, the name in twine.conf, and twine-db, the database to SELECT.
// Sentinel's values about its own connection to an instance come from the view here: their age is 0 while the view is
// confirmed, and the time since the last confirmation otherwise.
import type { RespValue } from "../../resp/value.ts";
import { ageMs, factKeys, type Ages } from "./ages.ts";
import type { Picture, PicturedMaster, PicturedReplica, PicturedSentinel } from "./picture.ts";

/** The input of the state maps. */
export interface StateSource {
  readonly picture: Picture;
  readonly ages: Ages;
  readonly nowMs: number;
  /** Data node -> its last recorded replication offset. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Sentinel's defaults. Twine has no such settings; its failover takes less than a second. */
const FAILOVER_TIMEOUT_MS = 180_000;
const PARALLEL_SYNCS = 1;

type Field = readonly [key: string, value: string | number];

export function bulkText(text: string | number): RespValue {
  return { type: "bulk", bytes: Buffer.from(String(text)) };
}

function mapOf(fields: readonly Field[]): RespValue {
  return {
    type: "map",
    entries: fields.map(([key, value]) => [bulkText(key), bulkText(value)] as const),
  };
}

export function masterMap(source: StateSource, master: PicturedMaster): RespValue {
  const { picture, ages, nowMs } = source;
  const { name, node, host, port, runId, isSubjectivelyDown, isObjectivelyDown } = master;
  const flags = [
    ...(isSubjectivelyDown ? ["s_down"] : []),
    ...(isObjectivelyDown ? ["o_down"] : []),
    "master",
    ...(isSubjectivelyDown ? ["disconnected"] : []),
    ...(master.promoting === null ? [] : ["failover_in_progress"]),
  ];
  const downMs = ageMs(ages, factKeys.subjectivelyDown(name, node), nowMs);
  return mapOf([
    ["name", name],
    ["ip", host],
    ["port", port],
    ["runid", runId],
    ["flags", flags.join(",")],
    ...linkFields(
      source,
      isSubjectivelyDown ? downMs : undefined,
      isObjectivelyDown ? ageMs(ages, factKeys.objectivelyDown(name, node), nowMs) : undefined,
    ),
    ["info-refresh", knowledgeAgeMs(source)],
    ["role-reported", "master"],
    ["role-reported-time", ageMs(ages, factKeys.role(name, node, "master"), nowMs)],
    ["config-epoch", picture.epoch],
    ["num-slaves", master.replicas.length],
    ["num-other-sentinels", otherSentinels(picture).length],
    ["quorum", picture.quorum],
    ["failover-timeout", FAILOVER_TIMEOUT_MS],
    ["parallel-syncs", PARALLEL_SYNCS],
    ["twine-node", node],
    ["twine-db", master.db],
  ]);
}

/** As in Sentinel, `disconnected` tells clients not to read from the replica: one that is not in sync does not reply to
    reads. */
export function replicaMap(
  source: StateSource,
  master: PicturedMaster,
  replica: PicturedReplica,
): RespValue {
  const { ages, nowMs, offsets } = source;
  const { node, host, port, runId, isDown, isInSync } = replica;
  const flags = [
    ...(isDown ? ["s_down"] : []),
    "slave",
    ...(isInSync ? [] : ["disconnected"]),
    ...(master.isObjectivelyDown ? ["master_down"] : []),
    ...(master.promoting === node ? ["promoted"] : []),
  ];
  const downMs = ageMs(ages, factKeys.subjectivelyDown(master.name, node), nowMs);
  return mapOf([
    ["name", `${host}:${port}`],
    ["ip", host],
    ["port", port],
    ["runid", runId],
    ["flags", flags.join(",")],
    ...linkFields(source, isDown ? downMs : undefined, undefined),
    ["info-refresh", isDown ? downMs : knowledgeAgeMs(source)],
    ["role-reported", "slave"],
    ["role-reported-time", ageMs(ages, factKeys.role(master.name, node, "replica"), nowMs)],
    ["master-link-down-time", ageMs(ages, factKeys.notInSync(master.name, node), nowMs)],
    ["master-link-status", isInSync ? "ok" : "err"],
    ["master-host", master.host],
    ["master-port", master.port],
    ["slave-priority", 100],
    ["slave-repl-offset", offsets.get(node) ?? 0],
    ["replica-announced", 1],
    ["twine-node", node],
    ["twine-db", replica.db],
  ]);
}

export function sentinelMap(source: StateSource, sentinel: PicturedSentinel): RespValue {
  const { ages, nowMs } = source;
  const { node, id, host, port, isDown } = sentinel;
  const downMs = ageMs(ages, factKeys.sentinelDown(node), nowMs);
  return mapOf([
    ["name", id],
    ["ip", host],
    ["port", port],
    ["runid", id],
    ["flags", isDown ? "s_down,sentinel,disconnected" : "sentinel"],
    ...linkFields(source, isDown ? downMs : undefined, undefined),
    ["last-hello-message", isDown ? downMs : knowledgeAgeMs(source)],
    ["voted-leader", "?"],
    ["voted-leader-epoch", 0],
    ["twine-node", node],
  ]);
}

/** All sentinels except this monitor. */
export function otherSentinels(picture: Picture): readonly PicturedSentinel[] {
  return picture.sentinels.filter(({ node }) => node !== picture.self);
}

/** Fields of every instance; the two down times are there only while it is down. */
function linkFields(
  source: StateSource,
  downMs: number | undefined,
  objectivelyDownMs: number | undefined,
): Field[] {
  const lastReplyMs = downMs ?? knowledgeAgeMs(source);
  return [
    ["link-pending-commands", 0],
    ["link-refcount", 1],
    ["last-ping-sent", downMs ?? 0],
    ["last-ok-ping-reply", lastReplyMs],
    ["last-ping-reply", lastReplyMs],
    ...(downMs === undefined ? [] : [["s-down-time", downMs] as const]),
    ...(objectivelyDownMs === undefined ? [] : [["o-down-time", objectivelyDownMs] as const]),
    ["down-after-milliseconds", source.picture.downAfterMs],
  ];
}

function knowledgeAgeMs({ ages, nowMs }: StateSource): number {
  return ageMs(ages, factKeys.unconfirmed, nowMs);
}
