// seeds-walk.test.ts: the documents that Twine grew from, each from its first line to its last: what it says to type is typed,
// with the tools' names of today, and what it says happens is looked for. docs/seeds.md has each statement with its place.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { mailServer } from "../support/mail-server.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { seedSession, type SeedSession } from "../support/seed-session.ts";

const LONG_MS = 600_000;
const TWO_SETS = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
b1=data 1 localhost {b1} 0
b2=data 1 localhost {b2} 0
`;

function isGone(session: SeedSession, path: string): Promise<boolean> {
  return readFile(join(session.folder, path)).then(
    () => false,
    () => true,
  );
}

describe.skipIf(isMissing("redis-server", "redis-cli")).each([
  ["Roma", "roma", "roma.conf"],
  ["Twine 0.1", "twine", "twine.conf"],
])("%s", (_, name, conf) => {
  test(
    "quick start, core utilities, monitors that compete, backup and restore",
    async () => {
      const relay = await mailServer();
      await relay.start();
      const session = await seedSession(
        `${TWO_SETS}s1=status localhost {s1} 0
s2=status localhost {s2} 0
s3=status localhost {s3} 0
m1=monitor localhost {m1}
m2=monitor localhost {m2}
cluster walked
backup-dir backups
backup-every 1h
alert-mail ops@example.com
alert-smtp smtp://127.0.0.1:${relay.port}
alert-after 1s
`,
        conf,
      );
      const { type } = session;
      // Quick start.
      expect(await type(`${name}-install`)).toMatch(/-server \d+\.\d+/);
      await type(`${name}-setup localhost`);
      for (const node of ["a1", "a2", "b1", "b2", "s1", "s2", "s3"]) {
        expect(await type(`cat partitions/localhost/${node}/redis.conf`)).toContain(
          `port ${session.port(node)}\n`,
        );
      }
      // Data nodes are presumed to be dead until a monitor promotes them.
      await type(`${name}-start a1`);
      expect((await session.sh("redis-cli -p {a1} GET k")).stdout).toMatch(/^MASTERDOWN/);
      await type(`${name}-start`);
      await session.untilPrints(`${name}-status`, /Nothing is wrong/);

      // The wrapper of redis-cli hashes the key; twine-hash says where it lies, for keys of 7-bit ASCII.
      expect(await type(`${name} set foo bar`)).toBe("OK\n");
      expect(await type(`${name} get foo`)).toBe("bar\n");
      expect(await type(`${name}-hash foo 2`)).toBe(`${crc32("foo") % 2}\n`);
      const holder = crc32("foo") % 2 === 0 ? "a" : "b";
      const other = holder === "a" ? "b" : "a";
      const [first, second] = [`${holder}1`, `${holder}2`];
      const keyAt = async (node: string): Promise<string> =>
        (await session.sh(`redis-cli -p {${node}} KEYS '*'`)).stdout.trim();
      await until("the key is on both nodes of its partition", async () =>
        (await Promise.all([keyAt(first), keyAt(second)])).every((keys) => keys === "foo"),
      );
      expect(await Promise.all([keyAt(`${other}1`), keyAt(`${other}2`)])).toEqual(["", ""]);

      // The status in its formats, and on every status node.
      expect(await type(`${name}-status summary`)).toMatch(/data nodes +4/);
      expect(await type(`${name}-status list`)).toMatch(/^a1\s+data/m);
      expect(await type(`${name}-status xml`)).toContain("<?xml");
      expect(await type(`${name}-status html`)).toContain("<!doctype html>");
      for (const node of ["s1", "s2", "s3"]) {
        expect(await type(`redis-cli -p {${node}} KEYS 'walked:*'`)).toContain("walked:view");
      }

      // The alpha takes backups by itself; so does a person, and later overwrites the cluster by this one.
      const ids = (): Promise<string[]> => readdir(join(session.folder, "backups")).catch(() => []);
      await until("the alpha has taken one", async () => (await ids()).length > 0, 120_000);
      const [, id = ""] = /^(walked-\S+):/.exec(await type(`${name}-backup`)) ?? [];
      expect(await ids()).toContain(id);
      await type(`${name} set foo changed`);

      // The alpha dies: another one reports and fails over.
      const alpha = async (): Promise<string> =>
        (JSON.parse((await session.sh(`${name}-status json`)).stdout) as { alpha: string }).alpha;
      const dead = await alpha();
      await session.kill(dead);
      await until("another is alpha", async () => {
        const now = await alpha().catch(() => dead);
        return now !== dead && ["m1", "m2"].includes(now);
      });
      const master = (await session.sh("redis-cli -p {a1} ROLE")).stdout.startsWith("master")
        ? "a1"
        : "a2";
      await session.kill(master);
      await session.untilPrints(`redis-cli -p {${master === "a1" ? "a2" : "a1"}} ROLE`, /^master/);
      await until("a mail says so", () =>
        relay.mails.some(({ text }) => (text ?? "").includes(master)),
      );
      await type(`${name}-start`);
      await session.untilPrints(`${name}-status`, /Nothing is wrong/);

      // Restore overwrites all data.
      await type(`${name}-restore ${id} --yes`);
      await session.untilPrints(`${name} get foo`, /^bar/);
      await type(`${name}-stop`);
      expect((await session.sh("redis-cli -p {a1} PING")).code).not.toBe(0);
      await relay.stop();
    },
    LONG_MS,
  );
});

describe.skipIf(isMissing("redis-server", "redis-cli", "monit"))("Twine with monit", () => {
  test(
    "its session, killed nodes, the append only file, and a backup by copying the folder",
    async () => {
      const session = await seedSession(
        `${TWO_SETS}s1=status localhost {s1} 0
