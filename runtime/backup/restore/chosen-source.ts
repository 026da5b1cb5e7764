// chosen-source.ts: what is restored: a backup as it is, or a moment that the archive leads to from one.
import type { ClusterConfig } from "../../core/cluster.ts";
import { EXIT, TwineError } from "../../core/errors.ts";
import { chooseMoment } from "../archive/choose-moment.ts";
import { readLegs } from "../archive/read-legs.ts";
import type { Identities } from "../encryption.ts";
import type { Manifest } from "../manifest.ts";
import type { TargetPorts } from "../targets/open-targets.ts";
import type { BackupTarget } from "../targets/target.ts";
import { chosenBackup, targetsFor } from "./chosen-backup.ts";
import type { ReadFeed } from "./play-to-cut.ts";

export interface SourceQuery {
  /** An id, the path of a copy, or latest; undefined: any that leads to the moment. */
  readonly which: string | undefined;
  /** --to: ISO 8601 or latest. */
  readonly to?: string | undefined;
  /** --partition: this one alone. */
  readonly partition?: number | undefined;
  readonly identities?: Identities | undefined;
  readonly signal: AbortSignal;
}

export interface ChosenSource {
  readonly target: BackupTarget;
  /** With the one partition alone, if one is asked for. */
  readonly manifest: Manifest;
  /** Unix milliseconds. */
  readonly takenAtMs: number;
  /** Of a moment in the archive: what comes behind each RDB. */
  readonly readFeed: ReadFeed | undefined;
  /** Which moment it is, for people; undefined: that of the backup. */
  readonly moment: MomentFound | undefined;
}

export interface MomentFound {
  /** ISO 8601. */
  readonly at: string;
  /** The backup that leads to it. */
  readonly backup: string;
  /** Why a later moment could not be had; empty: as far as is known there is none. */
  readonly why: string;
}

/** Throws BACKUP_UNKNOWN, MOMENT_UNKNOWN, TIME_BAD, PARTITION_UNKNOWN. */
export async function chosenSource(
  config: ClusterConfig,
  query: SourceQuery,
  ports: TargetPorts,
): Promise<ChosenSource> {
  const { which, to, partition, identities, signal } = query;
  if (to === undefined) {
    const { target, manifest } = await chosenBackup(config, which ?? "latest", ports);
    const { cut, partitions } = manifest;
    const times = cut === undefined ? partitions.map(({ takenAt }) => takenAt) : [cut.at];
    const takenAtMs = Math.min(...times.map((time) => Date.parse(time)));
    return {
      target,
      manifest: only(manifest, partition),
      takenAtMs,
      readFeed: undefined,
      moment: undefined,
    };
  }
  const toMs = timeIn(to);
  const { targets, id } = targetsFor(config, which ?? "latest", ports);
  const baseId = id === "latest" ? undefined : id;
  const found = await chooseMoment(targets, { toMs, partition, baseId, signal });
  const { target, manifest, at, legs, why } = found;
  const readFeed: ReadFeed | undefined =
    legs === undefined
      ? undefined
      : (saved, onChunk) =>
          readLegs(target.archive, legs[saved.partition] ?? [], saved, {
            ...{ signal, identities, onChunk, isExact: partition === undefined },
          });
  return {
    ...{ target, readFeed, takenAtMs: Date.parse(at) },
    manifest: only(manifest, partition),
    moment: { at, backup: manifest.id, why },
  };
}

function only(manifest: Manifest, partition: number | undefined): Manifest {
  if (partition === undefined) return manifest;
  const partitions = manifest.partitions.filter((saved) => saved.partition === partition);
  if (partitions.length > 0) return { ...manifest, partitions };
  throw new TwineError(
    {
      code: "PARTITION_UNKNOWN",
      message: `${manifest.id} has no partition ${partition}`,
      remedy: `name one from 0 to ${manifest.partitions.length - 1}`,
    },
    { exitCode: EXIT.usage },
  );
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

/** Unix milliseconds; Infinity for latest. Pure. Throws TIME_BAD. */
export function timeIn(text: string): number {
  if (text === "latest") return Infinity;
  const ms = TIME.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new TwineError(
    {
      code: "TIME_BAD",
      message: `--to ${text}: this is no time`,
      remedy: "write it with its zone, as in 2026-11-30T17:04:05Z, or: latest",
    },
    { exitCode: EXIT.usage },
  );
}
