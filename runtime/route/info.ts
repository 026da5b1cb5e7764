// info.ts: INFO of all partitions as one. Pure.
// What counts something is added up; what is the worst of several is their greatest; everything else is the first
// partition's. The keyspace is shown as database 0, whichever number each partition's database has.

const ADDED = new Set(
  `connected_clients cluster_connections blocked_clients tracking_clients clients_in_timeout_table
   used_memory used_memory_rss used_memory_peak used_memory_overhead used_memory_dataset
   used_memory_lua used_memory_scripts total_system_memory maxmemory rdb_changes_since_last_save
   total_connections_received total_commands_processed instantaneous_ops_per_sec
   total_net_input_bytes total_net_output_bytes rejected_connections expired_keys evicted_keys
   keyspace_hits keyspace_misses pubsub_channels pubsub_patterns total_reads_processed
   total_writes_processed total_error_replies connected_slaves used_cpu_sys used_cpu_user`.split(
    /\s+/,
  ),
);
const GREATEST = new Set(
  `loading async_loading rdb_bgsave_in_progress aof_rewrite_in_progress
   aof_rewrite_scheduled`.split(/\s+/),
);
/** Clients in search of a master look for these two. */
const FIXED: Readonly<Record<string, string>> = { redis_mode: "standalone", role: "master" };

/** `texts[p]` is partition p's INFO, `dbs[p]` the number of its database. */
export function mergeInfo(texts: readonly string[], dbs: readonly number[]): string {
  const parsed = texts.map(fieldsOf);
  const first = texts[0] ?? "";
  const keyspace = keyspaceOf(parsed, dbs);
  const lines = first.split("\r\n").flatMap((line) => {
    if (line === "# Keyspace") return keyspace === undefined ? [line] : [line, keyspace];
    const name = line.slice(0, line.indexOf(":"));
    if (!line.includes(":") || line.startsWith("#")) return [line];
    if (/^db\d+$/.test(name)) return [];
    return [`${name}:${merged(name, parsed)}`];
  });
  return lines.join("\r\n");
}

function merged(name: string, parsed: readonly ReadonlyMap<string, string>[]): string {
  const values = parsed.map((fields) => fields.get(name) ?? "");
  const first = values[0] ?? "";
  const fixed = FIXED[name];
  if (fixed !== undefined) return fixed;
  if (/_human$/.test(name)) return human(sum(parsed, name.replace(/_human$/, "")));
  if (GREATEST.has(name)) return String(Math.max(...values.map(Number)));
  if (!ADDED.has(name)) return first;
  const total = sum(parsed, name);
  return first.includes(".") ? total.toFixed(6) : String(total);
}

function sum(parsed: readonly ReadonlyMap<string, string>[], name: string): number {
  return parsed.reduce((total, fields) => total + (Number(fields.get(name)) || 0), 0);
}

/** As Redis writes sizes (src/server.c, bytesToHuman). */
function human(sizeBytes: number): string {
  const units = ["B", "K", "M", "G", "T", "P"];
  const power = sizeBytes < 1024 ? 0 : Math.floor(Math.log2(sizeBytes) / 10);
  const size = sizeBytes / 1024 ** power;
  return `${power === 0 ? size : size.toFixed(2)}${units[power] ?? "B"}`;
}

/** `db0:keys=3,expires=1,avg_ttl=7`: keys and expires added, the mean lifetime weighted by the keys that expire. */
function keyspaceOf(
  parsed: readonly ReadonlyMap<string, string>[],
  dbs: readonly number[],
): string | undefined {
  let [keys, expires, lifetime] = [0, 0, 0];
  parsed.forEach((fields, partition) => {
    const line = fields.get(`db${dbs[partition] ?? 0}`) ?? "";
    const count = (name: string): number =>
      Number(new RegExp(`(?:^|,)${name}=(\\d+)`).exec(line)?.[1] ?? 0);
    keys += count("keys");
    expires += count("expires");
    lifetime += count("avg_ttl") * count("expires");
  });
  if (keys === 0) return undefined;
  const averageMs = expires === 0 ? 0 : Math.round(lifetime / expires);
  return `db0:keys=${keys},expires=${expires},avg_ttl=${averageMs}`;
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
