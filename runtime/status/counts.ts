// counts.ts: how many nodes of each kind have which role. Pure.
// For formats that must stay short whatever the number of nodes.
import type { NodeRole, NodeView } from "../core/view.ts";
import type { StatusReport } from "./report.ts";

export interface KindCount {
  readonly kind: NodeView["kind"];
  /** In the plural, for people: "data nodes". */
  readonly title: string;
  readonly total: number;
  /** Roles that occur, best first. */
  readonly roles: readonly { readonly role: NodeRole; readonly count: number }[];
  /** The number of nodes that are alive but not in sync. */
  readonly behind: number;
}

const TITLES = [
  ["data", "data nodes"],
  ["status", "status nodes"],
  ["monitor", "monitors"],
  ["router", "routers"],
] as const;
const ROLES: readonly NodeRole[] = ["master", "replica", "up", "dead"];

/** Kinds without nodes are left out. */
export function countsOf(report: StatusReport): KindCount[] {
  return TITLES.map(([kind, title]): KindCount => {
    const nodes = report.nodes.filter((node) => node.kind === kind);
    const roles = ROLES.map((role) => ({
      role,
      count: nodes.filter((node) => node.role === role).length,
    }));
    return {
      kind,
      title,
      total: nodes.length,
      roles: roles.filter(({ count }) => count > 0),
      behind: nodes.filter((node) => node.role !== "dead" && !node.inSync).length,
    };
  }).filter(({ total }) => total > 0);
}
