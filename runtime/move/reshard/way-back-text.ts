// way-back-text.ts: how a resharding ended, with its way back: in words, and as twine-reshard's exit code. Pure.
import { EXIT } from "../../core/errors.ts";
import type { WayBackEnd } from "./way-back.ts";

/** The exit code when the old partitions serve again. */
export const RETURNED = 3;

/** `wayBack` is undefined when none was kept. */
export function endCode(wayBack: Pick<WayBackEnd, "kind"> | undefined): number {
  if (wayBack?.kind === "returned") return RETURNED;
  return wayBack?.kind === "unknown" ? EXIT.failure : EXIT.ok;
}

/** `file`: the new twine.conf. */
export function endText(wayBack: WayBackEnd | undefined, file: string): string {
  const next =
    `Now replace twine.conf by ${file} on every host and run twine-apply there: it also stops the old data nodes.\n` +
    "Their folders stay, with the data from before.\n";
  switch (wayBack?.kind) {
    case undefined:
      return next;
    case "returned":
      return (
        `the old partitions serve again; requests were held for ${wayBack.heldMs ?? 0} ms\n` +
        `The data nodes of ${file} are not needed any more: stop them, or use them again with --empty.\n`
      );
    case "unknown":
      return `it is not known which partitions serve: ${wayBack.why}\ntwine-status shows it.\n`;
    case "lost":
      return `the way back could not be kept: ${wayBack.why}. The new partitions serve on.\n${next}`;
    case "over":
    case "interrupted":
      return `the way back has ended; the new partitions serve on.\n${next}`;
  }
}
