// machine.ts: finds which names and addresses belong to this machine.
import { lookup } from "node:dns/promises";
import { hostname, networkInterfaces } from "node:os";
import type { PlannedHost } from "../../plan/plan.ts";

export interface HostPlace {
  readonly isHere: boolean;
  /** Its name resolves to 127.x or ::1. */
  readonly isLoopback: boolean;
  /** Why its name can't be resolved, e.g. ENOTFOUND; absent when it can. */
  readonly unresolved?: string;
}

/** Asks the resolver once for each name; an unknown name is not here, and has the reason. */
export async function placeHosts(
  hosts: readonly Pick<PlannedHost, "name" | "address">[],
): Promise<ReadonlyMap<string, HostPlace>> {
  const own = new Set(
    Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => address),
  );
  const places = hosts.map(async ({ name, address }): Promise<[string, HostPlace]> => {
    const { addresses, why } = await addressesOf(address);
    const isLoopback = addresses.length > 0 && addresses.every(isLoopbackAddress);
    const isHere =
      name === hostname() || isLoopback || addresses.some((candidate) => own.has(candidate));
    return [name, { isHere, isLoopback, ...(why === undefined ? {} : { unresolved: why }) }];
  });
  return new Map(await Promise.all(places));
}

async function addressesOf(host: string): Promise<{ addresses: string[]; why?: string }> {
  try {
    return { addresses: (await lookup(host, { all: true })).map(({ address }) => address) };
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return { addresses: [], why };
  }
}

function isLoopbackAddress(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
