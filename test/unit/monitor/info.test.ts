import { expect, test } from "vitest";
import { parseInfo } from "../../../runtime/monitor/decide/nodes/info.ts";

const lines = (...fields: string[]): string => fields.map((field) => `${field}\r\n`).join("");

test("a master's INFO gives its replicas, offset and keys of all dbs", () => {
  const info = parseInfo(
    lines(
      "# Server",
      "run_id:abc",
      "# Persistence",
      "loading:0",
      "rdb_last_bgsave_status:ok",
      "aof_last_write_status:ok",
      "# Replication",
      "role:master",
      "connected_slaves:2",
      "slave0:ip=127.0.0.1,port=7002,state=online,offset=14,lag=0",
      "slave1:ip=10.0.0.3,port=7003,state=wait_bgsave,offset=0,lag=0",
      "master_replid:id1",
      "master_repl_offset:14",
      "# Keyspace",
      "db0:keys=3,expires=0,avg_ttl=0",
      "db5:keys=4,expires=1,avg_ttl=9",
    ),
  );
  expect(info).toEqual({
    runId: "abc",
    role: "master",
    following: null,
    isLinkUp: false,
    replicationId: "id1",
    offset: 14,
    isLoading: false,
    isEmptied: false,
    isDiskWell: true,
    keys: 7,
    replicas: [
      { ip: "127.0.0.1", port: 7002, isOnline: true },
      { ip: "10.0.0.3", port: 7003, isOnline: false },
    ],
  });
});

test("a master without a backlog counts no write into its offset; a replica without one takes none", () => {
  const common = ["run_id:a", "master_replid:x", "master_repl_offset:9", "slave_repl_offset:9"];
  const uncounted = (role: string, active: number): boolean | undefined =>
    parseInfo(lines(...common, `role:${role}`, `repl_backlog_active:${active}`))?.isUncounted;
  expect(uncounted("master", 0)).toBe(true);
  expect(uncounted("master", 1)).toBeUndefined();
  expect(uncounted("slave", 0)).toBeUndefined();
});

test("a replica in a full sync has no link yet, though Redis may say that it is up", () => {
  const common = ["run_id:a", "role:slave", "master_replid:x", "master_host:h", "master_port:7"];
  const up = parseInfo(
    lines(...common, "master_link_status:up", "slave_repl_offset:5", "master_repl_offset:9"),
  );
  expect(up).toMatchObject({ isLinkUp: true, offset: 5, following: { host: "h", port: 7 } });
  const syncing = parseInfo(lines(...common, "master_link_status:up", "master_sync_in_progress:1"));
  expect(syncing?.isLinkUp).toBe(false);
});

test.each(["rdb_last_bgsave_status:err", "aof_last_write_status:err"])(
  "%s is a broken disk",
  (field) => {
    expect(parseInfo(lines("run_id:a", "role:master", "master_replid:x", field))?.isDiskWell).toBe(
      false,
    );
  },
);

test.each([
  ["client_recent_max_input_buffer:16777216", 16_777_216],
  ["client_recent_max_output_buffer:20000000", 20_000_000],
  ["client_recent_max_input_buffer:16777215", undefined],
])("a large value on its way is known by a client's buffer: %s", (field, bytes) => {
  const info = parseInfo(lines("run_id:a", "role:master", "master_replid:x", field));
  expect(info?.largeValueBytes).toBe(bytes);
});

test("a reply that is no INFO is no INFO", () => {
  expect(parseInfo("-MASTERDOWN Link with MASTER is down")).toBeUndefined();
  expect(parseInfo("")).toBeUndefined();
});

test.each([
  ["one that drops its data to load another's", 1, 50, true],
  ["one in sync", 50, 50, false],
  ["one that never followed anybody", 0, 0, false],
])(
  "whether a full sync has emptied a replica is told by its offset: %s",
  (_what, own, total, is) => {
    const text = `run_id:a\nrole:slave\nmaster_replid:b\nslave_repl_offset:${own}\nmaster_repl_offset:${total}\n`;
    expect(parseInfo(text)?.isEmptied).toBe(is);
  },
);

