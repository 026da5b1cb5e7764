// A folder as backup-dir on several hosts: three loopback addresses of this machine, each with a folder and a twine.conf of its
// own, set up and started by the tools as on a machine of its own. Who holds a backup, what a new alpha does, and how a restore
// finds it (docs/backup.md); with a folder of each host's own, then with one that all hosts share.
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { configOf } from "../golden/render-cases.ts";
import { runningProcess } from "../../infra/local/files/pid-file.ts";
import type { View } from "../../runtime/core/view.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { freePort } from "../support/port-claims.ts";
import { RegisterView } from "../support/register-view.ts";
import { runTool, type ToolRan } from "../support/run-tool.ts";

const HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
const CONF = `
a1=data 0 127.0.0.1 {a1} 0
a2=data 0 127.0.0.2 {a2} 0
b1=data 1 127.0.0.3 {b1} 0
b2=data 1 127.0.0.2 {b2} 0
s1=status 127.0.0.1 {s1} 0
s2=status 127.0.0.2 {s2} 0
s3=status 127.0.0.3 {s3} 0
m1=monitor 127.0.0.1 {m1}
m2=monitor 127.0.0.2 {m2}
m3=monitor 127.0.0.3 {m3}
cluster hosted
partitions 2
backup-every 24d
redis repl-diskless-sync-delay 0
`;
const WITHIN_MS = 120_000;

const isOk = ({ state, restore }: View): boolean => state === "OK" && (restore ?? null) === null;
const alphaHost = ({ alpha }: View): string => HOSTS[Number(alpha.slice(1)) - 1] ?? "";

class Hosts {
  readonly home: string;
  readonly #text: string;
  readonly #register: RegisterView;

  constructor(home: string, text: string) {
    this.home = home;
    this.#text = text;
    this.#register = new RegisterView(configOf(text, this.conf(HOSTS[0] ?? "")));
  }

  static async started(backupDir: (home: string) => string): Promise<Hosts> {
    const home = await mkdtemp(join(tmpdir(), "twine-hosts-"));
    let text = `${CONF}backup-dir ${backupDir(home)}\n`;
    for (const [, name = ""] of CONF.matchAll(/\{(\w+)\}/g)) {
      text = text.replace(`{${name}}`, String(await freePort()));
    }
    const hosts = new Hosts(home, text);
    onTestFinished(() => hosts.#remove());
    for (const host of HOSTS) {
      mkdirSync(join(home, host));
      writeFileSync(hosts.conf(host), text);
      const { code, err } = await runTool("infra", "twine-setup", hosts.conf(host), host);
      expect([host, code], err).toEqual([host, 0]);
    }
    // None waits for what another host has not started yet.
    const all = await Promise.all(
      HOSTS.map((host) => hosts.run(host, "infra", "twine-start", host)),
    );
    expect(
      all.map(({ code }) => code),
      all.map(({ err }) => err).join("\n"),
    ).toEqual([0, 0, 0]);
    await hosts.where("OK", isOk);
    return hosts;
  }

  conf(host: string): string {
    return join(this.home, host, "twine.conf");
  }

  /** As it is run on that host. */
  run(host: string, room: "infra" | "runtime", name: string, ...args: string[]): Promise<ToolRan> {
    return runTool(room, name, this.conf(host), ...args);
  }

  where(what: string, fits: (view: View) => boolean): Promise<View> {
    return this.#register.where(what, fits, () => Promise.resolve(""), WITHIN_MS);
  }

  async pid(name: string): Promise<number> {
    const host =
      HOSTS.find((one) => existsSync(join(this.home, one, "partitions", one, name))) ?? "";
    return (await runningProcess(join(this.home, host, "partitions", host, name, "pid")))?.pid ?? 0;
  }

  /** Of a key's master, wherever that is. */
  async ask(key: string, command: string, ...words: string[]): Promise<unknown> {
    const { nodes, partitions } = await this.where("OK", isOk);
    const master = partitions[crc32(key) % 2]?.master;
    const node = nodes.find(({ name }) => name === master);
    const at = { host: node?.host ?? "", port: node?.port ?? 0 };
    const link = await openRedisLink(at, { connectTimeoutMs: 5000 });
    try {
      return await link.call(command, key, ...words);
    } finally {
      link.close();
    }
  }

  /** Ids of the backups in the folder beside a host's twine.conf. */
  own(host: string): string[] {
    const folder = join(this.home, host, "backups");
    return existsSync(folder)
      ? readdirSync(folder).filter((id) => existsSync(join(folder, id, "manifest.json")))
      : [];
  }

  async #remove(): Promise<void> {
    for (const [, name = ""] of this.#text.matchAll(/^(\w+)=/gm)) {
      const pid = await this.pid(name).catch(() => 0);
      if (pid > 0) process.kill(pid, "SIGKILL");
    }
    await rm(this.home, { recursive: true, force: true, maxRetries: 10 });
  }
}

