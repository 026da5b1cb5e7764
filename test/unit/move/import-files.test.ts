// import-files.test.ts: the files of other systems: what is read from them, and every complaint with its place.
import { describe, expect, test } from "vitest";
import type { Problem } from "../../../runtime/core/errors.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { importClusterNodes } from "../../../runtime/move/import/cluster-nodes.ts";
import type { ImportedCluster } from "../../../runtime/move/import/imported.ts";
import { importNutcracker } from "../../../runtime/move/import/nutcracker.ts";
import { importSentinelConf } from "../../../runtime/move/import/sentinel-conf.ts";
import { withSentinels } from "../../../runtime/move/import/with-sentinels.ts";
import { confOf } from "../../../runtime/move/import/write-conf.ts";

function places(problems: readonly Problem[]): string[] {
  return problems.map(({ code, at }) => `${code} ${at?.line ?? "-"}:${at?.column ?? "-"}`);
}

const GOOD = `# two shards
alpha:
  listen: 127.0.0.1:22121
  hash: murmur
  distribution: ketama
  hash_tag: "{}"
  redis: true
  redis_auth: secret
  servers:
   - 10.0.0.2:6666:2 shard-b   # the second
   - 10.0.0.1:6666:1 shard-a
`;

function clusterOf(text: string, pool?: string): ImportedCluster {
  const { cluster, errors } = importNutcracker(text, "n.yml", pool);
  expect(errors).toEqual([]);
  if (cluster === undefined) throw new Error("no errors, so there is a cluster");
  return cluster;
}

test("a pool becomes a twine.conf, its servers in twemproxy's order", () => {
  const cluster = clusterOf(GOOD);
  expect(cluster).toMatchObject({
    hash: "twemproxy-murmur",
    hashTag: "{}",
    password: "secret",
    listen: { host: "127.0.0.1", port: 22121 },
  });
  const hash = {
    kind: "builtin" as const,
    name: "twemproxy-murmur" as const,
    ...(cluster.distribution === undefined ? {} : { distribution: cluster.distribution }),
  };
  const text = confOf(cluster, { hash, portOffset: 1000, hosts: new Map([["10.0.0.2", "db2"]]) });
  expect(text).toMatchInlineSnapshot(`
    "# Written by twine-import from nutcracker.yml: every key stays in its place.
    # Its nodes are new ones beside the old ones: docs/migrate.md says how to move.

    cluster alpha
    partitions 2
    hash twemproxy-murmur ketama shard-a:1 shard-b:2
    hash-tag {}

    # partition 0: shard-a, whose master was 10.0.0.1:6666
    p0a=data 0 10.0.0.1 7666 0
    # partition 1: shard-b, whose master was 10.0.0.2:6666
    p1a=data 1 db2 7666 0

    r1=router 127.0.0.1 23121

    # While a Sentinel knows these nodes it must not promote them; remove this line afterwards.
    redis replica-priority 0
    "
  `);
  const { config, errors } = parseConf(text, "twine.conf");
  expect(errors).toEqual([]);
  expect(config?.settings.hash).toEqual(hash);
  expect(text).not.toContain("secret");
});

test("modula with weights of 1 is the plain hash, and twemproxy's defaults are known", () => {
  const cluster = clusterOf(
    "a:\n  listen: 0.0.0.0:6379\n  distribution: modula\n  redis: true\n  servers: [h:1:1 x, 'h:2:1 y']\n",
  );
  expect(cluster).toMatchObject({ hash: "twemproxy-fnv1a_64", distribution: undefined });
  expect(cluster.shards.map(({ name, at }) => `${name} ${at.line}:${at.column}`)).toEqual([
    "x 5:13",
    "y 5:22",
  ]);
});

test("servers without names are sorted by the length, then the text of host:port", () => {
  const servers = ["10.0.0.10:6379:1", "10.0.0.9:6379:1", "10.0.0.2:11211:1"];
  const cluster = clusterOf(
    `a:\n  redis: true\n  servers:\n${servers.map((s) => `  - ${s}\n`).join("")}`,
  );
  expect(cluster.shards.map(({ name }) => name)).toEqual([
    "10.0.0.2",
    "10.0.0.9:6379",
    "10.0.0.10:6379",
  ]);
});

test("of several pools one is named, and the others may be memcached's", () => {
  const two = `${GOOD}beta:\n  listen: 127.0.0.1:22122\n  servers:\n  - m:11211:1\n`;
  expect(clusterOf(two, "alpha").name).toBe("alpha");
  expect(places(importNutcracker(two, "n.yml").errors)).toEqual([
    "POOL_MEMCACHED 12:1",
    "POOLS_SEVERAL 12:1",
  ]);
  expect(places(importNutcracker(two, "n.yml", "gamma").errors)).toEqual(["POOL_UNKNOWN 1:1"]);
});

