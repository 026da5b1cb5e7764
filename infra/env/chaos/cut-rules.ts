// cut-rules.ts: a cut of one node as rules of nftables, for the addresses of its environment alone. Pure.
//
//   node ──▶ others      by the address that it connects from, and by its own address and ports
//   others ──▶ node      the same the other way round
//
// The packets are dropped where they arrive: the sender notices nothing, as with a cable that was pulled.
import type { ClusterConfig, ClusterNode } from "../../../runtime/core/cluster.ts";
import { portsOf } from "../../../runtime/core/conf/relations.ts";
import { assert } from "../../../runtime/core/errors.ts";
import type { SourceAddresses } from "../source-address.ts";
import type { Cut } from "./schedule.ts";

/** What nft reads: the table with its chain and rules in one line, so in one transaction. Its owner is who sends it. */
export function cutTable(
  config: ClusterConfig,
  sources: SourceAddresses,
  node: ClusterNode,
  cut: Cut,
): string {
  return tableOf(node, cutRules(config, sources, node, cut));
}

/** The same with one rule that changes nothing: whether this user may make it at all. */
export function trialTable(node: ClusterNode): string {
  return tableOf(node, [`ip saddr . tcp sport { ${node.host} . ${node.port} } accept`]);
}

function tableOf(node: ClusterNode, rules: readonly string[]): string {
  const table = `ip ${cutTableName(node)}`;
  const chain = `${table} arriving`;
  return [
    `add table ${table} { flags owner; }`,
    `add chain ${chain} { type filter hook input priority 0; policy accept; }`,
    ...rules.map((rule) => `add rule ${chain} ${rule}`),
  ].join("; ");
}

/** An environment has one cut at a time. */
export function cutTableName({ host }: ClusterNode): string {
  return `twine_cut_${host.split(".").slice(0, 3).join("_")}`;
}

function cutRules(
  config: ClusterConfig,
  sources: SourceAddresses,
  node: ClusterNode,
  { from, way }: Cut,
): string[] {
  const source = sources[node.name];
  assert(source !== undefined, "every node has an address that it connects from");
  const ports = setOf(portsOf(node).map(String));
  // Its own connections to itself go on; a later base chain still sees them.
  const itself = [
    `ip saddr ${source} ip daddr ${node.host} tcp dport ${ports} accept`,
    `ip saddr ${node.host} tcp sport ${ports} ip daddr ${source} accept`,
  ];
  const others = config.nodes.filter((one) => one !== node && one.kind !== "router");
  const isAll = from === "all";
  const their = setOf(others.flatMap(({ name }) => sources[name] ?? []));
  const ends = setOf(others.flatMap((one) => portsOf(one).map((port) => `${one.host} . ${port}`)));
  const sends = [
    `ip saddr ${source}${isAll ? "" : ` ip daddr . tcp dport ${ends}`} drop`,
    `ip saddr ${node.host} tcp sport ${ports}${isAll ? "" : ` ip daddr ${their}`} drop`,
  ];
  const receives = [
    `ip daddr ${source}${isAll ? "" : ` ip saddr . tcp sport ${ends}`} drop`,
    `ip daddr ${node.host} tcp dport ${ports}${isAll ? "" : ` ip saddr ${their}`} drop`,
  ];
  return [...itself, ...(way === "receives" ? [] : sends), ...(way === "sends" ? [] : receives)];
}

function setOf(items: readonly string[]): string {
  return `{ ${items.join(", ")} }`;
}
