// side-ports.ts: how many connections the ports beside a process's main work may take: status pages, statistics, Sentinel's
// protocol. Pure. Whoever reaches these ports must not take the descriptors with which a monitor reaches its nodes, or a
// router a new master.

interface SidePort {
  readonly most: number;
  /** Of the files that the process may open. */
  readonly share: number;
}

export const HTTP_PORT: SidePort = { most: 256, share: 1 / 8 };
/** Clients stay connected here to hear of failovers. The most is Redis's default of maxclients. */
export const SENTINEL_PORT: SidePort = { most: 10_000, share: 1 / 4 };

/** The limit of each of a port's `addresses`. `filesMax` is the process's limit of open files, if it is known. */
export function connectionsMaxOf(
  { most, share }: SidePort,
  filesMax: number | undefined,
  addresses = 1,
): number {
  const files = filesMax ?? Number.POSITIVE_INFINITY;
  return Math.ceil(Math.min(most, Math.max(1, Math.floor(files * share))) / addresses);
}