describe("wrong pools", () => {
  const pool = (lines: string): string => `a:\n  redis: true\n${lines}  servers:\n  - h:1:1 x\n`;
  test.each([
    ["", "POOL_MISSING 1:1"],
    [pool("  hash: murmer\n"), "HASH_UNKNOWN 3:9"],
    [pool("  distribution: ketma\n"), "DISTRIBUTION_UNKNOWN 3:17"],
    [pool("  distribution: random\n"), "DISTRIBUTION_RANDOM 3:17"],
    [pool('  hash_tag: "{"\n'), "HASH_TAG_BAD 3:13"],
    [pool("  redis_db: x\n"), "REDIS_DB_BAD 3:13"],
    [pool("  distributon: modula\n"), "SETTING_UNKNOWN 3:3"],
    [pool("  hash: md5\n  hash: md5\n"), "SETTING_TWICE 4:3"],
    [pool("  - what\n"), "YAML_UNREADABLE 3:3"],
    [pool("\thash: md5\n"), "YAML_UNREADABLE 3:1"],
    [pool("  just words\n"), "YAML_UNREADABLE 3:3"],
    ["  redis: true\n", "YAML_UNREADABLE 1:3,POOL_MISSING"],
    ["- a\n", "YAML_UNREADABLE 1:1"],
    ["a:\n  redis: &x true\n  preconnect: *x\n", "YAML_UNREADABLE 3:15"],
    ["a:\n  redis: true\n  servers:\n  - h: 1\n", "YAML_UNREADABLE 4:5"],
    ["a:\n  redis: true\n  hash: [md5\n", "YAML_UNREADABLE"],
    ["a:\n  redis: true\n---\nb:\n  redis: true\n", "YAML_UNREADABLE 3:1"],
    [`a: ${"[".repeat(3000)}\n`, "YAML_UNREADABLE"],
    ["a:\n  servers:\n  - h:1:1\n", "POOL_MEMCACHED 1:1"],
    ["a:\n  redis: true\n", "SERVERS_MISSING 1:1"],
    ["a:\n  redis: true\n  servers:\n  - h:1\n", "SERVER_BAD 4:5"],
    ["a:\n  redis: true\n  servers:\n  - h:1:0\n", "WEIGHT_BAD 4:5"],
    ["a:\n  redis: true\n  servers:\n  - /tmp/r.sock:1\n", "SERVER_SOCKET 4:5"],
    ["a:\n  redis: true\n  servers:\n  - h:1:1 x\n  - h:2:1 x\n", "SERVER_TWICE 5:5"],
    [`a:\n  redis: true\n  servers:\n  - h:1:1 ${"x".repeat(81)}\n`, "SERVER_NAME_LONG 4:5"],
  ])("%j", (text, expected) => {
    const { errors, cluster } = importNutcracker(text, "n.yml");
    expect(cluster).toBeUndefined();
    expect(places(errors)[0]?.startsWith(expected.split(",")[0] ?? ""), places(errors).join()).toBe(
      true,
    );
    for (const { remedy } of errors) expect(remedy).toBeTruthy();
  });

  test("two pools of one port and of one name", () => {
    const twice = `${GOOD}${GOOD}`;
    expect(places(importNutcracker(twice, "n.yml", "alpha").errors)).toEqual([
      "POOL_TWICE 13:1",
      "POOL_PORT_TAKEN 14:11",
    ]);
  });

  test("everything at once", () => {
    const text = "a:\n  hash: x\n  distribution: y\n  servers:\n  - z\n";
    expect(importNutcracker(text, "n.yml").errors.map(({ code }) => code)).toEqual([
      "POOL_MEMCACHED",
      "DISTRIBUTION_UNKNOWN",
      "HASH_UNKNOWN",
      "SERVER_BAD",
    ]);
  });

  test("what is worth a warning: ejected hosts, and a server without keys", () => {
    const text = pool("  auto_eject_hosts: true\n").replace("h:1:1 x", "h:1:1 x\n  - h:2:9999 y");
    expect(places(importNutcracker(text, "n.yml").warnings)).toEqual([
      "SERVER_WITHOUT_KEYS 5:5",
      "AUTO_EJECT 3:21",
    ]);
  });
});

