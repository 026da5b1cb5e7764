// router-section.ts: the section "# Router" of INFO: the router's knowledge of the cluster. Pure.
import type { View } from "../../core/view.ts";

export interface RouterFacts {
  readonly view: View | undefined;
  /** A majority of the status nodes has confirmed the view within the lease: writes are sent. */
  readonly isConfirmed: boolean;
  readonly partitions: number;
  /** Why nothing is routed; undefined if requests are routed. */
  readonly mismatch: string | undefined;
  /** Clients of this process. */
  readonly clientCount: number;
}

/** The section's lines with CRLF, the title first. */
export function routerSection(facts: RouterFacts): string {
  const { view } = facts;
  const masters = Array.from({ length: facts.partitions }, (_, index) => masterLine(view, index));
  const withoutMasterCount = masters.filter((line) => line === NO_MASTER).length;
  const lines = [
    "# Router",
    `twine_cluster:${view?.cluster ?? ""}`,
    `twine_state:${view?.state ?? "unknown"}`,
    `twine_epoch:${view?.epoch ?? 0}`,
    `twine_revision:${view?.revision ?? 0}`,
    `twine_alpha:${view?.alpha ?? ""}`,
    `router_view_confirmed:${facts.isConfirmed ? 1 : 0}`,
    ...(facts.mismatch === undefined ? [] : [`router_mismatch:${facts.mismatch}`]),
    `router_connected_clients:${facts.clientCount}`,
    `router_partitions:${facts.partitions}`,
    `router_partitions_without_master:${withoutMasterCount}`,
    ...masters.map((line, index) => `partition${index}:${line}`),
  ];
  return `${lines.join("\r\n")}\r\n`;
}

const NO_MASTER = "master=none";

function masterLine(view: View | undefined, index: number): string {
  const partition = view?.partitions.find((one) => one.index === index);
  const master = view?.nodes.find(({ name }) => name === partition?.master);
  if (partition === undefined || master === undefined) return NO_MASTER;
  return (
    `master=${master.name},host=${master.host},port=${master.port},db=${master.db ?? 0},` +
    `replicas=${partition.replicas.length}`
  );
}
