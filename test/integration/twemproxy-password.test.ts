// A password on twemproxy, with Sentinel and with Twine's own monitors: it is asked for everywhere, masters fail over under it,
// and twine-password changes it; twemproxy, which knows one password, has the old one until --finish.
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const DATA = `
a1=data 0 {a1} 0
a2=data 0 {a2} 0
b1=data 1 {b1} 0
b2=data 1 {b2} 0
proxy=router {proxy} {stats}
cluster locked
router twemproxy
down-after 500ms
`;
const SENTINEL = `${DATA}watch=monitor {watch}\nfailover sentinel\n`;
const OWN = `${DATA}watch=monitor {watch} {facade}\ns1=status {s1} 0\n`;
const OLD = "correct horse".replace(" ", "-");
const KEYS = ["one", "two", "three", "four", "five", "six"];

class Locked {
  readonly local: LocalFolder;
  readonly file: string;

  private constructor(local: LocalFolder) {
    this.local = local;
    this.file = join(local.folder, "password");
  }

  static async started(conf: string): Promise<Locked> {
    const locked = new Locked(await localFolder(conf));
    await writeFile(locked.file, `${OLD}\n`, { mode: 0o600 });
    await locked.must("infra", "twine-setup");
    await locked.must("infra", "twine-start");
    await locked.untilServed(OLD);
    return locked;
  }

  tool(room: "infra" | "runtime", name: string, ...args: string[]): Promise<Ran> {
    return runCommand(process.execPath, [binPath(name, room), ...args], {
      cwd: this.local.folder,
      env: { TWINE_PASSWORD_FILE: this.file },
    });
  }

  async must(room: "infra" | "runtime", name: string, ...args: string[]): Promise<string> {
    const ran = await this.tool(room, name, ...args);
    expect(ran.code, `${name} ${args.join(" ")}\n${ran.stdout}${ran.stderr}`).toBe(0);
    return ran.stdout;
  }

  async ask(name: string, password: string, ...command: string[]): Promise<string> {
    const args = ["-p", String(this.local.port(name)), "--no-auth-warning", "-a", password];
    const { stdout, stderr } = await runCommand("redis-cli", [...args, ...command], {});
    return `${stdout}${stderr}`.trim();
  }

  async untilServed(password: string): Promise<void> {
    await until("both partitions take writes", async () => {
      const replies = await Promise.all(
        KEYS.map((key) => this.ask("proxy", password, "SET", key, "x")),
      );
      return replies.every((reply) => reply === "OK");
    });
  }

  async passwords(): Promise<string[]> {
    return (await readFile(this.file, "utf8")).trim().split("\n");
  }

  /** The node of partition 0 that serves. */
  async master(password: string): Promise<string> {
    const isMaster = async (name: string): Promise<boolean> =>
      (await this.ask(name, password, "ROLE")).startsWith("master");
    return (await isMaster("a1")) ? "a1" : "a2";
  }

  /** Kills the master of partition 0, and waits until the other serves and the killed one follows it. */
  async failOver(password: string): Promise<void> {
    const { local } = this;
    await until(
      "all are in sync",
      async () => (await this.tool("runtime", "twine-status")).code === 0,
    );
    const master = await this.master(password);
    const other = master === "a1" ? "a2" : "a1";
    process.kill(await local.pid(master), "SIGKILL");
    await until(`${other} is master`, async () =>
      (await this.ask(other, password, "ROLE")).startsWith("master"),
    );
    await this.untilServed((await this.passwords()).at(-1) ?? "");
    await this.must("infra", "twine-start");
    await until(`${master} follows`, async () =>
      /^slave[^]*connected/.test(await this.ask(master, password, "ROLE")),
    );
  }

  /** Whether every node lets the default user in with it. */
  async letsIn(password: string, names: readonly string[]): Promise<boolean[]> {
    const isIn = async (name: string): Promise<boolean> =>
      (await this.ask(name, password, "PING")) === "PONG";
    return Promise.all(names.map(isIn));
  }
}

const NODES = ["a1", "a2", "b1", "b2"];

