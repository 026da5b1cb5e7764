// What wrong files are told: the code, the place of the offending word, the clash and the remedy.
import { describe, expect, test } from "vitest";
import { formatProblem, type Problem } from "../../../runtime/core/errors.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";

const data = "a1=data 0 6666 0\na2=data 0 6667 0\n";

/** The errors of a file that begins with two good lines, so that `text` begins on line 3. */
function errorsOf(text: string): readonly Problem[] {
  const parsed = parseConf(`${data}${text}`, "twine.conf");
  expect(parsed.config === undefined).toBe(parsed.errors.length > 0);
  return parsed.errors;
}

/** `CODE line:column` of each error. */
function placesOf(text: string): string[] {
  return errorsOf(text).map(
    ({ code, at }) => `${code} ${at?.line ?? "no line"}:${at?.column ?? "no column"}`,
  );
}

function firstOf(text: string): string {
  const [first] = errorsOf(text);
  return first === undefined ? "" : formatProblem(first);
}

describe("one wrong word", () => {
  test.each([
    ["..=data 0 6668 0", "CONF_BAD_NAME 3:1"],
    ["  a/b=data 0 6668 0", "CONF_BAD_NAME 3:3"],
    ["=data 0 6668 0", "CONF_BAD_NAME 3:1"],
    ["appendonly=data 0 6668 0", "CONF_BAD_NAME 3:1"],
    ["a1=router 6668", "CONF_NAME_TAKEN 3:1"],
    ["a3=daat 0 6668 0", "CONF_UNKNOWN_KIND 3:4"],
    ["a3=", "CONF_UNKNOWN_KIND 3:3"],
    ["a3=data 0", "CONF_WORD_COUNT 3:10"],
    ["a3=data 0 db1 6668 0 9", "CONF_WORD_COUNT 3:22"],
    ["a3=data x 6668 0", "CONF_BAD_NUMBER 3:9"],
    ["a3=data 0 db1 66.8 0", "CONF_BAD_NUMBER 3:15"],
    ["a3=data 0 0 0", "CONF_BAD_NUMBER 3:11"],
    ["a3=data 0 65536 0", "CONF_BAD_NUMBER 3:11"],
    ["a3=data 0 6668 -1", "CONF_BAD_NUMBER 3:16"],
    ["s1=status 6668 x", "CONF_BAD_NUMBER 3:16"],
    ["m1=monitor 7600 0", "CONF_BAD_NUMBER 3:17"],
    ["r1=router db1 6380 22222 1", "CONF_WORD_COUNT 3:26"],
    ["r1=router 6380 0", "CONF_BAD_NUMBER 3:16"],
    ["r1=router 6380 6380", "CONF_PORT_TAKEN 3:16"],
    ["r1=router db1:6380 6381", "CONF_BAD_HOST 3:11"],
    ["lease=5s", "CONF_UNKNOWN_KIND 3:1"],
    ["lease = 5s", "CONF_WORD_COUNT 3:7"],
    ["appendonly=yes", "CONF_UNKNOWN_KIND 3:1"],
    ["down-aftr 1s", "CONF_UNKNOWN_DIRECTIVE 3:1"],
    ["maxmemory 1gb", "CONF_UNKNOWN_DIRECTIVE 3:1"],
    ["a3 data 0 6668 0", "CONF_UNKNOWN_DIRECTIVE 3:1"],
    ["lease", "CONF_WORD_COUNT 3:6"],
    ["lease 1 s", "CONF_WORD_COUNT 3:9"],
    ["lease 500", "CONF_BAD_DURATION 3:7"],
    ["lease 0.5s", "CONF_BAD_DURATION 3:7"],
    ["lease 49ms", "CONF_BAD_DURATION 3:7"],
    ["hold-bytes 64zb", "CONF_BAD_SIZE 3:12"],
    ["hold-bytes 0", "CONF_BAD_SIZE 3:12"],
    ["workers 0", "CONF_BAD_NUMBER 3:9"],
    ["max-clients 0", "CONF_BAD_NUMBER 3:13"],
    ["command-bytes 1kb", "CONF_BAD_SIZE 3:15"],
    ["command-args 1", "CONF_BAD_NUMBER 3:14"],
    ["output-bytes 1kb", "CONF_BAD_SIZE 3:14"],
    ["idle-timeout 300", "CONF_BAD_DURATION 3:14"],
    ["drain-for 2h", "CONF_BAD_DURATION 3:11"],
    ["users-file a b", "CONF_WORD_COUNT 3:14"],
    ["tls-plain yes", "CONF_BAD_VALUE 3:11"],
    ["tls-auth-clients maybe", "CONF_BAD_VALUE 3:18"],
    ["tls-cert a.crt", "CONF_TLS_CONFLICT 3:1"],
    ["tls-key a.key", "CONF_TLS_CONFLICT 3:1"],
    ["tls-auth-clients yes", "CONF_TLS_CONFLICT 3:1"],
    ["tls-auth-clients yes\ntls-cert a.crt\ntls-key a.key", "CONF_TLS_CONFLICT 3:1"],
    ["read-from slave", "CONF_BAD_VALUE 3:11"],
    ["retry-unknown writes", "CONF_BAD_VALUE 3:15"],
    ["cluster my/cluster", "CONF_BAD_VALUE 3:9"],
    ["alert-mail ops", "CONF_BAD_VALUE 3:12"],
    ["alert-smtp http://localhost", "CONF_BAD_VALUE 3:12"],
    ["alert-smtp smtp://localhost:99999", "CONF_BAD_VALUE 3:12"],
    ["alert-smtp smtp://[1]:25", "CONF_BAD_VALUE 3:12"],
    ["alert-smtp smtp://%ff@mail:25", "CONF_BAD_VALUE 3:12"],
    ["alert-smtp smtp://joe@example.com@relay", "CONF_BAD_VALUE 3:12"],
    ['backup-dir ""', "CONF_BAD_VALUE 3:12"],
    ["backup-dir s3://", "CONF_BAD_VALUE 3:12"],
    ["backup-dir s3://My_Bucket/twine", "CONF_BAD_VALUE 3:12"],
    ["backup-dir s3://bucket/a//b", "CONF_BAD_VALUE 3:12"],
    ["backup-dir s3://bucket/../other", "CONF_BAD_VALUE 3:12"],
    ["backup-dir gs://bucket/twine", "CONF_BAD_VALUE 3:12"],
    ['backup-key ""', "CONF_BAD_VALUE 3:12"],
    ["backup-key age1qqqq", "CONF_BAD_VALUE 3:12"],
    ["backup-key AGE-SECRET-KEY-1QQQQ", "CONF_BAD_VALUE 3:12"],
    ["backup-key a.pub b.pub", "CONF_WORD_COUNT 3:18"],
    ['users-file ""', "CONF_BAD_VALUE 3:12"],
    ["backup-keep 0", "CONF_BAD_VALUE 3:13"],
    ["backup-keep 7d 7d", "CONF_BAD_VALUE 3:13"],
    ["backup-keep 0d", "CONF_BAD_VALUE 3:13"],
    ["backup-keep 7 4w", "CONF_BAD_VALUE 3:13"],
    ["backup-compress gzip", "CONF_BAD_VALUE 3:17"],
    ["backup-archive maybe", "CONF_BAD_VALUE 3:16"],
    ["backup-archive yes", "CONF_ARCHIVE_NOWHERE 3:1"],
    ["backup-cut-every 10ms", "CONF_BAD_DURATION 3:18"],
    ["hash md5", "CONF_UNKNOWN_HASH 3:6"],
    ["hash-tag {", "CONF_BAD_HASH_TAG 3:10"],
    ["hash-tag {}}", "CONF_BAD_HASH_TAG 3:10"],
    ["hash-tag äö", "CONF_BAD_HASH_TAG 3:10"],
    ["redis", "CONF_WORD_COUNT 3:6"],
    ["backup-keep", "CONF_WORD_COUNT 3:12"],
    ["redis maxmemory", "CONF_WORD_COUNT 3:16"],
    ['backup-dir "a b', "CONF_BAD_QUOTE 3:12"],
    ['backup-dir "a"b', "CONF_BAD_QUOTE 3:12"],
    ["a3=data 0 66\u000068 0", "CONF_BAD_CHARACTER 3:13"],
  ])("%s is %s", (line, place) => {
    expect(placesOf(line)).toEqual([place]);
  });
});

