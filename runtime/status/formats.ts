// formats.ts: the formats by name, and the exit code for each state. Pure.
import { didYouMean } from "../core/conf/suggest.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { ClusterState } from "../core/view.ts";

/** conf: the adopted twine.conf instead of the status. */
export const STATUS_FORMATS = ["summary", "list", "xml", "html", "json", "conf"] as const;
export type StatusFormat = (typeof STATUS_FORMATS)[number];

/** The exit code of twine-status when the state is known. */
export const STATE_EXIT: Readonly<Record<ClusterState, number>> = Object.freeze({
  OK: EXIT.ok,
  DEGRADED: 10,
  HALT: 20,
});

/** The format with the name `word`; without it summary, or json when `isJson`. Throws STATUS_FORMAT_UNKNOWN or
    STATUS_FORMAT_CONFLICT, both usage errors. */
export function formatOf(word: string | undefined, isJson: boolean): StatusFormat {
  const wanted = word ?? (isJson ? "json" : "summary");
  const format = STATUS_FORMATS.find((name) => name === wanted);
  if (format === undefined) {
    throw new TwineError(
      {
        code: "STATUS_FORMAT_UNKNOWN",
        message: `there is no format ${wanted}${didYouMean(wanted, STATUS_FORMATS)}`,
        remedy: `use one of ${STATUS_FORMATS.join(", ")}`,
      },
      { exitCode: EXIT.usage },
    );
  }
  if (!isJson || format === "json") return format;
  throw new TwineError(
    {
      code: "STATUS_FORMAT_CONFLICT",
      message: `--json conflicts with the format ${format}`,
      remedy: "give one of the two",
    },
    { exitCode: EXIT.usage },
  );
}
