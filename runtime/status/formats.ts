// formats.ts: the formats by name, and the exit code by state. Pure.
import { didYouMean } from "../core/conf/suggest.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { ClusterState } from "../core/view.ts";

export const STATUS_FORMATS = ["summary", "list", "xml", "html", "json"] as const;
export type StatusFormat = (typeof STATUS_FORMATS)[number];

/** What twine-status ends with once it knows the state. */
export const STATE_EXIT: Readonly<Record<ClusterState, number>> = Object.freeze({
  OK: EXIT.ok,
  DEGRADED: 10,
  HALT: 20,
});

/** The format called `word`; summary without one, json when `isJson`. Throws STATUS_FORMAT_UNKNOWN, a usage error. */
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
      code: "STATUS_FORMAT_CLASH",
      message: `--json clashes with the format ${format}`,
      remedy: "give one of the two",
    },
    { exitCode: EXIT.usage },
  );
}
