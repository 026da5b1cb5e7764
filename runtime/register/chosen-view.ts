// chosen-view.ts: reads the view for a tool that needs one, or throws the reason why there is none.
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { parseView } from "../core/parse-view.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import { openAcceptors, type StatusNodesOptions } from "./acceptors.ts";
import { failureText, type Failures } from "./gather.ts";
import { remedyFor } from "./open-view.ts";
import { NEEDED_WITHIN_MS, readWhileLate } from "./read-while-late.ts";

/** Throws the same errors as requireView(). */
export async function readChosenView(ports: StatusNodesOptions): Promise<View> {
  const opened = openAcceptors(ports);
  try {
    const { cluster } = ports.config.settings;
    const reading = await readWhileLate(ports.clock, opened.acceptors, cluster, ({ value }) =>
      value === null ? NEEDED_WITHIN_MS : 0,
    );
    const body = reading.value?.body ?? null;
    return requireView(body === null ? null : parseView(body), reading.silent, ports.config);
  } finally {
    opened.close();
  }
}

/** Throws STATUS_UNREACHABLE and NO_VIEW, each with the failures of the silent status nodes, and CLUSTER_DIFFERS. */
export function requireView(view: View | null, silent: Failures, config: ClusterConfig): View {
  requireSameCluster(view, config);
  if (view !== null) return view;
  const failures = [...silent.values()];
  const reasons = failures.map(failureText).join("; ");
  const count = nodesOf(config, "status").length;
  const answered = count - failures.length;
  if (answered < majorityOf(count)) {
    throw new TwineError({
      code: "STATUS_UNREACHABLE",
      message: `only ${answered} of ${count} status nodes of ${config.file} answered; ${reasons}`,
      remedy: remedyFor(failures.map(({ kind }) => kind)),
    });
  }
  throw new TwineError({
    code: "NO_VIEW",
    message: `the status nodes that answered hold no confirmed view${reasons === "" ? "" : ` (${reasons})`}`,
    remedy:
      failures.length === 0
        ? "start the monitors with twine-start; one of them publishes the view"
        : remedyFor(failures.map(({ kind }) => kind)),
  });
}
