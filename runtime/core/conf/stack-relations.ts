// stack-relations.ts: conflicts of `router twemproxy` and `failover sentinel` with other lines. Pure.
//
//   failover sentinel    no status lines; monitor lines are Sentinels, with one port each; routers are twemproxy
//   router twemproxy     one of twemproxy's hashes; db 0; a monitor that speaks the Sentinel protocol, for new masters
import type { ClusterNode, Settings } from "../cluster.ts";
import type { Problem, SourceAt } from "../errors.ts";
import { twemproxyPool } from "../twemproxy-pool.ts";
import { printHash } from "./hash-setting.ts";

interface Draft {
  readonly file: string;
  readonly nodes: readonly ClusterNode[];
  readonly settings: Settings;
  readonly places: ReadonlyMap<string, SourceAt>;
}

/** All conflicts of these two settings with other lines. */
export function checkStack(draft: Draft): Problem[] {
  const { router, failover } = draft.settings;
  return [
    ...(failover === "sentinel" ? checkSentinel(draft) : []),
    ...(router === "twemproxy" ? checkTwemproxy(draft) : []),
    ...checkStaging(draft),
  ];
}

function checkSentinel(draft: Draft): Problem[] {
  const { nodes, settings, places } = draft;
  const problems: Problem[] = [];
  for (const node of nodes) {
    if (node.kind === "status") {
      problems.push({
        code: "CONF_STATUS_UNUSED",
        message: `failover sentinel has no status nodes, and ${node.name} is one: Sentinels keep what they know themselves`,
        at: node.at,
        remedy: "remove the line, or write failover twine",
      });
    }
    if (node.kind === "monitor" && node.sentinelPort !== undefined) {
      problems.push({
        code: "CONF_SENTINEL_PORT",
        message: `with failover sentinel ${node.name} is a Sentinel, which has one port`,
        at: node.at,
        remedy: `write ${node.name}=monitor ${node.host} ${node.sentinelPort}`,
      });
    }
  }
  const router = nodes.find(({ kind }) => kind === "router");
  if (router !== undefined && settings.router === "twine") {
    problems.push({
      code: "CONF_ROUTER_NEEDS_VIEW",
      message: `router ${router.name} is Twine's, which follows Twine's monitors, and failover sentinel starts none`,
      at: places.get("failover") ?? router.at,
      remedy: "write router twemproxy as well, or failover twine",
    });
  }
  return problems;
}

function checkTwemproxy(draft: Draft): Problem[] {
  const { nodes, settings, places, file } = draft;
  const at = (name: string): SourceAt =>
    places.get(name) ?? places.get("router") ?? { file, line: 1, column: 1 };
  const problems: Problem[] = [];
  if (twemproxyPool(settings.hash, 1) === undefined) {
    problems.push({
      code: "CONF_HASH_NOT_TWEMPROXYS",
      message: `twemproxy can't hash by ${printHash(settings.hash)}`,
      at: at("hash"),
      remedy: "write hash crc32 or hash twemproxy-NAME, or router twine",
    });
  }
  const selected = nodes.find((node) => node.kind === "data" && node.db !== 0);
  if (selected !== undefined) {
    problems.push({
      code: "CONF_DB_NOT_TWEMPROXYS",
      message: `twemproxy knows db 0 alone, and ${selected.name} has another`,
      at: selected.at,
      remedy: "write db 0 on every data line, or router twine",
    });
  }
  if (settings.ackReplicas > 0) {
    problems.push({
      code: "CONF_ACK_NOT_TWEMPROXYS",
      message: `ack-replicas ${settings.ackReplicas} is kept by Twine's router alone: twemproxy waits for no replica`,
      at: at("ack-replicas"),
      remedy: "write ack-replicas 0, or router twine",
    });
  }
  return [...problems, ...checkNotifier(draft)];
}

/** twemproxy learns of a new master only over the Sentinel protocol. */
function checkNotifier({ nodes, settings, places, file }: Draft): Problem[] {
  const monitors = nodes.filter((node) => node.kind === "monitor");
  const isRouted = nodes.some(({ kind }) => kind === "router");
  if (settings.failover === "sentinel" || !isRouted) return [];
  if (monitors.some(({ sentinelPort }) => sentinelPort !== undefined)) return [];
  return [
    {
      code: "CONF_TWEMPROXY_UNTOLD",
      message:
        "twemproxy hears of a new master through Sentinel's protocol, and no monitor line has a port for it",
      at: monitors[0]?.at ?? places.get("router") ?? { file, line: 1, column: 1 },
      remedy: "write NAME=monitor [HOST] PORT SENTINEL-PORT, or failover sentinel",
    },
  ];
}

function checkStaging({ settings, places, file }: Draft): Problem[] {
  const { twemproxyStaging, router, failover } = settings;
  if (twemproxyStaging === undefined || (router === "twemproxy" && failover === "sentinel"))
    return [];
  return [
    {
      code: "CONF_STAGING_UNUSED",
      message:
        "twemproxy-staging is the file through which Sentinel tells twemproxy of a new master",
      at: places.get("twemproxy-staging") ?? { file, line: 1, column: 1 },
      remedy: "write router twemproxy and failover sentinel, or remove the line",
    },
  ];
}