m1=monitor localhost {m1}
cluster walked
redis appendonly yes
supervisor monit
monit-port {monit}
`,
      );
      const { type } = session;
      const monit = "monit -c partitions/localhost/monit/monitrc";
      onTestFinished(async () => void (await session.sh(`${monit} quit`)));
      const isUp = (): Promise<void> => session.untilPrints("twine-status", /Nothing is wrong/);
      // Quick start, line by line.
      expect(await type("twine-install")).toMatch(/-server .*\n.*\/monit$/m);
      await type("twine-setup localhost");
      await type("twine-start");
      await type(monit);
      await isUp();
      await until("monit has looked", async () =>
        /Running|OK/.test((await session.sh(`${monit} -B summary`)).stdout),
      );
      expect(await type(`${monit} -B status`)).toContain("a1");

      // Configuration: the first setting is how often; a server saves at least once a minute.
      const monitrc = await readFile(
        join(session.folder, "partitions/localhost/monit/monitrc"),
        "utf8",
      );
      expect(monitrc.replace(/^#.*\n/gm, "")).toMatch(/^set daemon 5\n/);
      expect(monitrc).toMatch(/set httpd port \d+ and use address localhost/);
      expect(await type("cat partitions/localhost/a1/redis.conf")).toMatch(/^save [^\n]*\b60 1\b/m);

      // A client hashes by itself: port of (hash(key) % partitions).
      const partition = Number(await type("twine-hash key 2"));
      const [one, two] = partition === 0 ? ["a1", "a2"] : ["b1", "b2"];
      const isMaster = (await type(`redis-cli -p {${one}} ROLE`)).startsWith("master");
      const port = `{${isMaster ? one : two}}`;
      expect(await type(`redis-cli -p ${port} set key value`)).toBe("OK\n");
      expect(await type(`redis-cli -p ${port} get key`)).toBe("value\n");
      expect(await type("twine get key")).toBe("value\n");

      // Kill some or all of the redis nodes.
      for (const node of ["a1", "a2", "b1", "b2"]) await session.kill(node);
      await isUp();
      expect(await type("twine get key")).toBe("value\n");
      expect(await type(`ps -ef | grep -v volume-monitor | grep "[rm][eo][dn]i[st]"`)).toMatch(
        /redis-server[^]*monit -c|monit -c[^]*redis-server/,
      );

      // The script for cron compacts the journal.
      await type("partitions/localhost/appendonly/compact.sh");

      await type(`${monit} stop all`);
      await until("all are stopped", async () => isGone(session, "partitions/localhost/s1/pid"));
      await type("twine-stop");
      await type(`${monit} quit`);
      await until("monit is gone", () => isGone(session, "partitions/localhost/monit/monit.pid"));

      // A backup is a copy of the folder, and restoration the reverse.
      await type("cp -a partitions copy");
      await type("twine-start");
      await session.untilPrints("twine set key lost", /^OK/);
      await type("twine-stop");
      await type("rm -r partitions && cp -a copy partitions");
      await type(monit);
      await isUp();
      expect(await type("twine get key")).toBe("value\n");
      await type("twine-stop");
      await type(`${monit} quit`);
    },
    LONG_MS,
  );

  test(
    "64 partitions: the last line is b4263, and a key's port is 4200 and its hash",
    async () => {
      const conf = await readFile(
        new URL("../../examples/sixty-four.conf", import.meta.url),
        "utf8",
      );
      expect(conf).toMatch(/^b4263=data 63 4263 0$/m);
      const session = await seedSession(conf);
      const plan = JSON.parse(await session.type("twine-plan --json")) as unknown;
      expect(JSON.stringify(plan)).toContain("b4263");
      expect(Number(await session.type("twine-hash key 64"))).toBe(crc32("key") % 64);
    },
    LONG_MS,
  );
});
