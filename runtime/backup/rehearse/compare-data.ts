// compare-data.ts: whether a partition of the scratch cluster holds what the backup does. Both are read as RDBs; of both the
// same keys are loaded into two redis-servers of our own, which digest each value by itself, whatever its encoding.
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { openScratchServer, type ScratchServer } from "../../replication/scratch-server.ts";
import { itemsOf, textOf } from "../../resp/value.ts";
import type { SampledKey, SampledRdb } from "./sampled-rdb.ts";

const AT_ONCE = 200;
const SHOWN_COUNT = 5;

/** Figures that differ, in words. Keys whose time came meanwhile are gone, and nothing else may be. Pure. */
export function figuresDiffer(backup: SampledRdb, restored: SampledRdb): string[] {
  const wrong: string[] = [];
  if (backup.lasting !== restored.lasting) {
    wrong.push(`${restored.lasting} keys without an expiry instead of ${backup.lasting}`);
  }
  if (restored.expiring > backup.expiring || restored.expiring < backup.unexpired) {
    wrong.push(
      `${restored.expiring} keys that expire instead of ${backup.unexpired} to ${backup.expiring}`,
    );
  }
  if (restored.misplaced > backup.misplaced) {
    wrong.push(`${restored.misplaced} keys lie in a partition that is not theirs`);
  }
  if (backup.functions.join() !== restored.functions.join()) {
    wrong.push(
      `${restored.functions.length} libraries of functions, not the ${backup.functions.length} of the backup`,
    );
  }
  return wrong;
}

export interface ComparePorts {
  /** Private. */
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Sampled {
  readonly sampled: SampledRdb;
  /** Of the RDB of its sample: it is moved away. */
  readonly path: string;
}

/** Keys whose values or expiry differ, in words. Throws SCRATCH_FAILED. */
export async function valuesDiffer(
  backup: Sampled,
  restored: Sampled,
  settings: Settings,
  { folder, clock, signal }: ComparePorts,
): Promise<string[]> {
  const open = async (name: string, { path }: Sampled): Promise<ScratchServer> => {
    const own = join(folder, name);
    await mkdir(own, { mode: 0o700 });
    await rename(path, join(own, "dump.rdb"));
    const loads = "keys of the rehearsal";
    return openScratchServer({ folder: own, loads, clock, signal, settings });
  };
  const servers: ScratchServer[] = [];
  try {
    servers.push(await open("of-backup", backup), await open("of-restored", restored));
    const keys = merged(backup.sampled.sample, restored.sampled.sample);
    const [one, other] = await Promise.all(servers.map((server) => digests(server, keys)));
    const nowMs = Date.parse(clock.wallTime());
    const wrong = keys.filter(
      ({ expireAtMs }, at) => one?.[at] !== other?.[at] && !((expireAtMs ?? Infinity) <= nowMs),
    );
    const shown = wrong.slice(0, SHOWN_COUNT).map(({ key }) => `'${key.toString("utf8", 0, 60)}'`);
    const more = wrong.length > SHOWN_COUNT ? ", ..." : "";
    if (wrong.length === 0) return [];
    return [`${wrong.length} of ${keys.length} compared keys differ: ${shown.join(", ")}${more}`];
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}

type Settings = readonly (readonly [string, ...string[]])[];

/** What lets a redis-server of our own digest values. Redis 6.2 does not know the setting, and needs none. */
export async function digestSettings(ports: ComparePorts): Promise<Settings> {
  const settings = [["enable-debug-command", "local"]] as const;
  const folder = join(ports.folder, "probe");
  await mkdir(folder, { mode: 0o700 });
  try {
    const { clock, signal } = ports;
    const server = await openScratchServer({ folder, loads: "nothing", clock, signal, settings });
    await server.close();
    return settings;
  } catch {
    ports.signal.throwIfAborted();
    return [];
  }
}

function merged(one: readonly SampledKey[], other: readonly SampledKey[]): SampledKey[] {
  const found = new Map<string, SampledKey>();
  for (const sampled of [...other, ...one]) {
    found.set(`${sampled.db} ${sampled.key.toString("latin1")}`, sampled);
  }
  return [...found.values()];
}

/** By key: a digest of its value and its time of expiry. */
async function digests(server: ScratchServer, keys: readonly SampledKey[]): Promise<string[]> {
  const found: string[] = [];
  for (let at = 0; at < keys.length; at += AT_ONCE) {
    const part = keys.slice(at, at + AT_ONCE).map(async ({ db, key }) => {
      // Sent one behind the other, so each key is looked for in its database.
      const [, digest, time] = await Promise.all([
        server.call("SELECT", String(db)),
        server.call("DEBUG", "DIGEST-VALUE", key),
        server.call("PEXPIRETIME", key).catch(() => null),
      ]);
      return `${textOf(itemsOf(digest)[0]) ?? ""} ${JSON.stringify(time, numbers)}`;
    });
    found.push(...(await Promise.all(part)));
  }
  return found;
}

function numbers(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
