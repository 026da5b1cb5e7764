// The seed's other system on real programs: nutcracker in front of real redis-servers under a real redis-sentinel, in both ways
// in which twemproxy hears of a new master: directly, and through a staging file.
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand } from "../support/run-tool.ts";
import { until } from "../support/redis-server.ts";

const NODES = `
a1=data 0 {a1} 0
a2=data 0 {a2} 0
b1=data 1 {b1} 0
b2=data 1 {b2} 0
watch=monitor {watch}
proxy=router {proxy} {stats}
cluster other
router twemproxy
failover sentinel
down-after 500ms
`;
const ALL = ["a1", "a2", "b1", "b2", "proxy", "watch"];

async function started(conf: string): Promise<LocalFolder> {
  const local = await localFolder(conf);
  await local.setup();
  await local.start({ only: undefined });
  expect(await local.running()).toEqual(ALL);
  return local;
}

/** Through twemproxy, which closes the connection at the greeting of a client library. */
async function ask(local: LocalFolder, ...command: string[]): Promise<string> {
  const args = ["-p", String(local.port("proxy")), ...command];
  return (await runCommand("redis-cli", args, {})).stdout.trim();
}

/** Until every key can be written again. Names whose hashes lie in both partitions. */
async function untilServed(local: LocalFolder): Promise<void> {
  await until("both partitions take writes", async () => {
    const replies = await Promise.all(
      ["one", "two", "three", "four", "five", "six"].map((key) => ask(local, "SET", key, "x")),
    );
    return replies.every((reply) => reply === "OK");
  });
}

function servers(local: LocalFolder): Promise<string[]> {
  return local
    .read("proxy", "nutcracker.yml")
    .then((text) => [...text.matchAll(/:(\d+):1 twine-p/g)].map(([, port = ""]) => port));
}

async function proxyPid(local: LocalFolder): Promise<string> {
  const log = await local.read("proxy", "log");
  return /.*"pid":(\d+),"msg":"twemproxy started"/s.exec(log)?.[1] ?? "";
}

async function kill(local: LocalFolder, name: string): Promise<void> {
  process.kill(await local.pid(name), "SIGKILL");
  await until(`${name} is gone`, async () => !(await local.running()).includes(name));
}

describe.skipIf(isMissing("redis-server", "redis-cli", "nutcracker"))(
  "router twemproxy, failover sentinel",
  () => {
    test("after a failover twemproxy serves the new master, a person's settings stay, and setup keeps what Sentinel wrote", async () => {
      const local = await started(NODES);
      const yml = local.path("proxy", "nutcracker.yml");
      const edited = (await readFile(yml, "utf8")).replace("timeout: 5000", "timeout: 700 # ours");
      await writeFile(yml, edited);
      await untilServed(local);
      const before = await proxyPid(local);

      await kill(local, "a1");
      await until("the file names a2", async () =>
        (await servers(local)).includes(String(local.port("a2"))),
      );
      await untilServed(local);
      expect(await readFile(yml, "utf8")).toMatch(/timeout: 700 # ours/);
      expect(await proxyPid(local)).not.toBe(before);

      // Who comes back is a replica, and its redis.conf says so from now on.
      await local.start({ only: undefined });
      // Sentinel closes a node's connections when it changes its role.
      const link = (): Promise<string> =>
        local.ask("a1", "INFO", "replication").then(String, String);
      await until("a1 follows a2", async () => /role:slave[^]*link_status:up/.test(await link()));
      expect((await local.setup()).hosts[0]).toMatchObject({ written: [], kept: [] });

      // A change of twine.conf: nodes that run are not written behind their backs; stopped, they keep their roles.
      await local.rewrite((text) => `${text}redis maxmemory 64mb\n`);
      await expect(local.setup()).rejects.toThrow(
        /a1.*must change.*which runs, writes into it itself/s,
      );
      await local.stop({ only: undefined });
      expect(await local.running()).toEqual([]);
      await local.setup();
      expect(await local.read("a1", "redis.conf")).toMatch(
        new RegExp(`^replicaof 127\\.0\\.0\\.1 ${local.port("a2")}$[^]*^maxmemory 64mb$`, "m"),
      );
      expect(await local.read("a2", "redis.conf")).not.toMatch(/^replicaof/m);
      await local.start({ only: undefined });
      await untilServed(local);
      expect(await servers(local)).toEqual([String(local.port("a2")), String(local.port("b1"))]);

      // Whoever kills the tool does not leave a twemproxy behind that holds the port.
      await kill(local, "proxy");
      await local.start({ only: undefined });
      await untilServed(local);
    }, 180_000);

    test("through a staging file: Sentinel's script writes it, the watcher takes it; half a file and a stranger are not taken", async () => {
      const local = await started(`${NODES}twemproxy-staging staging.yml\n`);
      const staging = join(local.folder, "staging.yml");
      await untilServed(local);
      await kill(local, "b1");
      await until("the script has written", async () =>
        (await readFile(staging, "utf8").catch(() => "")).includes(`:${local.port("b2")}:1`),
      );
      await untilServed(local);
      expect(await servers(local)).toEqual([String(local.port("a1")), String(local.port("b2"))]);

      const [pid, good] = [await proxyPid(local), await readFile(staging, "utf8")];
      const logged = (words: RegExp): Promise<void> =>
        until(`the log says ${words.source}`, async () =>
          words.test(await local.read("proxy", "log")),
        );
      await writeFile(staging, good.slice(0, good.indexOf("servers:")));
      await logged(/staging\.yml is no whole nutcracker\.yml/);
      await writeFile(staging, good.replace(String(local.port("b2")), "1"));
      await logged(/staging\.yml is not taken.*127\.0\.0\.1:1 is no node of partition 1/);
      // What is right again is followed again; b1 is dead, and twemproxy is told to use it all the same.
      await writeFile(staging, good.replace(String(local.port("b2")), String(local.port("b1"))));
      await until("the file names b1", async () =>
        (await servers(local)).includes(String(local.port("b1"))),
      );
      await until("twemproxy is restarted", async () => (await proxyPid(local)) !== pid);
      expect(
        execFileSync("ps", ["-o", "comm=", "-p", await proxyPid(local)])
          .toString()
          .trim(),
      ).toBe("nutcracker");
    }, 180_000);
  },
);
