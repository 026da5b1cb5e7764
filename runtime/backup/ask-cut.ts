// ask-cut.ts: what a backup needs of a running cluster for its cut: the alpha's moment, and whom to read from now.
import { parseCut, type Cut } from "../core/cut.ts";
import { TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import { askAlpha } from "../register/ask-alpha.ts";
import type { SharedHashes } from "../register/shared-hashes.ts";
import { sourcesOf } from "../replication/choose-source.ts";
import type { CutPorts } from "./consistent-cut.ts";

export interface AskCutOptions {
  readonly board: SharedHashes;
  /** The chosen view; rejects when there is none. */
  readonly readView: () => Promise<View>;
  readonly clock: Clock;
  /** Who asks, for people. */
  readonly by: string;
  /** An id that nobody else uses. */
  readonly newId: () => string;
}

const ANSWER_WITHIN_MS = 15_000;

export function cutPorts(options: AskCutOptions): CutPorts {
  const { board, readView, clock, by, newId } = options;
  return {
    ask: async (): Promise<Cut> => {
      const body = { kind: "cut", by } as const;
      const asking = { clock, id: newId(), withinMs: ANSWER_WITHIN_MS };
      const parsed = parseCut(await askAlpha(board, body, asking));
      if (parsed.kind === "parsed") return parsed.value;
      throw new TwineError({
        code: "CUT_UNREADABLE",
        message: `the alpha's answer is no cut: ${parsed.why}`,
        remedy: "use the version of Twine that the monitors run",
      });
    },
    sourcesNow: async (partition) => {
      const view = await readView().catch(() => undefined);
      return view === undefined ? [] : sourcesOf(view, partition);
    },
  };
}