const taken = (view: View): boolean => (view.backup?.lastAt ?? null) !== null;

test("a folder of each host's own: the alpha's host has the backups; a new alpha takes one at once; a copy is restored anywhere by its path", async () => {
  const hosts = await Hosts.started(() => "backups");
  await hosts.ask("foo", "SET", "of the first alpha");
  await hosts.ask("x", "SET", "of the first alpha");
  const first = await hosts.where("the alpha has taken one", taken);
  const [old, others] = [alphaHost(first), HOSTS.filter((host) => host !== alphaHost(first))];
  expect(others.map((host) => hosts.own(host))).toEqual([[], []]);
  // By hand it lies on the host where it was taken.
  const byHand = await hosts.run(old, "runtime", "twine-backup");
  expect([byHand.code, byHand.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(hosts.own(old)).toHaveLength(2);

  const [elsewhere = ""] = others;
  const listed = await hosts.run(elsewhere, "runtime", "twine-backup", "--list");
  expect(listed.out).not.toContain("hosted-");
  const unknown = await hosts.run(elsewhere, "runtime", "twine-restore", "latest", "--yes");
  expect([unknown.code, unknown.err]).toEqual([
    1,
    expect.stringMatching(
      /there is no backup latest in backups on this host.*twine-status.*alpha/s,
    ),
  ]);
  expect(await hosts.ask("foo", "GET")).toBe("of the first alpha");

  await hosts.ask("foo", "SET", "of the second alpha");
  process.kill(await hosts.pid(first.alpha), "SIGKILL");
  const second = await hosts.where(
    "another alpha has taken one",
    (view) => view.alpha !== first.alpha && taken(view) && hosts.own(alphaHost(view)).length > 0,
  );
  const now = alphaHost(second);
  expect(hosts.own(old)).toHaveLength(2);
  await hosts.run(old, "infra", "twine-start", old);
  await hosts.where("OK", isOk);

  // Each host restores what lies on it.
  for (const [host, value] of [
    [old, "of the first alpha"],
    [now, "of the second alpha"],
  ] as const) {
    await hosts.ask("foo", "SET", "later");
    const restored = await hosts.run(host, "runtime", "twine-restore", "latest", "--yes");
    expect([host, restored.code, restored.err]).toEqual([
      host,
      0,
      expect.not.stringContaining("error"),
    ]);
    expect([host, await hosts.ask("foo", "GET")]).toEqual([host, value]);
  }
  // What was copied from another host, as by scp.
  const [id = ""] = hosts.own(old);
  const copy = join(hosts.home, now, "copied", id);
  cpSync(join(hosts.home, old, "backups", id), copy, { recursive: true });
  const restored = await hosts.run(now, "runtime", "twine-restore", copy, "--yes");
  expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(await hosts.ask("foo", "GET")).toBe("of the first alpha");
}, 400_000);

test("a folder that all hosts share: a new alpha takes none before it is due, and every host lists and restores all of them", async () => {
  const hosts = await Hosts.started((home) => join(home, "shared"));
  await hosts.ask("foo", "SET", "saved");
  const first = await hosts.where("the alpha has taken one", taken);
  const shared = (): string[] => readdirSync(join(hosts.home, "shared"));
  const byHand = await hosts.run(alphaHost(first), "runtime", "twine-backup");
  expect(byHand.code, byHand.err).toBe(0);
  const ids = shared();
  expect(ids).toHaveLength(2);
  process.kill(await hosts.pid(first.alpha), "SIGKILL");
  // The new alpha has looked, and shows what it found.
  const second = await hosts.where(
    "another alpha shows it",
    (view) => view.alpha !== first.alpha && taken(view),
  );
  expect(shared()).toEqual(ids);
  await hosts.run(alphaHost(first), "infra", "twine-start", alphaHost(first));
  await hosts.ask("foo", "SET", "later");
  for (const host of HOSTS) {
    const { out } = await hosts.run(host, "runtime", "twine-backup", "--list");
    expect([host, ids.filter((id) => !out.includes(id))]).toEqual([host, []]);
  }
  const restored = await hosts.run(
    alphaHost(second),
    "runtime",
    "twine-restore",
    "latest",
    "--yes",
  );
  expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(await hosts.ask("foo", "GET")).toBe("saved");
}, 300_000);
