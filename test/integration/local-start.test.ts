// local-start.test.ts: starting and stopping real redis-servers as twine-start and twine-stop do.
import {
  appendFile,
  cp,
  mkdir,
  readFile,
  rename,
  rm,
  rmdir,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { localContext } from "../../infra/local/context.ts";
import { portProblems } from "../../infra/local/processes/port-checks.ts";
import { plainProgress } from "../../infra/local/progress.ts";
import { findTargets } from "../../infra/local/targets.ts";
import { untilDead } from "../../infra/local/processes/until-dead.ts";
import { SMALL, localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

const ALL = ["a1", "a2", "s1"];

async function started(conf = SMALL): Promise<LocalFolder> {
  const local = await localFolder(conf);
  await local.setup();
  await local.start();
  return local;
}

describe.skipIf(isMissing("redis-server"))("twine-start and twine-stop", () => {
  test("start everything dead until promoted, stop everything, and do both twice", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    expect((await local.start()).started.toSorted()).toEqual(ALL);
    expect(await local.running()).toEqual(ALL);
    expect(JSON.stringify(await local.ask("a1", "ROLE"))).toMatch(/^\["slave","127\.0\.0\.1",1,/);
    await expect(local.ask("a1", "GET", "key")).rejects.toThrow(/MASTERDOWN/);
    const again = await local.start();
    expect(again.started).toEqual([]);
    expect(again.alreadyRunning.toSorted()).toEqual(ALL);

    expect((await local.stop()).stopped.toSorted()).toEqual(ALL);
    expect(await local.running()).toEqual([]);
    expect((await local.stop()).stopped).toEqual([]);
  });

  test("what was written is there after stop and start, with and without an append only file", async () => {
    for (const more of ["", "redis appendonly yes\n"]) {
      const local = await started(`${SMALL}${more}`);
      await local.ask("a1", "REPLICAOF", "NO", "ONE");
      await local.ask("a1", "SET", "key", "value");
      await local.stop();
      await local.start();
      // A node that still loads its data counts as started.
      await until("a1 has loaded", () =>
        local.ask("a1", "REPLICAOF", "NO", "ONE").then(
          () => true,
          () => false,
        ),
      );
      expect(await local.ask("a1", "GET", "key")).toBe("value");
      await local.stop();
    }
  });

  test("masters stop after their replicas, status nodes last", async () => {
    const local = await started();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    const lines: string[] = [];
    await local.stop({ progress: plainProgress((line) => lines.push(line)) });
    expect(lines.map((line) => line.split(":")[0])).toEqual(["a2", "a1", "s1"]);
  });

  test("a node killed with -9 is the only one that start brings back", async () => {
    const local = await started();
    const others = await Promise.all(["a1", "s1"].map((name) => local.pid(name)));
    process.kill(await local.pid("a2"), "SIGKILL");
    await until("a2 is gone", async () => !(await local.running()).includes("a2"));
    const report = await local.start();
    expect(report.started).toEqual(["a2"]);
    expect(report.alreadyRunning.toSorted()).toEqual(["a1", "s1"]);
    expect(await Promise.all(["a1", "s1"].map((name) => local.pid(name)))).toEqual(others);
  });

  test("a node that is dying after a kill -9 is started again, not taken for one that runs", async () => {
    // Method: with 256 MB to free the kernel takes its time. Paused, a node is not dying.
    const local = await started();
    await local.ask("a2", "REPLICAOF", "NO", "ONE");
    const fill =
      "local s = string.rep('x', 4194304) for i = 1, 64 do redis.call('SET', 'k' .. i, s) end";
    await local.ask("a2", "EVAL", fill, "0");
    const context = await localContext(await local.request({ nodes: ["a2"] }));
    const [target] = await findTargets(context, context.plan.hosts);
    expect(target?.running).toBeDefined();
    const targets = target === undefined ? [] : [target];
    const pid = await local.pid("a2");
    process.kill(pid, "SIGSTOP");
    expect(await untilDead(targets)).toEqual(targets);
    process.kill(pid, "SIGKILL");
    expect((await untilDead(targets))[0]?.running).toBeUndefined();
    expect((await local.start()).started).toEqual(["a2"]);
  });

  test("a port that is let go of within a moment is not called taken", async () => {
    // Method: the port is held while the first look at it begins, and then no more.
    const local = await localFolder(SMALL);
    const holder = createServer();
    await new Promise<void>((done) => holder.listen(local.port("a2"), "127.0.0.1", done));
    const context = await localContext(await local.request({ nodes: ["a2"] }));
    const targets = await findTargets(context, context.plan.hosts);
    const looking = portProblems(targets);
    await new Promise((closed) => holder.close(closed));
    expect([...(await looking)]).toEqual([]);
  });

  test("a pid that belongs to a process of another start time is not ours to end", async () => {
    const local = await started();
    await local.stop();
    await writeFile(local.path("a1", "pid"), `${process.pid}\nanother-boot 12345\n`);
    const report = await local.stop();
    expect(report.notRunning).toContain("a1");
    expect(await local.running()).toEqual([]);
    await expect(local.read("a1", "pid")).rejects.toThrow(/ENOENT/);
  });

  test("a copy of the folder has no processes: stop ends none there, start finds the ports taken", async () => {
    const local = await started();
    const copy = join(local.folder, "copy");
    await mkdir(copy);
    await cp(join(local.folder, "partitions"), join(copy, "partitions"), { recursive: true });
    const stopped = await local.stop({ dir: copy });
    expect(stopped.stopped).toEqual([]);
    expect(stopped.notRunning.toSorted()).toEqual(ALL);
    await expect(local.start({ dir: copy })).rejects.toThrow(/port \d+ of node a1 is taken/);
    expect(await local.running()).toEqual(ALL);
  });

  test("a folder that was moved keeps its processes, wherever its nodes keep their data", async () => {
    // Method: a1's data lies behind a link, a2's where a hand edit says.
    const local = await localFolder(SMALL);
    await local.setup();
    const elsewhere = join(local.folder, "elsewhere");
    await mkdir(join(elsewhere, "a2"), { recursive: true });
    await rename(local.path("a1", "data"), join(elsewhere, "a1"));
    await symlink(join(elsewhere, "a1"), local.path("a1", "data"));
    await appendFile(local.path("a2", "redis.conf"), `dir ${join(elsewhere, "a2")}\n`);
    await local.start();
    const moved = join(local.folder, "moved");
    await mkdir(moved);
    await rename(join(local.folder, "partitions"), join(moved, "partitions"));
    expect((await local.stop({ dir: moved })).stopped.toSorted()).toEqual(ALL);
  });

  test("a port in use is refused before anything starts, and its holder is named", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const holder = createServer();
    await new Promise<void>((done) => holder.listen(local.port("a2"), "127.0.0.1", done));
    onTestFinished(() => void holder.close());
    const start = local.start();
    await expect(start).rejects.toThrow(
      new RegExp(`port ${local.port("a2")} of node a2 is taken .* by process ${process.pid} \\(`),
    );
    expect(await local.running()).toEqual([]);
  });

  test("without setup, or after twine.conf changed, start asks for twine-setup", async () => {
    const local = await localFolder(SMALL);
    await expect(local.start()).rejects.toThrow(/not set up[^]*twine-setup localhost/);
    await local.setup();
    await local.rewrite((conf) => `${conf}redis maxmemory 100mb\n`);
    await expect(local.start()).rejects.toThrow(/set up differently[^]*twine-setup localhost/);
    expect(await local.running()).toEqual([]);
  });

  test("a node whose folder is gone is named with its remedy, and told to keep going all others start", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await rm(local.path("a2"), { recursive: true });
    const missing = /node a2 of host localhost is not set up: .*\/a2\/redis\.conf.* missing/;
    await expect(local.start()).rejects.toThrow(missing);
    await expect(local.start()).rejects.toThrow(
      /remedy: run twine-setup localhost; .*--keep-going/,
    );
    expect(await local.running()).toEqual([]);
    const report = await local.start({ keepGoing: true });
    expect(report.started.toSorted()).toEqual(["a1", "s1"]);
    expect(report.failed).toEqual(["a2"]);
    expect(report.problems).toHaveLength(1);
    expect(report.problems[0]?.message).toMatch(missing);
    await local.setup();
    expect((await local.start()).started).toEqual(["a2"]);
  });

  test("told to keep going, only what the nodes to be started need keeps them from it", async () => {
    // Method: a1 and s1 run; a1's file goes, the script for all nodes too, and a2's folder becomes another cluster's.
    const local = await localFolder(`${SMALL}a3=data 0 localhost {a3} 0\nredis appendonly yes\n`);
    await local.setup();
    await local.start({ nodes: ["a1", "s1"] });
    await rm(local.path("a1", "redis.conf"));
    await rm(local.path("appendonly"), { recursive: true });
    await writeFile(local.path("a2", "data", "twine-stamp"), "cluster other\n");
    const report = await local.start({ keepGoing: true });
    expect(report.alreadyRunning.toSorted()).toEqual(["a1", "s1"]);
    expect(report.started).toEqual(["a3"]);
    expect(report.failed).toEqual(["a2"]);
    expect(report.problems.map(({ code }) => code)).toEqual(["DATA_FOREIGN"]);
    const warnings = report.warnings.map(({ message }) => message).join("\n");
    expect(warnings).toMatch(/a1 of host localhost is not set up: .*a1\/redis\.conf/);
  });

  test("told to keep going, a host without any folder is one problem, and the other hosts start", async () => {
    const local = await localFolder(
      `${SMALL}a3=data 0 127.0.0.2 {a3} 0\na4=data 0 127.0.0.2 {a4} 0\n`,
    );
    await local.setup();
    await rm(join(local.folder, "partitions/127.0.0.2"), { recursive: true });
    const report = await local.start({ keepGoing: true });
    expect(report.started.toSorted()).toEqual(ALL);
    expect(report.failed.toSorted()).toEqual(["a3", "a4"]);
    expect(report.problems.map(({ message }) => message)).toEqual([
      `host 127.0.0.2 is not set up below ${local.folder}`,
    ]);
  });

  test("a data folder that became another cluster's is refused", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await writeFile(local.path("a1", "data", "twine-stamp"), "cluster other\n");
    await expect(local.start()).rejects.toThrow(/belongs to cluster other/);
  });

  test("a node that dies at start is reported with its own words, and the rest is taken back", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await appendFile(local.path("a2", "redis.conf"), "maxmemory lots\n");
    await expect(local.start()).rejects.toThrow(
      /node a2 ended before it was up[^]*maxmemory lots[^]*remedy/,
    );
    expect(await local.running()).toEqual([]);
  });

  test("a node that answers while it loads and then can't read its data has not been started", async () => {
    // Method: every command of the file takes a while; Redis answers LOADING now and then, and finds the garbage last.
    const local = await localFolder(
      `${SMALL}redis appendonly yes\nredis aof-load-truncated no\nredis key-load-delay 50\n`,
    );
    await local.setup();
    await local.start();
    await local.stop();
    const incr = local.path("a2", "data", "appendonlydir", "appendonly.aof.1.incr.aof");
    const ping = "*1\r\n$4\r\nPING\r\n";
    await writeFile(incr, `${ping.repeat(20_000)}garbage\n`);
    await expect(local.start()).rejects.toThrow(
      /node a2 ended before it was up[^]*Bad file format[^]*remedy/,
    );
    expect(await local.running()).toEqual([]);
  });

  test("told to keep going, start leaves running what started and names what did not", async () => {
    // Method: a2 has a bad line, a3's port is taken.
    const local = await localFolder(`${SMALL}a3=data 0 localhost {a3} 0\n`);
    await local.setup();
    await appendFile(local.path("a2", "redis.conf"), "maxmemory lots\n");
    const holder = createServer();
    await new Promise<void>((done) => holder.listen(local.port("a3"), "127.0.0.1", done));
    onTestFinished(() => void holder.close());
    const report = await local.start({ keepGoing: true });
    expect(report.started.toSorted()).toEqual(["a1", "s1"]);
    expect(report.failed.toSorted()).toEqual(["a2", "a3"]);
    const words = report.problems.map(({ message }) => message).join("\n");
    expect(words).toMatch(/node a2 ended before it was up[^]*maxmemory lots/);
    expect(words).toMatch(/port \d+ of node a3 is taken/);
    expect(await local.running()).toEqual(["a1", "s1"]);
    const again = await local.start({ keepGoing: true });
    expect(again.alreadyRunning.toSorted()).toEqual(["a1", "s1"]);
    expect(again.started).toEqual([]);
  });

  test("told to keep going, an interruption still takes everything back", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const controller = new AbortController();
    const progress = plainProgress(() => {
      controller.abort();
    });
    const start = local.start({ progress, signal: controller.signal, keepGoing: true });
    await expect(start).rejects.toMatchObject({ exitCode: 130 });
    expect(await local.running()).toEqual([]);
  });

  test("an interruption half way leaves running only what ran before", async () => {
    // Method: of a running cluster kill s1 and a1, start again, interrupt as soon as s1 answers.
    const local = await started();
    process.kill(await local.pid("s1"), "SIGKILL");
    process.kill(await local.pid("a1"), "SIGKILL");
    await until("both are gone", async () => (await local.running()).length === 1);
    const controller = new AbortController();
    const lines: string[] = [];
    const progress = plainProgress((line) => {
      lines.push(line);
      controller.abort();
    });
    await expect(local.start({ progress, signal: controller.signal })).rejects.toMatchObject({
      exitCode: 130,
    });
    expect(lines[0]).toMatch(/^s1: started/);
    expect(await local.running()).toEqual(["a2"]);
  });

  test("an interruption before the first node leaves nothing running", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await expect(local.start({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      exitCode: 130,
    });
    expect(await local.running()).toEqual([]);
  });

  test("a node that left twine.conf is still stopped", async () => {
    const local = await started();
    await local.rewrite((conf) => conf.replace(/^a2=.*$/m, ""));
    const report = await local.stop();
    expect(report.stopped.toSorted()).toEqual(ALL);
    expect(await local.running()).toEqual([]);
  });

  test("two commands at once on one host don't both work: the second names the first", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    const outcomes = await Promise.allSettled([local.start(), local.start()]);
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(refused).toHaveLength(1);
    expect(String(refused[0]?.reason)).toMatch(new RegExp(`running in .*process ${process.pid}`));
    expect(await local.running()).toEqual(ALL);
  });

  test("a node that can't save its data is not killed but reported, and stops once it can", async () => {
    // Method: a folder stands where the RDB must go.
    const local = await started();
    await local.ask("a1", "REPLICAOF", "NO", "ONE");
    await local.ask("a1", "SET", "key", "value");
    await mkdir(local.path("a1", "data", "dump.rdb"));
    await expect(local.stop()).rejects.toThrow(/node a1 .* refuses to end[^]*remedy[^]*no data/);
    expect(await local.running()).toEqual(["a1"]);
    expect(await local.ask("a1", "GET", "key")).toBe("value");
    await rmdir(local.path("a1", "data", "dump.rdb"));
    expect((await local.stop()).stopped).toEqual(["a1"]);
  });

  test("the processes outlive whoever started them: each leads a session of its own", async () => {
    const local = await started();
    const pid = await local.pid("a1");
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const session = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3];
    expect(Number(session)).toBe(pid);
  });
});
