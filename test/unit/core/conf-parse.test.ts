// What right files mean: every dialect, every directive, defaults, comments, line ends.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { confDigest } from "../../../runtime/core/conf/digest.ts";
import { DIRECTIVE_NAMES } from "../../../runtime/core/conf/directives.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { printConf } from "../../../runtime/core/conf/print.ts";

function configOf(text: string): ClusterConfig {
  const { config, errors } = parseConf(text, "twine.conf");
  expect(errors).toEqual([]);
  if (config === undefined) throw new Error("no errors, and no config either");
  return config;
}

function nodesIn(text: string): unknown[] {
  return configOf(text).nodes.map(({ at, ...node }) => ({ ...node, line: at.line }));
}

describe("node lines", () => {
  test("a line with a host says partition, host, port and db", () => {
    expect(nodesIn("a6666=data 0 db1 6666 3")).toEqual([
      { kind: "data", name: "a6666", partition: 0, host: "db1", port: 6666, db: 3, line: 1 },
    ]);
  });

  test("a line without a host is on localhost, whatever its kind", () => {
    const text = "b0=data 0 4263 7\ns1=status 6400 1\nm1=monitor 7600 26379\nr1=router 6380 22222";
    expect(nodesIn(text)).toMatchObject([
      { host: "localhost", port: 4263, db: 7 },
      { host: "localhost", port: 6400, db: 1 },
      { host: "localhost", port: 7600, sentinelPort: 26379 },
      { host: "localhost", port: 6380, statsPort: 22222 },
    ]);
  });

  test("a db that is left out is 0, and monitors and routers need no second port", () => {
    const lines = ["a=data 0 4200", "b=data 0 db1 4200", "s=status db1 6400", "m=monitor db1 7600"];
    const [a, b, s, m, r] = nodesIn([...lines, "r=router db1 6380"].join("\n"));
    expect([a, b, s]).toMatchObject([{ db: 0 }, { db: 0 }, { db: 0 }]);
    expect(m).not.toHaveProperty("sentinelPort");
    expect(r).not.toHaveProperty("statsPort");
  });

  test("a host may be an address, also of IPv6, in brackets or not", () => {
    const text = "a=data 0 10.0.0.1 6666 0\nb=data 0 fe80::1 6666 0\nc=data 0 [::1] 6666 0";
    expect(nodesIn(text)).toMatchObject([
      { host: "10.0.0.1" },
      { host: "fe80::1" },
      { host: "::1" },
    ]);
  });

  test("tabs, spaces around the =, comments without a space, CRLF, a BOM and a missing last newline are fine", () => {
    const text =
      "\uFEFF# a comment\r\n\r\na1\t=\tdata 0  localhost 6666 0\t# master, mostly\r\n" +
      "  a2 =data 0 6667 0# its replica\r\na3= data 0 6668 0";
    expect(nodesIn(text)).toMatchObject([
      { name: "a1", port: 6666, line: 3 },
      { name: "a2", port: 6667, line: 4 },
      { name: "a3", port: 6668, line: 5 },
    ]);
  });

  test("a node may bear the name of a directive", () => {
    expect(nodesIn("lease=data 0 6666 0")).toMatchObject([{ name: "lease", kind: "data" }]);
  });
});

describe("files of the first Twine and of Roma", () => {
  test("sixty-four partitions, half of them by name and half by address, parse unchanged", () => {
    // Method: the dialect of 2010: comments in boxes, numbers in columns, a status line commented
    // out.
    const half = (letter: string, host: string, from: number): string[] =>
      Array.from({ length: 32 }, (_, index) => {
        const number = from + index;
        const partition = String(number).padStart(2);
        return `${letter}${4200 + number}=data ${partition} ${host} ${4200 + number} 0`;
      });
    const box = ["#", "# one shard cluster (perhaps on one machine)", "#"];
    const lines = [...box, ...half("a", "localhost", 0), "", "# as=status localhost 4270 0", ""];
    const text = [...lines, ...box, ...half("b", "127.0.0.1", 32), "", ""].join("\n");
    const { config, warnings } = parseConf(text, "roma.conf");
    expect(config?.settings.partitions).toBe(64);
    expect(config?.nodes.at(-1)).toMatchObject({ name: "b4263", partition: 63, port: 4263 });
    expect(warnings.map((warning) => warning.code)).toEqual(["CONF_NO_REPLICA"]);
  });

  test("the shipped twine.conf and every example parse without a warning about their placement", () => {
    const files = ["twine.conf", "three-hosts.conf", "sixty-four.conf", "twemproxy.conf"];
    for (const file of files) {
      const path = file === "twine.conf" ? file : `examples/${file}`;
      expect(parseConf(readFileSync(path, "utf8"), path)).toMatchObject({
        errors: [],
        warnings: [],
      });
    }
  });
});

