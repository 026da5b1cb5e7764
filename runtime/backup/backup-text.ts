// backup-text.ts: what people read of backups: sizes, ages, the list, the line of progress. Pure.
import type { ArchiveSpan } from "./archive/archive-spans.ts";
import type { ArchiveState } from "../core/archive-state.ts";
import type { ListedBackup } from "./list-backups.ts";
import type { Manifest } from "./manifest.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `1.4 GB`: powers of 1000. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ""}`;
}

/** `3 min`, `2 h`, `5 d`: the largest unit that is full at least once. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** One line of what an archiver says, without what changes every second. */
export function archiveText({ lagMs, gapAt, gapWhy, noBase, failed }: ArchiveState): string {
  const parts = [
    lagMs < 2000 ? "recording" : `recording, ${ageText(lagMs)} behind`,
    ...(gapAt === null ? [] : [`a gap ended at ${gapAt}: ${gapWhy}`]),
    ...(noBase === "" ? [] : [`needs a backup: ${noBase}`]),
    ...(failed === "" ? [] : [`fails: ${failed}`]),
  ];
  return parts.join("; ");
}

export function listText(backups: readonly ListedBackup[], nowMs: number): string {
  if (backups.length === 0) return "there is no backup yet\n";
  const rows = backups.map((backup) => [
    backup.id,
    `${ageText(nowMs - backup.startedAtMs)} old`,
    bytesText(backup.bytes),
    `${backup.keys} keys`,
    backup.isConsistent ? "one moment" : "a moment per partition",
    provedText(backup),
    backup.targets.join(", "),
  ]);
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** The stronger of two good proofs; a bad one that is newer than it counts. */
function provedText({ verified, rehearsed }: ListedBackup): string {
  const proofs = [verified, rehearsed].filter((proof) => proof !== null);
  const bad = proofs.find(({ ok, at }) => !ok && proofs.every((other) => other.at <= at));
  const best = bad ?? (rehearsed?.ok === true ? rehearsed : verified);
  if (best === null) return "never verified";
  const word = best.ok ? (best === rehearsed ? "rehearsed" : "verified") : "BROKEN";
  return `${word} ${best.at.slice(0, 16).replace("T", " ")}`;
}

/** From when to when the archive leads; nothing without one. */
export function spansText(spans: readonly ArchiveSpan[]): string {
  return spans
    .map(({ target, from, to, gap }) => {
      const before = gap === "" ? "" : `; a gap before it: ${gap}`;
      return from === null
        ? `archive in ${target}: no backup leads to what was recorded up to ${to}${before}\n`
        : `archive in ${target}: any moment from ${from} to ${to}${before}\n`;
    })
    .join("");
}

/** What was saved, and what somebody should know of it. */
export function savedText(manifest: Manifest, targets: readonly string[]): string {
  const { partitions } = manifest;
  const sum = (of: (saved: Manifest["partitions"][number]) => number): number =>
    partitions.reduce((total, saved) => total + of(saved), 0);
  const lines = [
    `${manifest.id}: ${sum(({ keys }) => keys)} keys of ${partitions.length} ` +
      `${partitions.length === 1 ? "partition" : "partitions"}, ` +
      `${bytesText(sum(({ bytes }) => bytes))}, in ${targets.join(", ")}`,
  ];
  if (manifest.cut !== undefined) {
    const ms = Math.ceil(manifest.cut.pausedMs);
    lines.push(`one moment of all partitions: ${manifest.cut.at}; writes waited ${ms} ms for it`);
  }
  for (const { partition, node, role, misplaced } of partitions) {
    if (role === "master") {
      lines.push(
        `partition ${partition} was taken from its master ${node}: no replica in sync gave its data`,
      );
    }
    if (misplaced.count > 0) {
      lines.push(
        `partition ${partition} holds ${misplaced.count} keys whose hash names another partition, such as ` +
          misplaced.examples.slice(0, 3).map(keyText).join(", "),
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function keyText(base64: string): string {
  return JSON.stringify(Buffer.from(base64, "base64").toString("latin1").slice(0, 60));
}

/** One line: bytes, rate, and the time left where the backup before says how much there is. */
export function progressText(progress: {
  readonly bytes: number;
  readonly bytesExpected: number | undefined;
  readonly elapsedMs: number;
}): string {
  const { bytes, bytesExpected, elapsedMs } = progress;
  const rate = elapsedMs > 0 ? (bytes * 1000) / elapsedMs : 0;
  const parts = [bytesText(bytes), `${bytesText(rate)}/s`];
  if (bytesExpected !== undefined && bytesExpected > bytes && rate > 0) {
    parts.push(`about ${ageText(((bytesExpected - bytes) / rate) * 1000)} left`);
  }
  return parts.join(", ");
}
