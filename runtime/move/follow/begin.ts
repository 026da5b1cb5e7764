// begin.ts: an empty partition begins to copy another system's master.
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { ImportedNode } from "../import/imported.ts";
import type { BackOptions } from "./go-back.ts";
import { OldMaster } from "./old-master.ts";
import { copyWith, nodesOfPartition } from "./own-nodes.ts";
import { requireForeign, requirePartition } from "./require-foreign.ts";
import { bodyOf } from "./switch-over.ts";

const ANSWER_WITHIN_MS = 15_000;
const COPY_WITHIN_MS = 30_000;

/** The nodes get the old master's password before they follow it. */
export async function begin(
  view: View,
  partition: number,
  old: ImportedNode,
  context: BackOptions,
): Promise<void> {
  requirePartition(view, partition);
  const nodes = nodesOfPartition(view, partition);
  const server = await OldMaster.open(old, context.source);
  try {
    await requireForeign(server, view, partition, context.source);
    const { isMaster, follows } = await server.state();
    if (!isMaster) {
      throw new TwineError({
        code: "OLD_NOT_MASTER",
        message: `${server.address} is no master: it follows ${follows}`,
        remedy: `twine-follow ${partition} redis://${follows}`,
      });
    }
  } finally {
    server.close();
  }
  const body = bodyOf("begin", { partition, following: old }, context);
  const message = await context.ask(body, ANSWER_WITHIN_MS);
  await copyWith(nodes, context.sourcePassword, context);
  const endMs = context.clock.nowMs() + COPY_WITHIN_MS;
  for (;;) {
    const { partitions } = await context.readView();
    const following = partitions.find(({ index }) => index === partition)?.following ?? null;
    if (following?.phase === "copying") break;
    if (following === null || context.clock.nowMs() > endMs) throw notBegun(partition);
    await context.clock.delay(100);
  }
  context.say(message);
}

function notBegun(partition: number): TwineError {
  return new TwineError({
    code: "NOT_BEGUN",
    message: `partition ${partition} does not follow: a client has written to it meanwhile, or a node is away`,
    remedy:
      "see twine-status; stop the clients of this cluster, empty the partition, and try again",
  });
}