describe("directives", () => {
  const data = "a1=data 0 6666 0\na2=data 0 6667 0\n";

  test("a file of data lines alone has the defaults of the reference", () => {
    expect(configOf(data).settings).toEqual({
      cluster: "twine",
      partitions: 1,
      hash: { kind: "builtin", name: "crc32" },
      redis: [],
      downAfterMs: 1000,
      leaseMs: 500,
      ackReplicas: 0,
      ackTimeoutMs: 1000,
      readFrom: "master",
      holdForMs: 10_000,
      holdBytes: 67_108_864,
      retryUnknown: "reads",
      workers: 1,
      maxClients: 10_000,
      commandBytesMax: 536_870_912,
      commandArgsMax: 1_048_576,
      outputBytesMax: 268_435_456,
      outputTotalBytesMax: 1024 ** 3,
      tcpKeepaliveMs: 300_000,
      idleTimeoutMs: 0,
      drainForMs: 3000,
      tlsAuthClients: "no",
      tlsPlain: "local",
      tlsNodes: "no",
      backupDirs: [],
      backupEveryMs: 3_600_000,
      backupKeep: { kind: "last", count: 24 },
      backupCompress: "none",
      backupArchive: "no",
      backupCutEveryMs: 10_000,
      alertMail: [],
      alertSmtp: "smtp://localhost:25",
      alertAfterMs: 30_000,
      httpHosts: [],
      // router twemproxy and failover sentinel: conf-stack.test.ts.
      router: "twine",
      failover: "twine",
      supervisor: "none",
      monitEveryMs: 5_000,
      monitPort: 2812,
    });
  });

  test("every directive of the reference sets what it says", () => {
    const text = `${data}
      cluster my-cluster_1.0
      partitions 1
      hash twemproxy-fnv1a_64
      hash-tag {}
      redis maxmemory 256mb   # for each node
      redis SAVE ""
      redis proc-title-template "{title} # {listen-addr}"
      down-after 2s
      lease 200ms
      ack-replicas 1
      ack-timeout 3s
      read-from replica
      hold-for 1m
      hold-bytes 1gb
      retry-unknown idempotent
      workers 4
      max-clients 50
      command-bytes 1mb
      command-args 1000
      output-bytes 32mb
      output-bytes-total 2gb
      tcp-keepalive 1m
      idle-timeout 5m
      drain-for 10s
      users-file secrets/users
      tls-cert tls/router.crt
      tls-key "tls/router key.pem"
      tls-ca /etc/twine/ca.crt
      tls-auth-clients optional
      tls-plain all
      tls-nodes yes
      backup-dir backups
      backup-dir "/mnt/my backups # old"
      backup-every 6h
      backup-keep 4w 24h
      backup-compress zstd
      backup-archive yes
      backup-cut-every 30s
      backup-key keys/backup.pub
      alert-mail ops@example.com
      alert-mail boss@example.com
      alert-smtp smtp://mail.example.com
      alert-after 1d
      http-hosts status.example.com
      supervisor monit
      monit-every 1s
      monit-port 2813`;
    const { redis, ...settings } = configOf(text).settings;
    expect(redis.map(({ name, value }) => [name, value])).toEqual([
      ["maxmemory", "256mb"],
      ["save", '""'],
      ["proc-title-template", '"{title} # {listen-addr}"'],
    ]);
    expect(settings).toEqual({
      cluster: "my-cluster_1.0",
      partitions: 1,
      hash: { kind: "builtin", name: "twemproxy-fnv1a_64" },
      hashTag: "{}",
      downAfterMs: 2000,
      leaseMs: 200,
      ackReplicas: 1,
      ackTimeoutMs: 3000,
      readFrom: "replica",
      holdForMs: 60_000,
      holdBytes: 1_073_741_824,
      retryUnknown: "idempotent",
      workers: 4,
      maxClients: 50,
      commandBytesMax: 1_048_576,
      commandArgsMax: 1000,
      outputBytesMax: 33_554_432,
      outputTotalBytesMax: 2 * 1024 ** 3,
      tcpKeepaliveMs: 60_000,
      idleTimeoutMs: 300_000,
      drainForMs: 10_000,
      usersFile: "secrets/users",
      tlsCert: "tls/router.crt",
      tlsKey: "tls/router key.pem",
      tlsCa: "/etc/twine/ca.crt",
      tlsAuthClients: "optional",
      tlsPlain: "all",
      tlsNodes: "yes",
      backupDirs: ["backups", "/mnt/my backups # old"],
      backupEveryMs: 21_600_000,
      backupKeep: { kind: "periods", hours: 24, days: 0, weeks: 4 },
      backupCompress: "zstd",
      backupArchive: "yes",
      backupCutEveryMs: 30_000,
      backupKey: "keys/backup.pub",
      alertMail: ["ops@example.com", "boss@example.com"],
      alertSmtp: "smtp://mail.example.com",
      alertAfterMs: 86_400_000,
      httpHosts: ["status.example.com"],
      // router twemproxy and failover sentinel: conf-stack.test.ts.
      router: "twine",
      failover: "twine",
      supervisor: "monit",
      monitEveryMs: 1_000,
      monitPort: 2813,
    });
  });

  test("a hash is built in, a module by its ending, or else an executable", () => {
    const hashOf = (hash: string): unknown => configOf(`${data}hash ${hash}`).settings.hash;
    expect(hashOf("crc16")).toEqual({ kind: "builtin", name: "crc16" });
    expect(hashOf("./my-hash.mjs")).toEqual({ kind: "module", path: "./my-hash.mjs" });
    expect(hashOf('"./my hash.ts"')).toEqual({ kind: "module", path: "./my hash.ts" });
    expect(hashOf("/usr/bin/my-hash")).toEqual({ kind: "executable", path: "/usr/bin/my-hash" });
  });

  test("a hash tag may be any two characters, quoted when they would begin a comment", () => {
    for (const [written, tag] of [
      ["{}", "{}"],
      ["||", "||"],
      ["==", "=="],
      ['"##"', "##"],
    ]) {
      expect(configOf(`${data}hash-tag ${written ?? ""}`).settings.hashTag).toBe(tag);
    }
  });

  test("a # within a word is no comment", () => {
    expect(configOf(`${data}backup-dir /mnt/disk#1`).settings.backupDirs).toEqual(["/mnt/disk#1"]);
  });

  test("the reference page names every directive", () => {
    const page = readFileSync("docs/twine-conf.md", "utf8");
    expect(DIRECTIVE_NAMES.filter((name) => !page.includes(`\n| \`${name}\` `))).toEqual([]);
  });

  test("the defaults of the reference page are what a file without directives prints", () => {
    const page = readFileSync("docs/twine-conf.md", "utf8");
    const defaults = [...page.matchAll(/^\| `([a-z-]+)` +\| `[^`]+` +\| `([^`]+)` +\|/gm)];
    expect(defaults.length).toBeGreaterThan(12);
    const printed = printConf(configOf(data)).split("\n");
    // What says nothing about the cluster itself is printed only where it differs.
    const quiet = [
      "supervisor",
      "monit-every",
      "monit-port",
      "router",
      "failover",
      "output-bytes-total",
      "tcp-keepalive",
      "backup-compress",
      "backup-archive",
      "backup-cut-every",
    ];

    for (const [, name = "", value = ""] of defaults.filter(
      ([, name]) => !quiet.includes(name ?? ""),
    ))
      expect(printed).toContain(`${name} ${value}`);
    expect(configOf(`${data}supervisor none\nmonit-every 5s\nmonit-port 2812`).settings).toEqual(
      configOf(data).settings,
    );
  });
});

test.each(["..", ".", "...."])(
  "a cluster can't be called %s: its name becomes a folder's",
  (name) => {
    const { errors } = parseConf(`a1=data 0 6666 0\ncluster ${name}\n`, "twine.conf");
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ at: { line: 2 } });
    expect(errors[0]?.remedy).toContain("not dots alone");
  },
);

describe("the digest", () => {
  const text = "a1=data 0 6666 0\na2=data 0 6667\nredis save 60 1\nredis save 900 1\n";

  test("comments, order, spaces and spelled-out defaults make no difference", () => {
    const other =
      "# why\nredis save 60 1\nlease 500ms\na2 = data 0 localhost 6667 0\nredis save 900 1\n" +
      "a1=data 0 6666 0 # first\ncluster twine\npartitions 1";
    expect(confDigest(configOf(other))).toBe(confDigest(configOf(text)));
    expect(confDigest(configOf(text))).toMatch(/^[0-9a-f]{64}$/);
  });

  test("every change that matters makes one", () => {
    const changes = ["lease 400ms", "r1=router 6400", "hash-tag {}", "redis maxmemory 1gb"];
    const digests = changes.map((line) => confDigest(configOf(`${text}${line}`)));
    const swapped = text.replace("60 1", "5 5").replace("900 1", "60 1").replace("5 5", "900 1");
    const all = [confDigest(configOf(text)), confDigest(configOf(swapped)), ...digests];
    expect(new Set(all).size).toBe(all.length);
  });
});
