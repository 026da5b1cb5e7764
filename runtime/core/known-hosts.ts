// known-hosts.ts: which Host headers the HTTP ports accept. Pure.
// An attacker's web page can make its own name resolve to 127.0.0.1 and then read our pages as its own (DNS rebinding).
// Its requests carry that name as Host. Requests by IP address are safe: an address can't be rebound.
import { hostsOf, type ClusterConfig } from "./cluster.ts";

/** `header`: the Host header. undefined is accepted: HTTP/1.0 clients and health checks send none; browsers always do. */
export function isKnownHost(header: string | undefined, config: ClusterConfig): boolean {
  if (header === undefined || header === "") return true;
  const name = header.replace(/:\d*$/, "").toLowerCase().replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  if (/^\[[0-9a-f:.]+\]$/.test(name) || /^\d{1,3}(\.\d{1,3}){3}$/.test(name)) return true;
  const known = [...hostsOf(config), ...config.settings.httpHosts];
  return known.some((host) => host.toLowerCase() === name);
}
