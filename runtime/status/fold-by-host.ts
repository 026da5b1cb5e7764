// fold-by-host.ts: combines the problems of one host: when it fails, all its nodes are dead, and one command repairs them.
// Pure. Formats for people show that once; json and xml, for programs, keep one problem per node.
import type { StatusProblem } from "./problem.ts";

/** Combines the dead nodes of one host to one problem, because one command repairs them. */
export function foldByHost(problems: readonly StatusProblem[]): StatusProblem[] {
  const dead = problems.filter((problem) => problem.code === "NODE_DEAD");
  return problems.flatMap((problem) => {
    if (problem.code !== "NODE_DEAD") return [problem];
    const peers = dead.filter((other) => other.host === problem.host);
    if (peers.length === 1) return [problem];
    if (peers[0] !== problem) return [];
    return [{ ...problem, subject: problem.host ?? "", text: deadTogether(peers) }];
  });
}

const NAMES_MAX = 8;

function deadTogether(peers: readonly StatusProblem[]): string {
  const names = peers.slice(0, NAMES_MAX).map((peer) => peer.subject);
  const rest = peers.length - names.length;
  const tail = rest === 0 ? "" : ` and ${rest} more`;
  return `${peers.length} nodes are dead: ${names.join(" ")}${tail}`;
}
