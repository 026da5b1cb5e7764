// hand-edit.ts: decides what happens to one generated file. Pure.
// A file is generated while its digest is one that Twine wrote; any other text counts as edited by hand and is kept.
//
//   on the disk           wanted differs   what happens
//   nothing               -                write
//   wanted                no               same
//   what we wrote         yes              write
//   anything else         yes              edited: kept and named; written with --overwrite
import { createHash } from "node:crypto";

/** Path below the host's folder -> digests of the texts that twine-setup wrote, or was about to write. */
export type Generated = Readonly<Record<string, readonly string[]>>;

export type FileDecision = "write" | "same" | "edited";

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function decideFile(input: {
  readonly wanted: string;
  readonly existing: string | undefined;
  readonly remembered: readonly string[];
  readonly overwrite: boolean;
}): FileDecision {
  const { wanted, existing, remembered, overwrite } = input;
  if (existing === undefined) return "write";
  if (existing === wanted) return "same";
  return overwrite || remembered.includes(digestOf(existing)) ? "write" : "edited";
}

/** The parsed .generated.json; an unreadable one counts as empty, so that every differing file is kept. */
export function parseGenerated(text: string | undefined): Generated {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return {};
    const entries = Object.entries(value).filter(
      (entry): entry is [string, string[]] =>
        Array.isArray(entry[1]) && entry[1].every((digest) => typeof digest === "string"),
    );
    return Object.fromEntries(entries);
  } catch {
    return {};
  }
}
