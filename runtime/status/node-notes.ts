// node-notes.ts: the view's information on single data nodes beyond their role: rescues, troubles, retiring nodes. Pure.
import type { Rescue } from "../core/view.ts";
import type { ReportNode } from "./knowledge.ts";
import type { StatusProblem } from "./problem.ts";

/** One problem or note for each; rescues first. */
export function nodeNotes(nodes: readonly ReportNode[]): StatusProblem[] {
  return [
    ...nodes.flatMap((node) => (node.rescue === undefined ? [] : rescued(node, node.rescue))),
    ...nodes.flatMap(troublesOf),
    ...nodes.flatMap((node) => (node.retiring === true ? [retiring(node)] : [])),
    ...nodes.flatMap((node) => (node.otherConf === true ? [otherConf(node)] : [])),
    ...nodes.flatMap((node) =>
      node.otherSettings === undefined ? [] : [otherSettings(node, node.otherSettings)],
    ),
  ];
}

function troublesOf({ name, host, troubles = [] }: ReportNode): StatusProblem[] {
  return troubles.map(({ code, text, remedy }) => ({
    code,
    severity: "DEGRADED",
    subject: name,
    host,
    text,
    remedy,
  }));
}

/** First the data that could not be saved, then the data that was saved. */
function rescued(node: ReportNode, rescue: Rescue): StatusProblem[] {
  const { earlierRescues = [] } = node;
  if (rescue.kind === "saved") {
    const remedy = `when you have handled the files: twine-failover --forget-rescue ${node.name}`;
    return [saved(node, [...earlierRescues, rescue], remedy)];
  }
  const others = earlierRescues.length === 0 ? [] : [saved(node, earlierRescues, null)];
  return [kept(node, rescue), ...others];
}

/** A note until an operator has handled the files; nothing is wrong any more. */
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
    text: `accepted writes${times} while another node was master; its data is saved in ${places.join(", ")}`,
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
      "accepted writes while another node was master, keeps them, and follows no master: " +
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
        : "is no longer in twine.conf and leaves the cluster when the other nodes have its data",
    remedy: null,
  };
}

function otherConf({ name, host }: ReportNode): StatusProblem {
  return {
    code: "OTHER_CONF",
    severity: "NOTE",
    subject: name,
    host,
    text: "holds another twine.conf than the adopted one; its log and /healthz say what differs",
    remedy: "give every monitor the same twine.conf, then twine-reload on each host",
  };
}

/** A note: the running node works, and a person decides when it restarts. */
function otherSettings({ name, host }: ReportNode, differing: string): StatusProblem {
  return {
    code: "OTHER_SETTINGS",
    severity: "NOTE",
    subject: name,
    host,
    text: `runs with other settings than the redis lines of twine.conf: ${differing}`,
    remedy: `twine-apply on host ${host}; where it is a container: pulumi up`,
  };
}
