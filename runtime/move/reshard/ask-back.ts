// ask-back.ts: asks the twine-reshard that keeps the way back to let the old partitions serve again, and waits for it.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { ClusterConfig } from "../../core/cluster.ts";
import { TwineError } from "../../core/errors.ts";
import { isSameHashing } from "../../core/hashing.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { openRedisLink } from "../../ports/redis-link.ts";
import type { Secret } from "../../core/credentials.ts";
import { readChosenView } from "../../register/chosen-view.ts";
import { openSharedHashes } from "../../register/shared-hashes.ts";
import { AlphaSteps } from "./alpha-steps.ts";

export interface AskBackOptions {
  /** The old or the new twine.conf: for its status nodes. */
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 100;

/** Throws NO_WAY_BACK, and NOT_RETURNED when the new partitions serve on. */
export async function askBack({ config, password, clock, signal }: AskBackOptions): Promise<void> {
  const nodes = config.nodes.filter(({ kind }) => kind !== "data");
  const access = { config: { ...config, nodes }, password, clock, openLink: openRedisLink };
  const { reshard: record } = await readChosenView(access);
  if (record?.isBack !== true) throw noWayBack();
  const board = openSharedHashes({ ...access, user: "monitor" });
  try {
    const by = `process ${process.pid} on ${hostname()}`;
    const alpha = new AlphaSteps({ board, clock, token: record.token, by, newId: randomUUID });
    await alpha.ask("back");
    const endMs = clock.nowMs() + WITHIN_MS;
    for (;;) {
      const view: View = await readChosenView(access);
      const isSame = view.hashing !== undefined && isSameHashing(view.hashing, record.hashing);
      if ((view.reshard ?? null) === null && isSame) return;
      if (view.reshard?.token !== record.token || clock.nowMs() > endMs) throw notReturned();
      signal.throwIfAborted();
      await clock.delay(LOOK_EVERY_MS);
    }
  } finally {
    await board.close();
  }
}

function noWayBack(): TwineError {
  return new TwineError({
    code: "NO_WAY_BACK",
    message: "there is no way back to the partitions from before",
    remedy:
      "there is one only after the switch, while that twine-reshard still runs (--way-back); later, run another resharding",
  });
}

function notReturned(): TwineError {
  return new TwineError({
    code: "NOT_RETURNED",
    message: "the old partitions do not serve",
    remedy:
      "the twine-reshard that kept the way back says why; twine-status shows which partitions serve",
  });
}