describe("sentinel.conf", () => {
  const conf = `port 26400
sentinel monitor shard-a 10.0.0.1 6666 2
sentinel auth-pass shard-a secret
sentinel known-replica shard-a 10.0.0.3 6666
sentinel known-slave shard-a 10.0.0.1 6666
`;

  test("its masters, their replicas, and where it listens", () => {
    const { cluster, sentinel } = importSentinelConf(conf, "s.conf");
    expect(sentinel).toEqual({ host: "127.0.0.1", port: 26400 });
    expect(cluster?.password).toBe("secret");
    expect(cluster?.shards).toMatchObject([
      {
        name: "shard-a",
        master: { host: "10.0.0.1" },
        replicas: [{ host: "10.0.0.3", port: 6666 }],
      },
    ]);
  });

  test("with users: Sentinel's own password is the one among Sentinels, the nodes' is asked for", () => {
    const users = `${conf}user default on #abc ~* +@all\nsentinel sentinel-pass "of sentinels"\nsentinel auth-user shard-a monitor\n`;
    const { cluster, sentinelPassword, warnings, errors } = importSentinelConf(users, "s.conf");
    expect(errors).toEqual([]);
    expect([sentinelPassword, cluster?.password]).toEqual(["of sentinels", undefined]);
    expect(places(warnings)).toEqual(["AUTH_USER 8:28"]);
    const both = importSentinelConf(`requirepass own\n${users}`, "s.conf");
    expect(both.sentinelPassword).toBe("own");
  });

  test.each([
    ["port 26379\n", "SENTINEL_MONITOR_MISSING 1:1"],
    ["sentinel monitor a 10.0.0.1\n", "SENTINEL_MONITOR_BAD 1:18"],
    [`${conf}sentinel monitor shard-a 10.0.0.2 1 1\n`, "SENTINEL_MASTER_TWICE 6:18"],
  ])("%j", (text, expected) => {
    expect(places(importSentinelConf(text, "s.conf").errors)).toEqual([expected]);
  });

  test("what the running Sentinels know wins over the file, and is said", () => {
    const cluster = clusterOf(GOOD);
    const masters = [
      {
        name: "one",
        master: at("10.0.0.9"),
        replicas: [at("10.0.0.1")],
        quorum: 1,
        runId: "",
        settings: [],
      },
      { name: "shard-b", master: at("10.0.0.8"), replicas: [], quorum: 1, runId: "", settings: [] },
    ];
    const joined = withSentinels(cluster, { masters });
    expect(joined.cluster.shards.map(({ master }) => master.host)).toEqual([
      "10.0.0.9",
      "10.0.0.8",
    ]);
    expect(places(joined.warnings)).toEqual(["MASTER_MOVED 11:6", "MASTER_MOVED 10:6"]);
    expect(places(withSentinels(cluster, { masters: [] }).errors)).toEqual([
      "SENTINEL_UNKNOWN_SERVER 11:6",
      "SENTINEL_UNKNOWN_SERVER 10:6",
    ]);
  });

  function at(host: string) {
    return { host, port: 6666 };
  }
});

describe("redis-cli cluster nodes", () => {
  const id = (digit: string): string => digit.repeat(40);
  const nodes = [
    `${id("a")} 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8000 16383`,
    `${id("b")} 10.0.0.2:6379@16379,db2 master - 0 0 2 connected 8001-16382`,
    `${id("c")} 10.0.0.3:6379@16379 slave ${id("a")} 0 0 1 connected`,
    `${id("d")} :0@0 slave,noaddr ${id("a")} 0 0 1 disconnected`,
  ];

  test("slots become the distribution of crc16", () => {
    const { cluster, errors } = importClusterNodes(`${nodes.join("\n")}\n`, "nodes");
    expect(errors).toEqual([]);
    expect(cluster).toMatchObject({
      hash: "crc16",
      hashTag: "{}",
      distribution: {
        ranges: [
          [
            [0, 8000],
            [16383, 16383],
          ],
          [[8001, 16382]],
        ],
      },
      shards: [{ replicas: [{ host: "10.0.0.3", port: 6379 }] }, { replicas: [] }],
    });
  });

  test.each([
    [nodes.slice(1), "CLUSTER_SLOT_MISSING 1:1"],
    [[...nodes, "what"], "CLUSTER_LINE_BAD 5:1"],
    [
      [nodes[0]?.replace("16383", "16383 [9-<-bb]") ?? "", nodes[1] ?? ""],
      "CLUSTER_SLOT_MOVING 1:107",
    ],
    [[nodes[0]?.replace("master", "master,fail") ?? "", nodes[1] ?? ""], "CLUSTER_MASTER_DEAD 1:1"],
    [[...nodes, nodes[0] ?? ""], "CLUSTER_SLOTS_BAD 1:1"],
  ])("%j", (lines, expected) => {
    expect(places(importClusterNodes(lines.join("\n"), "nodes").errors)).toEqual([expected]);
  });
});
