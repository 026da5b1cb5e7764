// info.ts: merges the INFO of all partitions into one. Pure.
//
//   section by section, line by line, in the order in which they first appear:
//     counters and sizes (ADDED)  -> the sum
//     worst values                -> the greatest (GREATEST), or the one that is not ok (STATUSES)
//     a=1,b=2 (cmdstat_...)       -> the sum of each part; percentiles: the greatest, an upper bound of the common one
//     all others                  -> the first partition's
//
// The keyspace is shown as database 0, whatever the number of each partition's database.

const ADDED = new Set(
  `connected_clients cluster_connections blocked_clients tracking_clients clients_in_timeout_table
   used_memory used_memory_rss used_memory_peak used_memory_overhead used_memory_dataset
   used_memory_startup used_memory_lua used_memory_vm_eval used_memory_vm_functions
   used_memory_vm_total used_memory_scripts used_memory_scripts_eval used_memory_functions
   total_system_memory maxmemory allocator_allocated allocator_active allocator_resident
   allocator_frag_bytes allocator_rss_bytes rss_overhead_bytes mem_fragmentation_bytes
   mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers
   mem_clients_slaves mem_clients_normal mem_aof_buffer lazyfree_pending_objects lazyfreed_objects
   current_cow_size rdb_changes_since_last_save rdb_saves aof_rewrites aof_current_size
   aof_base_size aof_buffer_length total_connections_received total_commands_processed
   instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes
   total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps
   instantaneous_output_kbps instantaneous_input_repl_kbps instantaneous_output_repl_kbps
   rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys
   expired_time_cap_reached_count evicted_keys evicted_clients keyspace_hits keyspace_misses
   pubsub_channels pubsub_patterns pubsubshard_channels total_forks unexpected_error_replies
   total_error_replies dump_payload_sanitizations total_reads_processed total_writes_processed
   io_threaded_reads_processed io_threaded_writes_processed reply_buffer_shrinks
   reply_buffer_expands acl_access_denied_auth acl_access_denied_cmd acl_access_denied_key
   acl_access_denied_channel connected_slaves used_cpu_sys used_cpu_user used_cpu_sys_children
   used_cpu_user_children used_cpu_sys_main_thread used_cpu_user_main_thread`.split(/\s+/),
);
const GREATEST = new Set(
  `loading async_loading rdb_bgsave_in_progress aof_rewrite_in_progress aof_rewrite_scheduled
   module_fork_in_progress active_defrag_running latest_fork_usec rdb_last_bgsave_time_sec
   aof_last_rewrite_time_sec`.split(/\s+/),
);
const STATUSES = new Set(
  "rdb_last_bgsave_status aof_last_bgrewrite_status aof_last_write_status".split(" "),
);
/** Clients that look for a master read these two. */
const FIXED: Readonly<Record<string, string>> = { redis_mode: "standalone", role: "master" };
/** Its lines have the same name, so they can't be merged: the first partition's are shown. */
const MODULES = "# Modules";
const KEYSPACE = "# Keyspace";

type Fields = ReadonlyMap<string, string>;

interface Section {
  readonly lines: readonly string[];
  readonly fields: Fields;
}

/** `texts[p]` is the INFO of partition p, `dbs[p]` its database number. */
export function mergeInfo(texts: readonly string[], dbs: readonly number[]): string {
  const parsed = texts.map(sectionsOf);
  const titles = new Set(parsed.flatMap((sections) => [...sections.keys()]));
  const merged = [...titles].map((title) => {
    const sections = parsed.map((one) => one.get(title));
    const lines = title === MODULES ? (sections[0]?.lines ?? []) : linesOf(title, sections, dbs);
    return [title, ...lines, ""].join("\r\n");
  });
  return merged.join("\r\n");
}

function linesOf(
  title: string,
  sections: readonly (Section | undefined)[],
  dbs: readonly number[],
): string[] {
  const fields = sections.map((section) => section?.fields ?? new Map<string, string>());
  if (title === KEYSPACE) return keyspaceOf(fields, dbs);
  const names = new Set(fields.flatMap((one) => [...one.keys()]));
  const replicas = fields.flatMap((one) => replicasOf(one));
  return [...names].flatMap((name) => {
    if (!isReplicaName(name)) return [`${name}:${mergedValue(name, fields)}`];
    // The replicas of all partitions, renumbered, at the position of the first partition's.
    return replicas.splice(0).map((value, index) => `slave${index}:${value}`);
  });
}

