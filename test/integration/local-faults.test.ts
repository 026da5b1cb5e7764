// local-faults.test.ts: what goes wrong around real processes: other users' processes, closed pipes, hung and busy nodes,
// another --dir, strange files, data that Redis would not load.
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { findRedis } from "../../infra/local/install/redis-program.ts";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { SMALL, localFolder, type LocalFolder } from "../support/local-folder.ts";
import { findProgram, isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

const isRoot = process.getuid?.() === 0;

function bin(name: string): string {
  return binPath(name, "infra");
}

function run(local: LocalFolder, name: string, ...args: string[]): Promise<Ran> {
  return runCommand(process.execPath, [bin(name), ...args], { cwd: local.folder });
}

async function started(conf = SMALL): Promise<LocalFolder> {
  const local = await localFolder(conf);
  await local.setup();
  await local.start();
  return local;
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("processes", () => {
  test("pid holds one pid alone, and the start time lies beside it", async () => {
    const local = await started();
    expect(await local.read("a1", "pid")).toMatch(/^\d+\n$/);
    const pid = await local.pid("a1");
    expect(await local.read("a1", "pid.start")).toMatch(new RegExp(`^${pid} \\S+ \\d+\\n$`));
    await local.stop();
    await expect(local.read("a1", "pid.start")).rejects.toThrow(/ENOENT/);
  });

  test("a process whose pid file the previous version wrote is still known", async () => {
    const local = await started();
    const [pid = "", ...startTime] = (await local.read("a1", "pid.start")).trim().split(" ");
    await writeFile(local.path("a1", "pid"), `${pid}\n${startTime.join(" ")}\n`);
    await rm(local.path("a1", "pid.start"));
    expect(await local.running()).toEqual(["a1", "a2", "s1"]);
    expect((await local.stop()).stopped).toHaveLength(3);
  });

  test.skipIf(!isRoot)(
    "another user's processes are named with their owner at once, and go on",
    async () => {
      const local = await started();
      await chmod(local.folder, 0o755);
      const asNobody = (name: string): Promise<Ran> =>
        runCommand(
          "setpriv",
          [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            process.execPath,
            bin(name),
            "--no-handover",
          ],
          { cwd: local.folder },
        );
      const { code, stderr } = await asNobody("twine-stop");
      expect(stderr).toMatch(/process \d+ of node a1 belongs to user root/);
      expect(stderr).toMatch(/remedy: run twine-stop as user root/);
      expect(code).toBe(1);
      expect(await local.running()).toEqual(["a1", "a2", "s1"]);
    },
  );

  test("a reader that closes the pipe after one line changes nothing of what is done", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const shell = `set -o pipefail; "${process.execPath}" "${bin("twine-start")}" | head -1`;
    const { stderr, code } = await runCommand("bash", ["-c", shell], { cwd: local.folder });
    expect(stderr).toBe("");
    expect(code).toBe(0);
    await until("all run", async () => (await local.running()).length === 4);
    const stop = `"${process.execPath}" "${bin("twine-stop")}" | head -1`;
    await runCommand("sh", ["-c", stop], { cwd: local.folder });
    await until("none runs", async () => (await local.running()).length === 0);
  });

  test.skipIf(process.platform !== "linux")(
    "output that a full disk swallows is a failure, but everything is done",
    async () => {
      const local = await localFolder(SMALL);
      const shell = `"${process.execPath}" "${bin("twine-setup")}" > /dev/full`;
      const { code, stderr } = await runCommand("sh", ["-c", shell], { cwd: local.folder });
      expect(stderr).toMatch(/error: .*ENOSPC[^]*remedy: free some space/);
      expect(code).toBe(1);
      await stat(local.path("a1", "redis.conf"));
    },
  );

  test("too few open files is one error with its remedy, and what was started is stopped again", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    for (const limit of [24, 30]) {
      const shell = `ulimit -n ${limit}; exec "${process.execPath}" "${bin("twine-start")}"`;
      const { code, stderr } = await runCommand("bash", ["-c", shell], { cwd: local.folder });
      if (code === 0) continue;
      expect(stderr).toMatch(/ulimit -n|limits on processes and open files/);
      expect(stderr).not.toMatch(/^ {4}at /m);
      expect(await local.running()).toEqual([]);
    }
  });

  test("a helper script that differs blocks no start", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\n`);
    await local.setup();
    const record = join(local.folder, "partitions/localhost/.generated.json");
    const generated = JSON.parse(await readFile(record, "utf8")) as Record<string, string[]>;
    const { createHash } = await import("node:crypto");
    const old = "#!/bin/sh\n# of another version\n";
    generated["appendonly/compact.sh"] = [createHash("sha256").update(old).digest("hex")];
    await writeFile(record, JSON.stringify(generated));
    await writeFile(local.path("appendonly", "compact.sh"), old);
    const report = await local.start();
    expect(report.started.toSorted()).toEqual(["a1", "a2", "s1"]);
    expect(report.warnings.map(({ message }) => message).join()).toMatch(/compact\.sh/);
  });

  test("a paused node is no running one: start says so and how it goes on", async () => {
    const local = await started();
    const pid = await local.pid("a1");
    process.kill(pid, "SIGSTOP");
    const { code, stdout, stderr } = await run(local, "twine-start", "a1");
    expect(stderr).toMatch(/node a1 is paused \(process \d+/);
    expect(stderr).toContain(`remedy: kill -CONT ${pid}`);
    expect(stdout).toMatch(/1 were already running, 1 of those that run do not answer/);
    expect(code).toBe(1);
    process.kill(pid, "SIGCONT");
    const again = await run(local, "twine-start", "a1");
    expect(again.stderr).toBe("");
    expect(again.code).toBe(0);
  });

  test("a node in a script is called busy by start and by stop, with the command that ends the script", async () => {
    const local = await started(`${SMALL}redis busy-reply-threshold 100\n`);
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    const script = ["-p", String(local.port("a1")), "EVAL", "while true do end", "0"];
    const hung = spawn("redis-cli", script, { stdio: "ignore" });
    onTestFinished(() => void hung.kill());
    await until("a1 is busy", async () => {
      return local.ask("a1", "PING").then(
        () => false,
        (error: unknown) => String(error).includes("BUSY"),
      );
    });
    const start = await run(local, "twine-start", "a1");
    expect(start.stderr).toMatch(/node a1 runs a script .* answers BUSY/);
    const remedy = `redis-cli -p ${local.port("a1")} SCRIPT KILL`;
    expect(start.stderr).toContain(remedy);
    const stop = await run(local, "twine-stop", "a1", "--no-handover");
    expect(stop.stderr).toMatch(/node a1 did not end: it runs a script/);
    expect(stop.stderr).toContain(remedy);
    expect(stop.stderr).not.toMatch(/disk/);
    expect(stop.code).toBe(1);
    await local.ask("a1", "SCRIPT", "KILL").catch(() => undefined);
    await until("a1 has ended", async () => !(await local.running()).includes("a1"));
  }, 120_000);

  test("stop without the --dir of up names the folder from which the nodes run", async () => {
    const local = await localFolder(SMALL);
    const dir = join(local.folder, "elsewhere");
    await mkdir(dir);
    const up = await run(local, "twine-setup", "--dir", dir);
    expect(up.code, up.stderr).toBe(0);
    await local.start({ dir });
    const { code, stdout, stderr } = await run(local, "twine-stop");
    expect(stdout).toMatch(/^0 stopped/);
    expect(stderr).toMatch(/a1, a2, s1 run from another folder/);
    expect(stderr).toContain(`remedy: twine-stop --dir ${dir}`);
    expect(code).toBe(1);
    const stopped = await run(local, "twine-stop", "--dir", dir);
    expect(stopped.stdout).toMatch(/3 stopped/);
  });

  test("one node is started by its name, as it is stopped", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const { stdout, code } = await run(local, "twine-start", "a2");
    expect(stdout).toMatch(/1 started, 0 were already running/);
    expect(code).toBe(0);
    expect(await local.running()).toEqual(["a2"]);
    const unknown = await run(local, "twine-start", "a22");
    expect(unknown.stderr).toMatch(/no host or node a22; did you mean a2\?/);
    expect(unknown.code).toBe(2);
    expect((await run(local, "twine-stop", "a2")).stdout).toMatch(/1 stopped/);
  });

  test("reload signals monitors and routers alone, and refuses a file with an error", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await local.start({ only: undefined });
    const { stdout, code } = await run(local, "twine-reload");
    expect(stdout).toBe("m1: reads twine.conf again\n1 reloaded, 0 were not running\n");
    expect(code).toBe(0);
    await until("m1 has read it", async () => /"\+read"/.test(await local.read("m1", "log")));
    const redis = await run(local, "twine-reload", "a1");
    expect(redis.stderr).toMatch(/a1 is a redis-server[^]*twine-stop a1 && twine-start a1/);
    await local.rewrite((conf) => `${conf}no such line\n`);
    const bad = await run(local, "twine-reload", "m1");
    expect(bad.stderr).toMatch(/twine\.conf:\d+/);
    expect(bad.code).toBe(1);
    await local.rewrite((conf) => conf.replace("no such line\n", ""));
    expect((await run(local, "twine-stop")).stdout).toMatch(/4 stopped/);
    expect((await run(local, "twine-reload")).stdout).toBe("0 reloaded, 1 were not running\n");
  });

  test("nodes that run with other settings than their file are named with both values", async () => {
    const local = await started(`${SMALL}redis maxmemory 100mb\nredis save 300 10\n`);
    expect((await local.start()).warnings).toEqual([]);
    await local.rewrite((conf) => conf.replace("100mb", "200mb"));
    await local.setup();
    const { stderr } = await run(local, "twine-start");
    expect(stderr).toMatch(
      /node a1 runs with other settings than its redis\.conf: maxmemory is 104857600, not 200mb\n.*twine-apply/,
    );
    expect(stderr).not.toMatch(/save is/);
    await run(local, "twine-stop", "a1", "--no-handover");
    await run(local, "twine-start", "a1");
    const after = await local.start();
    expect(after.warnings.map(({ message }) => message).join()).not.toMatch(/node a1/);
  });
});

describe.skipIf(isMissing("redis-server"))("files", () => {
  test("what a node writes is for its user alone", async () => {
    const local = await started(`${SMALL}redis appendonly yes\n`);
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    await local.ask("a1", "SET", "key", "value");
    await local.ask("a1", "SAVE");
    const modeOf = async (...parts: string[]): Promise<string> =>
      ((await stat(local.path("a1", ...parts))).mode & 0o777).toString(8);
    expect(await modeOf("data")).toBe("700");
    expect(await modeOf("data", "dump.rdb")).toBe("600");
    expect(await modeOf("data", "appendonlydir")).toBe("700");
    expect(await modeOf("data", "appendonlydir", "appendonly.aof.1.incr.aof")).toBe("600");
    expect(await modeOf("redis.log")).toBe("600");
  });

  test("a password file that blocks, never ends or is open to others is refused at once", async () => {
    const local = await localFolder(SMALL);
    const fifo = join(local.folder, "fifo");
    const open = join(local.folder, "open");
    await runCommand("mkfifo", [fifo], { cwd: local.folder });
    await writeFile(open, "secret\n");
    await chmod(open, 0o666);
    const refusals: [string, RegExp][] = [
      [fifo, /fifo is not a regular file/],
      ["/dev/zero", /\/dev\/zero is not a regular file/],
      [open, /mode 666: others may read or change it[^]*remedy: chmod 600/],
    ];
    for (const [file, why] of refusals) {
      const { code, stderr } = await runCommand(process.execPath, [bin("twine-setup")], {
        cwd: local.folder,
        env: { TWINE_PASSWORD_FILE: file },
      });
      expect(stderr, file).toMatch(why);
      expect(code, file).toBe(1);
    }
  });

  test("adopted data in dump.rdb is loaded under appendonly yes, and is in the append only file after", async () => {
    const old = await started();
    await old.ask("a1", "REPLICAOF", "NO", "ONE");
    await old.ask("a1", "SET", "key", "value");
    await old.stop();
    const dump = await readFile(old.path("a1", "data", "dump.rdb"));

    const local = await localFolder(`${SMALL}redis appendonly yes\n`);
    await mkdir(local.path("a1", "data"), { recursive: true });
    await writeFile(local.path("a1", "data", "dump.rdb"), dump);
    await local.setup({ adopt: true });
    await local.start();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    expect(await local.ask("a1", "GET", "key")).toBe("value");
    expect(JSON.stringify(await local.ask("a1", "INFO", "persistence"))).toMatch(/aof_enabled:1/);
    await rm(local.path("a1", "data", "dump.rdb"));
    process.kill(await local.pid("a1"), "SIGKILL");
    await until("a1 is gone", async () => !(await local.running()).includes("a1"));
    await local.start();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    expect(await local.ask("a1", "GET", "key")).toBe("value");
  });

  test("appendonly yes added to a stopped cluster keeps its data; taken away again it is refused", async () => {
    const local = await started();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    await local.ask("a1", "SET", "key", "value");
    await local.stop();
    await local.rewrite((conf) => `${conf}redis appendonly yes\n`);
    await local.setup();
    await local.start();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    expect(await local.ask("a1", "GET", "key")).toBe("value");
    await local.stop();
    await local.rewrite((conf) => conf.replace("redis appendonly yes\n", ""));
    await local.setup();
    await expect(local.start()).rejects.toThrow(/data in an append only file[^]*appendonly no/);
    expect(await local.running()).toEqual([]);
  });

  test("the first server on PATH is taken, whichever of the two it is", async () => {
    const local = await localFolder(SMALL);
    const real = findProgram("redis-server") ?? "";
    const folder = join(local.folder, "bin");
    await mkdir(folder);
    const script = '#!/bin/sh\necho "Valkey server v=8.1.4 sha=00000000:0 malloc=libc bits=64"\n';
    await writeFile(join(folder, "valkey-server"), script, { mode: 0o755 });
    const path = `${folder}:${join(real, "..")}`;
    expect(await findRedis({ PATH: path })).toEqual({
      name: "valkey-server",
      version: "8.1.4",
      path: join(folder, "valkey-server"),
    });
    expect((await findRedis({ PATH: join(real, "..") }))?.path).toBe(real);
  });
});