describe.skipIf(isMissing("redis-server", "redis-cli", "nutcracker")).each([
  ["failover sentinel", SENTINEL, [...NODES, "watch"]],
  ["Twine's own monitors", OWN, NODES],
])("a password, router twemproxy, %s", (_, conf, names) => {
  test("it is required, failovers work with it, and it is changed without stopping a node", async () => {
    const locked = await Locked.started(conf);
    const { local } = locked;
    const ids = async (): Promise<number[]> => Promise.all(names.map((name) => local.pid(name)));
    for (const name of ["proxy", ...names]) {
      expect(await locked.ask(name, "wrong", "PING"), name).toMatch(/WRONGPASS|invalid password/);
      const command = name === "watch" ? ["PING"] : ["GET", "one"];
      const args = ["-p", String(local.port(name)), ...command];
      expect((await runCommand("redis-cli", args, {})).stdout, name).toMatch(/NOAUTH/);
    }
    await locked.failOver(OLD);

    const before = await ids();
    expect(await locked.must("infra", "twine-password", "--rotate")).toMatch(
      /twemproxy has the old one until twine-password --finish/,
    );
    const [fresh = ""] = await locked.passwords();
    expect(await locked.passwords()).toEqual([fresh, OLD]);
    expect(await locked.letsIn(OLD, names)).toEqual(names.map(() => true));
    expect(await locked.letsIn(fresh, names)).toEqual(names.map(() => true));
    expect(await locked.letsIn(OLD, ["proxy"])).toEqual([true]);
    expect(await ids()).toEqual(before);
    // In the middle of it, a master fails, and the killed node starts with what is in its files.
    await locked.failOver(fresh);
    expect(await locked.must("infra", "twine-setup")).toMatch(/ 0 files written/);

    const middle = await ids();
    await locked.must("infra", "twine-password", "--finish");
    expect(await locked.passwords()).toEqual([fresh]);
    expect(await locked.letsIn(OLD, ["proxy", ...names])).toEqual([
      false,
      ...names.map(() => false),
    ]);
    await locked.untilServed(fresh);
    expect(await ids()).toEqual(middle);
    await locked.failOver(fresh);
    expect(await locked.must("infra", "twine-setup")).toMatch(/ 0 files written/);

    // Everything starts again from what the files say.
    await locked.must("infra", "twine-stop");
    await locked.must("infra", "twine-start");
    await locked.untilServed(fresh);
    expect(await locked.ask("proxy", fresh, "GET", "one")).toBe("x");
    await locked.must("infra", "twine-stop");
  }, 400_000);
});

describe.skipIf(isMissing("redis-server", "redis-cli", "nutcracker"))(
  "a password, router twemproxy",
  () => {
    test("nodes, Sentinel and twemproxy that do not run while it changes start with the new one, and --abort takes it back", async () => {
      const locked = await Locked.started(SENTINEL);
      const rotated = await locked.tool("infra", "twine-password", "--rotate");
      expect([rotated.code, rotated.stderr]).toEqual([
        0,
        expect.not.stringContaining("status nodes"),
      ]);
      await locked.must("infra", "twine-password", "--abort");
      expect(await locked.passwords()).toEqual([OLD]);
      await locked.untilServed(OLD);

      for (const name of ["a2", "watch", "proxy"]) await locked.must("infra", "twine-stop", name);
      await locked.must("infra", "twine-password", "--rotate", "--finish");
      const [fresh = ""] = await locked.passwords();
      expect(await locked.must("infra", "twine-setup")).toMatch(/ 0 files written/);
      await locked.must("infra", "twine-start");
      await locked.untilServed(fresh);
      expect(await locked.letsIn(OLD, ["proxy", "watch", ...NODES])).not.toContain(true);
      expect(await locked.letsIn(fresh, ["watch", ...NODES])).not.toContain(false);
      await locked.failOver(fresh);
      const files = [
        "watch/sentinel.conf",
        "proxy/nutcracker.yml",
        "a1/redis.conf",
        "a1/users.acl",
      ];
      for (const file of files) {
        const path = locked.local.path(file);
        expect((await stat(path)).mode & 0o077, file).toBe(0);
        expect(await readFile(path, "utf8"), file).not.toContain(OLD);
      }
      await locked.must("infra", "twine-stop");
    }, 400_000);

    test("the staging file, which another user reads, holds no password", async () => {
      const locked = await Locked.started(`${SENTINEL}twemproxy-staging staging.yml\n`);
      await locked.failOver(OLD);
      const staging = await readFile(join(locked.local.folder, "staging.yml"), "utf8");
      expect(staging).toMatch(/servers:/);
      expect(staging).not.toMatch(/redis_auth/);
      expect(await locked.local.read("proxy", "nutcracker.yml")).toContain(`redis_auth: "${OLD}"`);
      await locked.must("infra", "twine-stop");
    }, 200_000);
  },
);
