// what-if-text.ts: the predicted effect of a loss, as lines for people. Pure.
//
//   if a6666 died:
//     partition 0   a6666 -> a6667   killed: without a master for about 0.1 s; silent: about 1.6 s
//     partition 1   a7666 stays master
//     partition 2   HALT: it needs ...
import type { WhatIf, WhatIfPartition } from "./decide/what-if.ts";

export interface Losses {
  /** The node or host that was named. */
  readonly subject: string;
  readonly nodes: readonly string[];
  readonly killed: WhatIf;
  readonly silent: WhatIf;
}

/** Lines, each with a line feed at its end. */
export function whatIfText({ subject, nodes, killed, silent }: Losses): string {
  const who =
    nodes.length === 1 && nodes[0] === subject ? subject : `${subject} (${nodes.join(", ")})`;
  const lines = [`if ${who} died, the cluster would be ${worst(killed, silent)}`];
  if (killed.why !== "") lines.push(`  nothing would be decided: ${killed.why}`);
  for (const note of killed.notes) lines.push(`  ${note}`);
  for (const [at, partition] of killed.partitions.entries()) {
    const same = silent.partitions[at] ?? partition;
    lines.push(`  partition ${partition.index}  ${partitionText(partition, same)}`);
  }
  if (killed.partitions.length === 0) lines.push("  no partition would lose a data node");
  return `${lines.join("\n")}\n`;
}

function worst(killed: WhatIf, silent: WhatIf): string {
  return [killed.state, silent.state].includes("HALT") ? "HALT" : killed.state;
}

function partitionText(killed: WhatIfPartition, silent: WhatIfPartition): string {
  if (killed.masterThen === silent.masterThen && killed.masterThen !== null) {
    if (killed.withoutMasterMs === 0) return `${killed.masterThen} stays master`;
    const change = `${killed.masterNow ?? "none"} -> ${killed.masterThen}`;
    const times = `${seconds(killed)} when its process is killed, ${seconds(silent)} when it goes silent`;
    return `${change}, without a master for about ${times}`;
  }
  if (killed.masterThen === null && silent.masterThen === null) return haltText(killed);
  return `killed: ${outcome(killed)}; silent: ${outcome(silent)}`;
}

function outcome(partition: WhatIfPartition): string {
  return partition.masterThen === null
    ? haltText(partition)
    : `${partition.masterThen} after about ${seconds(partition)}`;
}

function haltText({ needs }: WhatIfPartition): string {
  return needs === null ? "HALT" : `HALT: it would need ${needs}`;
}

function seconds({ withoutMasterMs }: WhatIfPartition): string {
  return withoutMasterMs === null ? "?" : `${(withoutMasterMs / 1000).toFixed(1)} s`;
}
