// verified-text.ts: what twine-verify has found, for people. Pure.
import type { Verified } from "./verify.ts";

const SHOWN_COUNT = 20;

export function verifiedText(verified: Verified): string {
  const { isSame, sourceKeys, targetKeys, passes } = verified;
  const times = passes === 1 ? "once" : `${passes} times`;
  const first = isSame
    ? `the same: ${sourceKeys} keys, compared ${times}`
    : `different: ${sourceKeys} keys in the source, ${targetKeys} in the target, compared ${times}`;
  return `${[first, ...differenceLines(verified, SHOWN_COUNT)].join("\n")}\n`;
}

/** A line for each kind of difference, with the first keys of it. */
export function differenceLines(verified: Verified, shownMax: number): string[] {
  const { counts, differences, unloadable } = verified;
  const lines: string[] = [];
  const words = {
    ...{ missing: "missing in the target", extra: "only in the target" },
    differs: "with another value or expiry",
    "twice in source": "on more than one server of the source",
    "twice in target": "on more than one server of the target",
  };
  for (const [kind, text] of Object.entries(words)) {
    const count = counts[kind as keyof typeof words];
    if (count === 0) continue;
    const keys = differences.filter((one) => one.kind === kind).slice(0, shownMax);
    const names = keys.map(({ key, db }) => `${shown(key)}${db === 0 ? "" : ` of database ${db}`}`);
    lines.push(`${count} ${text}: ${names.join(", ")}${count > keys.length ? ", ..." : ""}`);
  }
  const { librariesOfSource, librariesOfTarget } = verified;
  if (librariesOfSource.length > 0) {
    lines.push(`functions that only the source has: ${librariesOfSource.map(shown).join(", ")}`);
  }
  if (librariesOfTarget.length > 0) {
    lines.push(`functions that only the target has: ${librariesOfTarget.map(shown).join(", ")}`);
  }
  if (unloadable > 0) {
    lines.push(
      `${unloadable} values that differ byte by byte could not be loaded by this redis-server; name a newer one: --server`,
    );
  }
  return lines;
}

/** What somebody else has chosen must not steer the terminal. */
function shown(text: string): string {
  return `'${text.replace(/[\p{Cc}\p{Cf}]/gu, "?")}'`;
}
