// listen-addresses.ts: on which addresses a host's nodes, monitors and routers listen. Pure.
// The plan writes it into redis.conf, twined and twine-router listen by it: one rule, so that they can't disagree.
//
//   host                    without a password     with one
//   localhost, 127.x, ::1   its own address        its own address
//   any other               127.0.0.1              its own address and 127.0.0.1
//
// A loopback host listens on its own address alone, so that several of them can live on one machine with the same
// ports.
import { addressOf } from "./cluster.ts";

/** `loopbackHosts`: names that the machine's resolver turns into a loopback address, besides localhost. */
export function isLoopback(host: string, loopbackHosts: readonly string[] = []): boolean {
  const address = addressOf(host);
  return /^127\./.test(address) || address === "::1" || loopbackHosts.includes(host);
}

/** The address to ask first, then the others. */
export function listenAddresses(
  host: string,
  hasPassword: boolean,
  loopbackHosts: readonly string[] = [],
): string[] {
  const address = addressOf(host);
  if (isLoopback(host, loopbackHosts)) return [address];
  return hasPassword ? [address, "127.0.0.1"] : ["127.0.0.1"];
}