test("a directive with too few words says how many it takes", () => {
  expect(firstOf("backup-keep")).toContain("backup-keep takes 1 to 3 words, not 0");
  expect(firstOf("redis")).toContain("redis takes a name and a value, not 0");
  expect(firstOf("lease")).toContain("lease takes one word, not 0");
});

test("a duration or a size out of its range is refused with the range", () => {
  expect(firstOf("lease 49ms")).toContain("lease 49ms is out of range");
  expect(firstOf("lease 49ms")).toContain("write a duration from 50ms to 1m");
  expect(firstOf("hold-bytes 0")).toContain("write a size from 1kb to 1tb");
});

test("a misspelt directive is corrected by one line, and only what resembles none lists all", () => {
  expect(firstOf("down-aftr 1s")).toContain("remedy: write down-after DURATION");
  expect(firstOf("zzzzzzzz 1s")).toContain("one of cluster, partitions, hash,");
});

describe("did you mean", () => {
  test.each([
    ["a3=daat 0 6668 0", "did you mean data?"],
    ["a3=DATA 0 6668 0", "did you mean data?"],
    ["m1=moniter 7600", "did you mean monitor?"],
    ["down-aftr 1s", "did you mean down-after?"],
    ["hash-tags {}", "did you mean hash-tag?"],
    ["Lease 1s", "did you mean lease?"],
    ["hash fnv1a_64", "did you mean twemproxy-fnv1a_64?"],
    ["hash crc23", "did you mean crc32?"],
    ["read-from masters", "did you mean master?"],
    ["maxmemory 1gb", "write redis maxmemory"],
    ["a3 data 0 6668 0", "write a3=data 0 6668 0"],
    ["lease=5s", "write lease 5s"],
    ["appendonly=yes", "write redis appendonly yes"],
  ])("%s: %s", (line, hint) => {
    expect(firstOf(line)).toContain(hint);
  });

  test("a word that is near nothing gets the list and no guess", () => {
    expect(firstOf("zzzzzzzz 1")).not.toContain("did you mean");
    expect(firstOf("zzzzzzzz 1")).toContain("backup-every");
  });
});

