// bind.ts: on which addresses the services of a host listen. Pure.
//
//   host                    without a password     with one
//   localhost, 127.x, ::1   its own address        its own address
//   any other               127.0.0.1              its own address and 127.0.0.1
//
// A loopback host listens on its own address alone, so that several of them can live on one machine with the same
// ports.
import { addressOf } from "../../runtime/core/cluster.ts";

export function isLoopback(host: string, loopbackHosts: readonly string[] = []): boolean {
  const address = addressOf(host);
  return /^127\./.test(address) || address === "::1" || loopbackHosts.includes(host);
}

/** The address to ask first, then the others. */
export function bindOf(
  host: string,
  hasPassword: boolean,
  loopbackHosts: readonly string[] = [],
): string[] {
  const address = addressOf(host);
  if (isLoopback(host, loopbackHosts)) return [address];
  return hasPassword ? [address, "127.0.0.1"] : ["127.0.0.1"];
}