/** INFO of redis-server 8.2.3 with appendonly after a clean stop and start, shortened. */
const AFTER_AOF_82 = [
  "run_id:a",
  "redis_version:8.2.3",
  "aof_enabled:1",
  "role:slave",
  "master_host:127.0.0.1",
  "master_port:1",
  "master_link_status:down",
  "slave_repl_offset:1",
  "master_link_down_since_seconds:-1",
  "master_replid:a5ba",
  `master_replid2:${"0".repeat(40)}`,
  "master_repl_offset:3",
  "second_repl_offset:-1",
  "db0:keys=3,expires=0,avg_ttl=0,subexpiry=0",
];

test("an AOF that was loaded on Redis 8.2 is no full sync that broke off", () => {
  const info = parseInfo(lines(...AFTER_AOF_82));
  expect(info).toMatchObject({ isEmptied: false, keys: 3, version: "redis 8.2.3" });
});

test.each([
  [
    "it had a link to a master",
    "master_link_down_since_seconds:-1",
    "master_link_down_since_seconds:4",
  ],
  ["it was master", `master_replid2:${"0".repeat(40)}`, "master_replid2:5e81"],
  ["it has no AOF, so that its offset came from an RDB", "aof_enabled:1", "aof_enabled:0"],
])("the same is one when %s", (_why, line, instead) => {
  const changed = AFTER_AOF_82.map((text) => (text === line ? instead : text));
  expect(parseInfo(lines(...changed))?.isEmptied).toBe(true);
});

test.each([
  [["aof_last_write_status:err"], { kind: "aof", limit: "" }],
  [["rdb_last_bgsave_status:err"], { kind: "rdb", limit: "" }],
  [["maxclients:40", "connected_clients:40"], { kind: "clients", limit: "40" }],
  [
    ["maxclients:40", "connected_clients:38", "connected_slaves:2"],
    { kind: "clients", limit: "40" },
  ],
  [
    ["maxmemory:1000", "maxmemory_human:1000B", "used_memory:1000", "maxmemory_policy:noeviction"],
    { kind: "memory", limit: "1000B" },
  ],
  [["maxmemory:1000", "used_memory:1000", "maxmemory_policy:allkeys-lru"], undefined],
  [
    [
      "maxmemory:1000",
      "used_memory:1100",
      "mem_not_counted_for_evict:200",
      "maxmemory_policy:noeviction",
    ],
    undefined,
  ],
  [["maxmemory:0", "used_memory:1000", "maxmemory_policy:noeviction", "maxclients:9"], undefined],
])("why a node takes no writes: %j", (fields, refusal) => {
  const info = parseInfo(lines("run_id:a", "role:master", "master_replid:x", ...fields));
  expect(info?.refusal).toEqual(refusal);
});

test("refused commands are counted by their error, and Valkey's version is its own", () => {
  const info = parseInfo(
    lines(
      "run_id:a",
      "role:master",
      "master_replid:x",
      "errorstat_OOM:count=3",
      "errorstat_NOREPLICAS:count=1",
      "errorstat_WRONGTYPE:count=7",
      "redis_version:7.2.4",
      "valkey_version:8.1.3",
    ),
  );
  expect(info?.refusedCounts).toEqual({ OOM: 3, NOREPLICAS: 1 });
  expect(info?.version).toBe("valkey 8.1.3");
});

test("a replica that has discarded the state of its link gives the end of its history, unless a full sync runs", () => {
  const common = ["run_id:a", "role:slave", "master_replid:x", "master_link_status:down"];
  const keptOf = (...more: string[]) => parseInfo(lines(...common, ...more))?.keptOffset;
  expect(keptOf("slave_repl_offset:1", "master_repl_offset:9")).toBe(9);
  expect(keptOf("slave_repl_offset:9", "master_repl_offset:9")).toBeUndefined();
  expect(
    keptOf("slave_repl_offset:1", "master_repl_offset:9", "master_sync_in_progress:1"),
  ).toBeUndefined();
});