describe("what Twine owns", () => {
  test.each([
    "port 6379",
    "bind 0.0.0.0",
    "dir /tmp",
    "replicaof db1 6379",
    "SLAVEOF db1 6379",
    "slave-serve-stale-data yes",
    "replica-serve-stale-data yes",
    "slave-announce-ip 10.0.0.1",
    "cluster-enabled yes",
    "tls-port 6380",
    "daemonize yes",
    "databases 16",
    "include other.conf",
    "rename-command FLUSHALL x",
    "unixsocket /tmp/redis.sock",
  ])("redis %s is refused with what to do instead", (line) => {
    const [error] = errorsOf(`redis ${line}`);
    expect(error).toMatchObject({ code: "CONF_REDIS_OWNED", at: { line: 3, column: 7 } });
    expect(error?.remedy).toBeTruthy();
  });

  test.each([
    "requirepass s3cret",
    "masterauth s3cret",
    "user app on >s3cret",
    "aclfile users.acl",
  ])("redis %s is a secret, which is not repeated and goes to TWINE_PASSWORD_FILE", (line) => {
    const message = firstOf(`redis ${line}`);
    expect(message).toContain("TWINE_PASSWORD_FILE");
    expect(message).not.toContain("s3cret");
    expect(placesOf(`redis ${line}`)).toEqual(["CONF_SECRET 3:7"]);
  });

  test("a password is refused wherever it stands, and never repeated", () => {
    for (const line of [
      "requirepass s3cret",
      "password s3cret",
      "alert-smtp smtp://joe:s3cret@h",
    ]) {
      expect(errorsOf(line).map((error) => error.code)).toEqual(["CONF_SECRET"]);
      expect(firstOf(line)).not.toContain("s3cret");
    }
  });
});