/** The protocol's name of a replica: slave0, slave1 ... */
function isReplicaName(name: string): boolean {
  return /^slave\d+$/.test(name);
}

function replicasOf(fields: Fields): string[] {
  return [...fields].flatMap(([name, value]) => (isReplicaName(name) ? [value] : []));
}

function mergedValue(name: string, fields: readonly Fields[]): string {
  const values = fields.flatMap((one) => one.get(name) ?? []);
  const first = values[0] ?? "";
  const fixed = FIXED[name];
  if (fixed !== undefined) return fixed;
  if (name.startsWith("latency_percentiles_usec_")) return partsOf(values, "greatest");
  if (/^(cmdstat|errorstat)_/.test(name)) return partsOf(values, "sum");
  if (name.endsWith("_human")) return human(sum(fields, name.replace(/_human$/, "")));
  if (GREATEST.has(name)) return String(Math.max(...values.map(Number)));
  if (STATUSES.has(name)) return values.find((value) => value !== "ok") ?? first;
  if (!ADDED.has(name)) return first;
  const total = sum(fields, name);
  const decimals = first.split(".")[1]?.length ?? 0;
  return total.toFixed(decimals);
}

/** Merges values such as `calls=2,usec=10,usec_per_call=5.00` part by part; a mean is computed again from the sums. */
function partsOf(values: readonly string[], how: "sum" | "greatest"): string {
  const parsed = values.map(
    (value) => new Map(value.split(",").map((part) => [part.split("=")[0] ?? "", part])),
  );
  const numbersOf = (name: string): number[] =>
    parsed.map((parts) => Number(parts.get(name)?.split("=")[1] ?? 0));
  const added = (name: string): number => numbersOf(name).reduce((a, b) => a + b, 0);
  const names = new Set(parsed.flatMap((parts) => [...parts.keys()]));
  const shown = (name: string): string => {
    if (how === "greatest") return String(Math.max(...numbersOf(name)));
    if (name !== "usec_per_call") return String(added(name));
    return (added("usec") / Math.max(added("calls"), 1)).toFixed(2);
  };
  return [...names].map((name) => `${name}=${shown(name)}`).join(",");
}

function sum(fields: readonly Fields[], name: string): number {
  return fields.reduce((total, one) => total + (Number(one.get(name)) || 0), 0);
}

/** Prints a size as Redis does (src/server.c, bytesToHuman). */
function human(sizeBytes: number): string {
  const units = ["B", "K", "M", "G", "T", "P"];
  const power = sizeBytes < 1024 ? 0 : Math.floor(Math.log2(sizeBytes) / 10);
  const size = sizeBytes / 1024 ** power;
  return `${power === 0 ? size : size.toFixed(2)}${units[power] ?? "B"}`;
}

/** `db0:keys=3,expires=1,avg_ttl=7`: the sums of keys and expires, and the mean TTL weighted by the keys that expire. */
function keyspaceOf(parsed: readonly Fields[], dbs: readonly number[]): string[] {
  let [keys, expires, lifetime] = [0, 0, 0];
  parsed.forEach((fields, partition) => {
    const line = fields.get(`db${dbs[partition] ?? 0}`) ?? "";
    const count = (name: string): number =>
      Number(new RegExp(`(?:^|,)${name}=(\\d+)`).exec(line)?.[1] ?? 0);
    keys += count("keys");
    expires += count("expires");
    lifetime += count("avg_ttl") * count("expires");
  });
  if (keys === 0) return [];
  const averageMs = expires === 0 ? 0 : Math.round(lifetime / expires);
  return [`db0:keys=${keys},expires=${expires},avg_ttl=${averageMs}`];
}

function sectionsOf(text: string): Map<string, Section> {
  const sections = new Map<string, { lines: string[]; fields: Map<string, string> }>();
  let current = { lines: [] as string[], fields: new Map<string, string>() };
  for (const line of text.split("\r\n")) {
    if (line.startsWith("# ")) {
      current = { lines: [], fields: new Map() };
      sections.set(line, current);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    current.lines.push(line);
    current.fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return sections;
}
