// load-text.ts: the end of a load, in words and as JSON. Pure.
import { TwineError } from "../../core/errors.ts";
import { NodeError } from "../../replication/node-error.ts";
import type { LoadReport } from "./load-options.ts";

export function endText(source: string, report: LoadReport, isSwitched: boolean): string {
  const { keys, scattered, leftOut, copies } = report;
  const lines = [
    copies === 0
      ? `the cluster has every write of ${source}: it went on from the checkpoint`
      : `the cluster has all data of ${source}: ${keys} keys were copied, then every later write`,
  ];
  if (scattered.twice + scattered.misplaced > 0) {
    lines.push(
      `${scattered.twice} keys were on more than one server, ${scattered.misplaced} only where no client looks for them: ${scattered.examples.map(({ key }) => JSON.stringify(key)).join(", ")}`,
    );
  }
  if (leftOut > 0) lines.push(`${leftOut} copies were left out, because they don't count`);
  if (isSwitched) lines.push("it no longer follows the source");
  return `${lines.join("\n")}\n`;
}

export function reportJson(report: LoadReport): string {
  const { keys, bytes, lagBytes, changes, copies, scattered, leftOut, verified } = report;
  const { twice, misplaced, examples } = scattered;
  const ok = verified?.isSame !== false;
  return `${JSON.stringify({ ok, keys, bytes, lagBytes, changes, copies, duplicates: { twice, misplaced, leftOut, examples }, verified })}\n`;
}

/** What to do about it, for what has no remedy of its own. */
export function loadFailure(
  source: string,
  error: unknown,
  {
    checkpoint,
    isSwitched,
  }: { readonly checkpoint: string | undefined; readonly isSwitched: boolean },
): unknown {
  if (!(error instanceof NodeError)) return error;
  const next = nextStep(checkpoint, isSwitched);
  const remedy =
    error.kind === "denied"
      ? "let TWINE_SOURCE_PASSWORD_FILE (of a Sentinel: TWINE_SENTINEL_PASSWORD_FILE) name a file with the password of its user default"
      : `see whether the source and the cluster run and can be reached from here; ${next}`;
  return new TwineError(
    { code: "LOAD_BROKEN", message: `${source}: ${error.message}`, remedy },
    { cause: error },
  );
}

/** Never a word of emptying where the application may use the cluster. */
function nextStep(checkpoint: string | undefined, isSwitched: boolean): string {
  if (checkpoint !== undefined)
    return "then run the same command again: it goes on from the checkpoint";
  return isSwitched
    ? "the application may use the cluster already, so leave its keys as they are; twine-verify shows whether writes of the source are missing"
    : "then empty the cluster if it holds a part (FLUSHALL at a router), and load again";
}