describe("lines that conflict", () => {
  test("a port is taken once on a host, and localhost and 127.0.0.1 are one host", () => {
    expect(firstOf("a3=data 0 127.0.0.1 6667 0")).toContain(
      "twine.conf:3:21: nodes a2 (line 2) and a3 both use port 6667 on 127.0.0.1",
    );
    expect(placesOf("m1=monitor 7600 6666")).toEqual(["CONF_PORT_TAKEN 3:17"]);
    expect(placesOf("m1=monitor 7600 7600")).toEqual(["CONF_PORT_TAKEN 3:17"]);
    expect(placesOf("a3=data 0 db1 6666 0")).toEqual([]);
  });

  test("the nodes of one partition have one db", () => {
    expect(firstOf("a3=data 0 6668 1")).toContain(
      "twine.conf:3:16: a1 (line 1) has db 0 and a3 db 1, and both are in partition 0",
    );
  });

  test("a partition without a data node is a gap, named once with all others", () => {
    expect(firstOf("b=data 5 7666 0\nc=data 3 7667 0")).toContain(
      "twine.conf:3:8: the highest partition is 5, but partitions 1, 2, 4 have no data node",
    );
    expect(firstOf("partitions 2")).toContain(
      "twine.conf:3:1: partitions 2, but partition 1 has no data node",
    );
  });

  test("a partition beyond `partitions` names both lines", () => {
    expect(firstOf("b=data 1 7666 0\npartitions 1")).toContain(
      "twine.conf:3:8: b is in partition 1, but partitions 1 (line 4) allows 0 to 0",
    );
  });

  test("a file without a data node says so", () => {
    const { errors } = parseConf("# nothing\ns1=status 6400", "twine.conf");
    expect(errors.map((error) => error.code)).toEqual(["CONF_NO_DATA"]);
    expect(parseConf("", "twine.conf").errors).toHaveLength(1);
  });

  test("a directive that may not be repeated names the line where it stands already", () => {
    expect(firstOf("lease 500ms\nlease 400ms")).toContain("lease is given twice, on line 3");
    expect(placesOf("backup-dir a\nbackup-dir a")).toEqual(["CONF_DIRECTIVE_TWICE 4:12"]);
    expect(placesOf("backup-dir a\nbackup-dir b\nalert-mail a@b\nalert-mail c@d")).toEqual([]);
  });

  test("down-after shorter than the lease names both, also when one is the default", () => {
    expect(firstOf("down-after 300ms")).toContain(
      "twine.conf:3:1: down-after 300ms (line 3) is shorter than lease 500ms (the default)",
    );
    expect(placesOf("down-after 300ms\nlease 300ms")).toEqual([]);
    expect(placesOf("lease 2s")).toEqual(["CONF_TIMES_CONFLICT 3:1"]);
  });

  test("ack-replicas above the replicas of a partition names the partitions", () => {
    expect(placesOf("ack-replicas 1")).toEqual([]);
    expect(firstOf("ack-replicas 2")).toContain("partition 0 has (as few as 1)");
    expect(firstOf("b=data 1 7666 0\nack-replicas 1")).toContain("partition 1 has (as few as 0)");
  });
});

describe("all at once", () => {
  test("every error of a file is shown in the order of its lines", () => {
    const text = "a1=router 1\nlease x\nb=data 7 127.0.0.1 6666 0\nhash nope\nredis port 1\n";
    expect(placesOf(text)).toEqual([
      "CONF_NAME_TAKEN 3:1",
      "CONF_BAD_DURATION 4:7",
      "CONF_PARTITION_GAP 5:8",
      "CONF_PORT_TAKEN 5:20",
      "CONF_UNKNOWN_HASH 6:6",
      "CONF_REDIS_OWNED 7:7",
    ]);
  });

  test("a broken line still claims its name and partition, so that no second error follows from it", () => {
    expect(placesOf("b=data 1 host! 7666 0\nb=data 1 7667 0")).toEqual([
      "CONF_BAD_HOST 3:10",
      "CONF_NAME_TAKEN 4:1",
    ]);
    expect(placesOf("b=data 1 99999 0\nc=data 2 7668 0")).toEqual(["CONF_BAD_NUMBER 3:10"]);
    expect(placesOf("b=dtaa 1 7666 0\nc=data 2 7668 0")).toEqual(["CONF_UNKNOWN_KIND 3:3"]);
  });
});
