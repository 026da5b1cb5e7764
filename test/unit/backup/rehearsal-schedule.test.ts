import { expect, test } from "vitest";
import { isRehearsalDue } from "../../../runtime/backup/rehearse/rehearsal-schedule.ts";
import { rehearsalConf, rehearsalPorts } from "../../../runtime/backup/rehearse/rehearsal-conf.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";

const DAY = 86_400_000;
const MINUTE = 60_000;
const AT = { everyMs: 7 * DAY, wallMs: 100 * DAY, nowMs: 0, failures: 0 };

test.each([
  ["none is known", undefined, undefined, 0, true],
  ["the last one is a week old", 93 * DAY, undefined, 0, true],
  ["the last one is younger", 93 * DAY + 1, undefined, 0, false],
  ["the last one is of a clock that was weeks ahead", 120 * DAY, undefined, 0, true],
  ["this alpha has made one and its note is not listed", undefined, -DAY, 0, false],
  ["the last attempt failed nine minutes ago", 93 * DAY + 1, -9 * MINUTE, 1, false],
  ["the last attempt failed ten minutes ago, and left a note", 99 * DAY, -10 * MINUTE, 1, true],
  ["three in a row have failed, the last 39 minutes ago", undefined, -39 * MINUTE, 3, false],
  ["three in a row have failed, the last 40 minutes ago", undefined, -40 * MINUTE, 3, true],
])("when %s", (_what, lastAtMs, triedAtMs, failures, due) => {
  expect(isRehearsalDue({ ...AT, lastAtMs, triedAtMs, failures })).toBe(due);
});

const CONF = `
cluster shop
partitions 3
hash ./hash.mjs
hash-tag {}
a1=data 0 db1 6666 2
a2=data 0 db2 6666 2
b1=data 1 db2 7666 0
c1=data 2 db1 8666 0
s1=status db1 6401 0
m1=monitor db1 7601
r1=router db1 6400
redis maxmemory 1gb
alert-mail ops@example.org
backup-dir /mnt/backups
backup-rehearse 7d
`;

test("the scratch cluster has the partitions, the function and the databases of the real one, and nothing that reaches anybody", () => {
  const real = parseConf(CONF, "/etc/twine/twine.conf");
  if (real.config === undefined) throw new Error(JSON.stringify(real.errors));
  const count = rehearsalPorts(real.config);
  const ports = Array.from({ length: count }, (_, at) => 20_000 + at);
  const text = rehearsalConf(real.config, ports);
  const { config, errors } = parseConf(text, "/scratch/twine.conf");
  expect(errors).toEqual([]);
  expect(config?.nodes.map(({ kind, port }) => `${kind} ${port}`)).toEqual([
    ...["data 20000", "data 20001", "data 20002", "status 20003", "monitor 20004"],
  ]);
  expect(config?.nodes.flatMap((node) => (node.kind === "data" ? [node.db] : []))).toEqual([
    2, 0, 0,
  ]);
  expect(config?.settings).toMatchObject({
    ...{ cluster: "shop", partitions: 3, hashTag: "{}", alertMail: [], backupDirs: [] },
    hash: { kind: "module", path: "/etc/twine/hash.mjs" },
  });
  expect(text).not.toContain("maxmemory");
});
