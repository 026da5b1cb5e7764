// listen.ts: the addresses where twined and twine-router listen: by the rule of core/listen-addresses.ts, or by
// TWINE_LISTEN. TWINE_LISTEN is for containers that share a private network namespace, where the published port is the one
// bound.
import { listenAddresses } from "../core/listen-addresses.ts";

/** The addresses for a node on `host`; TWINE_LISTEN is a comma-separated list, e.g. "0.0.0.0". */
export function listenOn(host: string, hasPassword: boolean, env = process.env): string[] {
  const named = (env["TWINE_LISTEN"] ?? "").split(",").map((address) => address.trim());
  const addresses = named.filter((address) => address !== "");
  return addresses.length > 0 ? addresses : listenAddresses(host, hasPassword);
}
