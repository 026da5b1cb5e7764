// listen-addresses.ts: the addresses on which a host's nodes, monitors and routers listen. Pure.
// The plan writes them into redis.conf; twined and twine-router listen on them. One rule, so that they can't disagree.
//
//   host                    without a password     with one
//   localhost, 127.x, ::1   its own address        its own address
//   any other               127.0.0.1              its own address and 127.0.0.1
//
// A loopback host listens only on its own address, so that several of them can use the same ports on one machine.
import { addressOf } from "./cluster.ts";

/** `loopbackHosts`: names besides localhost that the machine resolves to a loopback address. */
export function isLoopback(host: string, loopbackHosts: readonly string[] = []): boolean {
  const address = addressOf(host);
  return /^127\./.test(address) || address === "::1" || loopbackHosts.includes(host);
}

/** The addresses; the first is the one to connect to first. */
export function listenAddresses(
  host: string,
  hasPassword: boolean,
  loopbackHosts: readonly string[] = [],
): string[] {
  const address = addressOf(host);
  if (isLoopback(host, loopbackHosts)) return [address];
  return hasPassword ? [address, "127.0.0.1"] : ["127.0.0.1"];
}
