import { expect, test } from "vitest";
import { parseInfo } from "../../../runtime/monitor/decide/info.ts";

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
