// node-notes.ts: what the view says of single data nodes beyond their role: rescued data, and nodes on their way out. Pure.
import type { Rescue } from "../core/view.ts";
import type { ReportNode } from "./knowledge.ts";
import type { StatusProblem } from "./problem.ts";

/** One problem or note for each; the rescues first. */
export function nodeNotes(nodes: readonly ReportNode[]): StatusProblem[] {
  return [
    ...nodes.flatMap((node) => (node.rescue === undefined ? [] : rescued(node, node.rescue))),
    ...nodes.flatMap((node) => (node.retiring === true ? [retiring(node)] : [])),
  ];
}

/** What could not be saved, and before that what was. */
function rescued(node: ReportNode, rescue: Rescue): StatusProblem[] {
  const { earlierRescues = [] } = node;
  if (rescue.kind === "saved") {
    const remedy = `when it was seen to: twine-failover --forget-rescue ${node.name}`;
    return [saved(node, [...earlierRescues, rescue], remedy)];
  }
  const others = earlierRescues.length === 0 ? [] : [saved(node, earlierRescues, null)];
  return [kept(node, rescue), ...others];
}

/** The files lie there until somebody has seen to them: a note, for nothing is wrong any more. */
function saved(
  { name, host }: ReportNode,
  rescues: readonly Rescue[],
  remedy: string | null,
): StatusProblem {
  const places = rescues.map(({ place }) => place ?? "");
  const times = places.length === 1 ? "" : ` ${places.length} times`;
  return {
    code: "RESCUED",
    severity: "NOTE",
    subject: name,
    host,
    text: `took writes${times} while another node was master; all that it held then lies in ${places.join(", ")}`,
    remedy,
  };
}

function kept({ name, host }: ReportNode, rescue: Rescue): StatusProblem {
  return {
    code: "RESCUE_FAILED",
    severity: "DEGRADED",
    subject: name,
    host,
    text:
      "took writes while another node was master, and keeps them, following nobody: " +
      `they could not be saved: ${rescue.why}`,
    remedy: `twine-stop ${name}; copy its data folder; twine-start ${host}: then it follows the master and drops them`,
  };
}

function retiring({ name, host, role }: ReportNode): StatusProblem {
  return {
    code: "RETIRING",
    severity: "NOTE",
    subject: name,
    host,
    text:
      role === "master"
        ? "is no longer in twine.conf and hands over to another node"
        : "is no longer in twine.conf and leaves the cluster when the others have what it has",
    remedy: null,
  };
}
