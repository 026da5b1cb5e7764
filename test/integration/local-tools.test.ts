// local-tools.test.ts: the tools as a person or cron runs them: exit codes, texts, Ctrl-C, the compaction script.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { SMALL, localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

function bin(name: string): string {
  return binPath(name, "infra");
}

function run(local: LocalFolder, name: string, ...args: string[]): Promise<Ran> {
  return runCommand(process.execPath, [bin(name), ...args], { cwd: local.folder });
}

/** Interrupts the process as soon as it reads a module that it has no use for before main. */
const EARLY_SIGINT = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from "node:module";
registerHooks({
  load(url, context, next) {
    if (/\\/commands(-[\\w-]+)?\\.(ts|js)$/.test(url)) process.kill(process.pid, "SIGINT");
    return next(url, context);
  },
});
`)}`;

/**
 * Ctrl-C once the child has said `words`; answers what it has said so far. Once only: node lets go of signals a moment
 * before it ends, and a second one would then be what the process died of.
 */
function interruptAfter(child: ChildProcessWithoutNullStreams, words: string): () => string {
  let said = "";
  let isSent = false;
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    if (isSent || !said.includes(words)) return;
    isSent = true;
    child.kill("SIGINT");
  });
  return () => said;
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("the tools", () => {
  test("a host that twine.conf lacks is wrong usage, and those that are there are listed", async () => {
    const local = await localFolder(SMALL);
    for (const name of ["twine-setup", "twine-start", "twine-stop"]) {
      const { code, stderr } = await run(local, name, "locahost");
      expect(code, name).toBe(2);
      expect(stderr, name).toMatch(/no host (or node )?locahost; did you mean localhost\?/);
      expect(stderr, name).toMatch(/remedy: name one of (its|the) hosts[:,] localhost/);
    }
  });

  test("--json tells what was written, as one object", async () => {
    const local = await localFolder(SMALL);
    const { code, stdout } = await run(local, "twine-setup", "--json");
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { hosts: { host: string; written: string[] }[] };
    expect(report.hosts[0]?.host).toBe("localhost");
    expect(report.hosts[0]?.written).toContain("a1/redis.conf");
  });

  test.skipIf(process.platform !== "linux")(
    "a folder in which nothing can be written is one error with the system's reason and a remedy",
    async () => {
      // Method: /sys takes folders from nobody, root included.
      const local = await localFolder(SMALL);
      for (const name of ["twine-setup", "twine-up"]) {
        const { code, stderr } = await run(local, name, "--dir", "/sys");
        expect(code, name).toBe(1);
        expect(stderr, name).toMatch(
          /can't write \/sys\/partitions\/localhost: (EROFS|EACCES|EPERM)/,
        );
        expect(stderr, name).toMatch(/remedy: .*--dir FOLDER/);
        expect(stderr.match(/^error: /gm), name).toHaveLength(1);
      }
    },
  );

  test("a replica whose append only file is garbage: twine-up brings the others up when told to keep going", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\nhold-for 2s\n`);
    await local.setup();
    await local.start();
    await local.stop();
    const incr = local.path("a2", "data", "appendonlydir", "appendonly.aof.1.incr.aof");
    await writeFile(incr, "garbage\n".repeat(100));
    const all = await run(local, "twine-start");
    expect(all.stderr).toMatch(/node a2 ended before it was up/);
    expect(await local.running()).toEqual([]);
    const most = await run(local, "twine-up", "--keep-going");
    expect(most.stderr).toMatch(/error: node a2 ended before it was up[^]*Bad file format/);
    expect(most.stdout).toMatch(/DEGRADED/);
    expect(most.code).toBe(1);
    const again = await run(local, "twine-start", "--keep-going");
    expect(again.stdout).toMatch(/0 started, 3 were already running, 1 did not start/);
    expect(again.code).toBe(1);
    expect((await run(local, "twine-stop")).stdout).toMatch(/3 stopped/);
  });

  test("Ctrl-C half way through start leaves nothing running and ends with 130", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const child = spawn(process.execPath, [bin("twine-start")], { cwd: local.folder });
    // The status node is up, the data nodes and the monitor are still to come.
    interruptAfter(child, "s1: started");
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).toBe(130);
    expect(await local.running()).toEqual([]);
  });

  test("Ctrl-C while twine-up waits for OK stops what it had started, and that alone", async () => {
    // Method: one data node lies on another machine, so OK never comes and DEGRADED shows that all else is up.
    const local = await localFolder(`${SMALL}a9=data 0 192.0.2.1 6666 0\n`);
    await local.setup();
    await local.start({ only: ["status"], host: "localhost" });
    const child = spawn(process.execPath, [bin("twine-up")], { cwd: local.folder });
    let complaint = "";
    child.stdout.resume();
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    const ended = once(child, "close") as Promise<[number | null]>;
    const status = binPath("twine-status", "runtime");
    const isUp = async (): Promise<boolean> =>
      (await runCommand(process.execPath, [status], { cwd: local.folder })).code === 10;
    await until("all of this machine is up", isUp, 30_000);
    child.kill("SIGINT");
    expect((await ended)[0]).toBe(130);
    expect(complaint).toContain("everything that this command had started was stopped again");
    expect(await local.running()).toEqual(["s1"]);
  });

  test("Ctrl-C half way through stop says what was stopped and what still runs", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await local.start();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    const child = spawn(process.execPath, [bin("twine-stop")], { cwd: local.folder });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const said = interruptAfter(child, "a2: stopped");
    // Paused, the master holds the stop up until the signal is there. Asked for its role before or after that, it may
    // count as a master or as a replica: in both cases the status node is still to come.
    const master = await local.pid("a1");
    process.kill(master, "SIGSTOP");
    await until("a2 is stopped", () => said().includes("a2: stopped"));
    process.kill(master, "SIGCONT");
    const [code] = (await once(child, "close")) as [number | null];
    const running = await local.running();
    expect(running).toContain("s1");
    expect(errors).toMatch(/interrupted; stopped: (a1, )?a2; still running: (a1, )?s1/);
    expect(errors).toMatch(/remedy: run twine-stop again/);
    expect(code).toBe(130);
  });

  test("Ctrl-C while twine-stop still loads itself stops nothing and says what runs", async () => {
    // Method: the signal comes when its modules are being read, before any of it runs.
    const local = await localFolder(SMALL);
    await local.setup();
    await local.start();
    const child = spawn(process.execPath, ["--import", EARLY_SIGINT, bin("twine-stop")], {
      cwd: local.folder,
    });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    expect(errors).toMatch(/interrupted; stopped: nothing; still running: a1, a2, s1/);
    expect(code).toBe(130);
    expect(await local.running()).toEqual(["a1", "a2", "s1"]);
  });

  test("a node that has left twine.conf is stopped alone by its name, once, and none of the others", async () => {
    const local = await localFolder(`${SMALL}a3=data 0 localhost {a3} 0\n`);
    await local.setup();
    await local.start();
    await local.rewrite((conf) => conf.replace(/^a[23]=.*$/gm, ""));
    const first = await run(local, "twine-stop", "a2");
    expect(first.stdout, first.stderr).toMatch(/a2: stopped\n1 stopped, 0 were not running/);
    expect(await local.running()).toEqual(["a1", "a3", "s1"]);
    const again = await run(local, "twine-stop", "a2");
    expect(again.stdout, again.stderr).toBe("0 stopped, 1 were not running\n");
    expect(again.code).toBe(0);
    // Scripts and the like are no nodes.
    const other = await run(local, "twine-stop", "appendonly");
    expect(other.stderr).toMatch(/no host or node appendonly/);
    expect(other.code).toBe(2);
  });

  test("a host that has left twine.conf is stopped by its name, by that of its node, and with all the others", async () => {
    const local = await localFolder(`${SMALL}a3=data 0 127.0.0.2 {a3} 0\n`);
    const away = (conf: string): string => conf.replace(/^a3=.*$/m, "");
    for (const what of [["127.0.0.2"], ["a3"], []]) {
      await local.setup();
      await local.start();
      const conf = await readFile(local.conf, "utf8");
      await local.rewrite(away);
      const { stdout, stderr } = await run(local, "twine-stop", ...what);
      expect(stdout, stderr).toMatch(/a3: stopped/);
      expect(await local.running()).toEqual(what.length === 0 ? [] : ["a1", "a2", "s1"]);
      await local.rewrite(() => conf);
    }
  });

  test("a node that has moved to another machine is stopped where it was", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await local.start();
    await local.rewrite((conf) => conf.replace(/^a2=data 0 localhost/m, "a2=data 0 192.0.2.1"));
    await local.ask("a2", "REPLICAOF", "NO", "ONE");
    const master = await run(local, "twine-stop", "a2");
    expect(master.stderr).toMatch(/a2 is still a master[^]*on host 192.0.2.1 now/);
    expect(await local.running()).toEqual(["a1", "a2", "s1"]);
    await local.ask("a2", "REPLICAOF", "127.0.0.1", "1");
    expect((await run(local, "twine-stop", "a2")).stdout).toMatch(/1 stopped/);
    expect(await local.running()).toEqual(["a1", "s1"]);
    const gone = await run(local, "twine-stop", "a2");
    expect(gone.stderr).toMatch(/host 192.0.2.1 of twine.conf is not this machine/);
    expect(gone.code).toBe(1);
  });

  test("twine-install finds the server that is there and prints its path and version", async () => {
    const local = await localFolder(SMALL);
    const { code, stdout } = await run(local, "twine-install", "--check");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\/.*(redis|valkey)-server \d+\.\d+/);
  });

  test.skipIf(isMissing("nutcracker"))(
    "twine-install looks for nutcracker where twine.conf says router twemproxy",
    async () => {
      const local = await localFolder(
        "a1=data 0 {a1} 0\nm1=monitor {m1}\nr1=router {r1} {stats}\nrouter twemproxy\nfailover sentinel\n",
      );
      const { code, stdout } = await run(local, "twine-install", "--check");
      expect(code).toBe(0);
      expect(stdout).toMatch(/-server \d+\.\d+\S*\n\/\S*\/nutcracker\n$/);
    },
  );

  test("the compaction script works from any folder, and leaves dead nodes alone", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\n`);
    await local.setup();
    await local.start();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    const script = local.path("appendonly", "compact.sh");
    const { code, stdout } = await runCommand(script, [], { cwd: "/" });
    expect(stdout).toBe("a1: compacting\na2: dead, left alone\n");
    expect(code).toBe(0);
    expect(JSON.stringify(await local.ask("a1", "INFO", "persistence"))).toContain(
      "aof_last_bgrewrite_status:ok",
    );
    process.kill(await local.pid("a2"), "SIGKILL");
    await until("a2 is gone", async () => !(await local.running()).includes("a2"));
    const failed = await runCommand(script, [], { cwd: "/" });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/a2: Could not connect/);
  });

  test("with a password the tools and the compaction script get in, and nobody else", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\n`);
    await writeFile(join(local.folder, "password"), "not-a-secret\n", { mode: 0o600 });
    const env = { TWINE_PASSWORD_FILE: "password" };
    const options = { cwd: local.folder, env };
    const setUp = await runCommand(process.execPath, [bin("twine-setup")], options);
    expect(setUp.stderr + setUp.stdout).toMatch(/localhost: \d+ files written/);
    await local.start({ password: "not-a-secret" });
    await expect(local.ask("a1", "ROLE")).rejects.toThrow(/NOAUTH/);
    const script = local.path("appendonly", "compact.sh");
    const { stdout, code } = await runCommand(script, [], { cwd: "/" });
    expect(stdout).toBe("a1: dead, left alone\na2: dead, left alone\n");
    expect(code).toBe(0);
    expect(await readFile(local.path("a1", "users.acl"), "utf8")).not.toContain("not-a-secret");
    const stopped = await runCommand(process.execPath, [bin("twine-stop")], options);
    expect(stopped.stdout).toMatch(/3 stopped/);
  });

  test("a password changed, added or taken away while the nodes run is said at once, and changes nothing", async () => {
    const local = await localFolder(SMALL);
    const file = join(local.folder, "password");
    const up = (name: string, password: string | undefined, ...args: string[]): Promise<Ran> =>
      runCommand(process.execPath, [bin(name), ...args], {
        cwd: local.folder,
        env: { TWINE_PASSWORD_FILE: password === undefined ? "" : file },
      });
    // [what they are started with, what comes next, what is said]
    const changes: [string | undefined, string | undefined, RegExp][] = [
      [
        "first",
        "second",
        /another password than .* TWINE_PASSWORD_FILE names: a1, a2, s1 run with another one/,
      ],
      [
        undefined,
        "second",
        /another password than .* TWINE_PASSWORD_FILE names: a1, a2, s1 run with none/,
      ],
      ["first", undefined, /TWINE_PASSWORD_FILE names no password: a1, a2, s1 run with a password/],
    ];
    for (const [before, after, said] of changes) {
      await writeFile(file, before ?? "", { mode: 0o600 });
      await up("twine-setup", before);
      await local.start({ password: before });
      const conf = await local.read("a1", "redis.conf");
      await writeFile(file, after ?? "");
      for (const name of ["twine-up", "twine-start"]) {
        const { code, stderr } = await up(name, after);
        expect(stderr, name).toMatch(said);
        expect(stderr, name).toMatch(/remedy: .*twine-stop .*then twine-up/);
        expect(code, name).toBe(1);
      }
      expect(await local.read("a1", "redis.conf")).toBe(conf);
      // Alone it might be the master of its partition, and only a node that lets us in can say.
      const one = await up("twine-stop", after, "a1");
      expect(one.stderr).toMatch(
        /a1, a2 refused the password[^]*remedy: .*twine-stop a1 --no-handover/,
      );
      expect(one.code).toBe(1);
      expect((await up("twine-stop", after)).stdout).toMatch(/3 stopped/);
    }
  }, 180_000);
});
