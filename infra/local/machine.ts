// machine.ts: which names and addresses are this machine's.
import { lookup } from "node:dns/promises";
import { hostname, networkInterfaces } from "node:os";
import type { PlannedHost } from "../plan/plan.ts";

export interface HostPlace {
  readonly isHere: boolean;
  /** Its name stands for 127.x or ::1. */
  readonly isLoopback: boolean;
}

/** Asks the resolver for each name once; an unknown name is simply not here. */
export async function placeHosts(
  hosts: readonly Pick<PlannedHost, "name" | "address">[],
): Promise<ReadonlyMap<string, HostPlace>> {
  const own = new Set(
    Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => address),
  );
  const places = hosts.map(async ({ name, address }): Promise<[string, HostPlace]> => {
    const addresses = await addressesOf(address);
    const isLoopback = addresses.length > 0 && addresses.every(isLoopbackAddress);
    const isHere =
      name === hostname() || isLoopback || addresses.some((candidate) => own.has(candidate));
    return [name, { isHere, isLoopback }];
  });
  return new Map(await Promise.all(places));
}

async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}

function isLoopbackAddress(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
