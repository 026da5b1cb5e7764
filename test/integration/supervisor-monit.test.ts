// supervisor-monit.test.ts: the session of the first Twine's README with Debian's monit: setup, monit, kill, stop all, quit,
// and again; and a person who stops a node beside monit.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";

const CONF = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
b1=data 1 localhost {b1} 0
b2=data 1 localhost {b2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
r1=router localhost {r1}
cluster watched
redis appendonly yes
supervisor monit
monit-every 1s
monit-port {monit}
alert-mail ops@example.com
`;
const ALL = ["a1", "a2", "b1", "b2", "m1", "r1", "s1"];
const LONG_MS = 90_000;

function tool(local: LocalFolder, room: "infra" | "runtime", ...args: string[]): Promise<Ran> {
  const [name = "", ...rest] = args;
  return runCommand(process.execPath, [binPath(name, room), ...rest], { cwd: local.folder });
}

function monit(local: LocalFolder, ...args: string[]): Promise<Ran> {
  const conf = local.path("monit", "monitrc");
  return runCommand("monit", ["-B", "-c", conf, ...args], { cwd: local.folder });
}

async function runs(
  local: LocalFolder,
  names: readonly string[],
  withinMs = LONG_MS,
): Promise<void> {
  await until(
    `${names.join(", ")} run`,
    async () => (await local.running()).join() === names.join(),
    withinMs,
  );
}

async function isOk(local: LocalFolder): Promise<void> {
  const ok = async (): Promise<boolean> =>
    (await tool(local, "runtime", "twine-status")).code === 0;
  await until("the cluster is OK", ok, LONG_MS);
}

async function started(): Promise<LocalFolder> {
  const local = await localFolder(CONF);
  onTestFinished(async () => {
    const pid = Number(await local.read("monit", "monit.pid").catch(() => "0"));
    if (pid > 1) process.kill(pid, "SIGKILL");
  });
  const setUp = await tool(local, "infra", "twine-setup");
  expect(setUp.code, setUp.stderr).toBe(0);
  const first = await monit(local);
  expect(first.code, first.stdout + first.stderr).toBe(0);
  await runs(local, ALL);
  await isOk(local);
  return local;
}

describe.skipIf(isMissing("monit", "redis-server", "redis-cli"))("supervisor monit", () => {
  test("the seed's session: all come up, killed nodes are back as replicas, stop all, quit, and again", async () => {
    const local = await started();
    expect((await stat(local.path("monit", "monitrc"))).mode & 0o777).toBe(0o600);
    expect((await monit(local, "-t")).stdout).toMatch(/Control file syntax OK/);
    expect((await tool(local, "runtime", "twine", "mset", "foo", "bar", "x", "y")).stdout).toBe(
      "OK\n",
    );

    const victims = ["a1", "b1"];
    for (const name of victims) process.kill(await local.pid(name), "SIGKILL");
    await until("they are gone", async () => (await local.running()).length < ALL.length);
    await runs(local, ALL);
    await isOk(local);
    for (const name of victims) {
      expect(JSON.stringify(await local.ask(name, "ROLE"))).toMatch(/^\["slave"/);
    }

    await monit(local, "stop", "all");
    await runs(local, []);
    const log = await readFile(local.path("monit", "monit.log"), "utf8");
    const stops = [...log.matchAll(/'(\w+)' stop: '/g)].map(([, name]) => name);
    expect(stops).toEqual(["r1", "m1", "b2", "b1", "a2", "a1", "s1"]);
    await monit(local, "quit");
    await until("monit is gone", () =>
      stat(local.path("monit", "monit.pid")).then(
        () => false,
        () => true,
      ),
    );

    await monit(local);
    await runs(local, ALL);
    await isOk(local);
    expect((await tool(local, "runtime", "twine", "mget", "foo", "x")).stdout).toBe("bar\ny\n");
    const stop = await tool(local, "infra", "twine-stop");
    expect(stop.stdout, stop.stderr).toMatch(/7 stopped/);
    await monit(local, "quit");
  }, 400_000);

  test("a node that a person stops stays down, also when monit starts another, until twine-start", async () => {
    const local = await started();
    const stop = await tool(local, "infra", "twine-stop", "a2");
    expect(stop.stdout, stop.stderr).toMatch(/1 stopped/);
    expect((await monit(local, "summary")).stdout).toMatch(/a2 +Not monitored/);
    process.kill(await local.pid("b2"), "SIGKILL");
    await until("b2 is gone", async () => !(await local.running()).includes("b2"));
    await runs(
      local,
      ALL.filter((name) => name !== "a2"),
    );
    const start = await tool(local, "infra", "twine-start", "a2");
    expect(start.stdout, start.stderr).toMatch(/1 started/);
    await until("monit looks after a2 again", async () =>
      /a2 +OK/.test((await monit(local, "summary")).stdout),
    );
    process.kill(await local.pid("a2"), "SIGKILL");
    await until("a2 is gone", async () => !(await local.running()).includes("a2"));
    await runs(local, ALL);
    await tool(local, "infra", "twine-stop");
    await runs(local, []);
    await monit(local, "quit");
  }, 400_000);

  test("twine-apply restarts nodes that monit leaves alone, and monit follows twine.conf", async () => {
    const local = await started();
    const apply = (): Promise<Ran> => tool(local, "infra", "twine-apply");
    const data = ["a1", "a2", "b1", "b2"];
    const monitored = (names: readonly string[]): Promise<void> =>
      until(
        `monit monitors ${names.join(", ")}`,
        async () => {
          const { stdout } = await monit(local, "summary");
          const shown = [...stdout.matchAll(/^ *(\S+) +(.*?) +Process/gm)];
          return (
            shown
              .map(([, name]) => name)
              .toSorted()
              .join() === names.join() && shown.every(([, , state]) => state === "OK")
          );
        },
        LONG_MS,
      );
    const backlogs = (): Promise<unknown[]> =>
      Promise.all(data.map((name) => local.ask(name, "CONFIG", "GET", "tcp-backlog")));
    const isKilled = async (name: string): Promise<void> => {
      process.kill(await local.pid(name), "SIGKILL");
      await until(`${name} is gone`, async () => !(await local.running()).includes(name));
    };

    await local.rewrite((text) => `${text}redis tcp-backlog 300\n`);
    const rolled = await apply();
    expect([rolled.code, rolled.stderr]).toEqual([0, expect.not.stringContaining("error")]);
    expect(rolled.stdout).toMatch(/, 2 handovers/);
    expect(await backlogs()).toEqual(data.map(() => ["tcp-backlog", "300"]));
    // It was not monit that started them again.
    const log = await local.read("monit", "monit.log");
    for (const name of data) expect(log).not.toContain(`'${name}' trying to restart`);
    await monitored(ALL);
    await isKilled("b2");
    await runs(local, ALL);

    const port = await freePort();
    await local.rewrite((text) => `${text}a3=data 0 localhost ${port} 0\n`);
    expect((await tool(local, "infra", "twine-apply", "--dry-run")).stdout).toMatch(/^monit: /m);
    const added = await apply();
    expect([added.code, added.stdout]).toEqual([0, expect.stringMatching(/done/)]);
    await monitored(["a1", "a2", "a3", ...ALL.slice(2)]);
    await isKilled("a3");
    await runs(local, ["a1", "a2", "a3", ...ALL.slice(2)]);
    await isOk(local);

    await local.rewrite((text) => text.replace(/^a3=.*\n/m, ""));
    const removed = await apply();
    expect([removed.code, removed.stdout]).toEqual([0, expect.stringContaining("a3: stopped")]);
    await monitored(ALL);
    expect(await local.running()).toEqual(ALL);

    // Killed in the middle, it leaves a node that monit does not monitor; the next one mends that, too.
    await isOk(local);
    const pids = await Promise.all(data.map((name) => local.pid(name)));
    await local.rewrite((text) => text.replace("tcp-backlog 300", "tcp-backlog 301"));
    const child = spawn(process.execPath, [binPath("twine-apply", "infra")], {
      ...{ cwd: local.folder, stdio: "ignore" },
    });
    await until("a node is stopped", async () => {
      const now = await Promise.all(data.map((name) => local.pid(name).catch(() => 0)));
      return now.some((pid, at) => pid !== pids[at]);
    });
    child.kill("SIGKILL");
    await once(child, "exit");
    const again = await apply();
    expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(/done/)]);
    expect(await backlogs()).toEqual(data.map(() => ["tcp-backlog", "301"]));
    await monitored(ALL);
    await tool(local, "infra", "twine-stop");
    await monit(local, "quit");
  }, 600_000);

  test("the folder's name may hold spaces", async () => {
    const local = await localFolder(CONF);
    const dir = join(local.folder, "with space");
    const setUp = await tool(local, "infra", "twine-setup", "--dir", dir);
    expect(setUp.code, setUp.stderr).toBe(0);
    const conf = join(dir, "partitions/localhost/monit/monitrc");
    const { stdout, stderr } = await runCommand("monit", ["-t", "-c", conf], { cwd: "/" });
    expect(stdout + stderr).toMatch(/Control file syntax OK/);
  });
});
