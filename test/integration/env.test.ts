// env.test.ts: throw-away clusters of real processes: side by side, and nothing left of them however they end.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type RunningCluster } from "../../infra/env/start-cluster.ts";
import { binPath } from "../support/bins.ts";
import { until } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";

const run = promisify(execFile);
const BIN = binPath("twine-env", "infra");
const WAIT_MS = 120_000;

const SMALL = [
  "a1=data 0 db1 6666 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db2 6400",
].join("\n");

describe.skipIf(process.platform !== "linux")("a throw-away cluster", () => {
  let folder = "";
  const running: RunningCluster[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-env-"));
    process.env["TWINE_ENVS"] = join(folder, "envs");
    await writeFile(join(folder, "small.conf"), SMALL);
  });

  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
  });

  afterAll(async () => {
    delete process.env["TWINE_ENVS"];
    await rm(folder, { recursive: true, force: true });
  });

  const env = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    run(process.execPath, [BIN, ...args]);

  /** Processes that were started for the environment, whatever became of their parents. */
  async function processesOf({ folder: own }: { readonly folder: string }): Promise<string[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(
      pids.map(async (pid) => {
        const [cwd, command] = await Promise.all([
          run("readlink", [`/proc/${pid}/cwd`]).then(
            ({ stdout }) => stdout.trim(),
            () => "",
          ),
          readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
        ]);
        return cwd.startsWith(own) ? [`${pid} ${command.replaceAll("\0", " ")}`] : [];
      }),
    );
    return lines.flat();
  }

  async function expectNothingLeft(environment: { readonly folder: string }): Promise<void> {
    const isOver = async (): Promise<boolean> =>
      !existsSync(environment.folder) && (await processesOf(environment)).length === 0;
    await until("nothing of it is left", isOver, 30_000);
  }

  test("is there for a test by one call, and gone by another", { timeout: 200_000 }, async () => {
    const notes: string[] = [];
    const cluster = await startCluster({
      confText: SMALL,
      password: "one-word",
      waitMs: WAIT_MS,
      onNote: (line) => notes.push(line),
    });
    running.push(cluster);
    expect(notes.join("\n")).toMatch(/a1: started/);
    const [router] = cluster.routers;
    const client = new Redis({ ...router, username: "app", password: "one-word" });
    expect(await client.set("foo", "bar")).toBe("OK");
    expect(await client.get("foo")).toBe("bar");
    client.disconnect();
    expect(await processesOf(cluster)).not.toEqual([]);
    await cluster.stop();
    await expectNothingLeft(cluster);
  });

  test(
    "has the same ports as others beside it, and no key of theirs",
    { timeout: 300_000 },
    async () => {
      const options = { confText: SMALL, waitMs: WAIT_MS };
      running.push(...(await Promise.all([startCluster(options), startCluster(options)])));
      const clients = running.map(({ routers: [router] }) => new Redis({ ...router }));
      const [one, other] = clients;
      await one?.set("foo", "bar");
      expect(await other?.get("foo")).toBeNull();
      for (const client of clients) client.disconnect();
      expect(new Set(running.map(({ routers: [router] }) => router?.port))).toEqual(
        new Set([6400]),
      );
    },
  );

  test("goes with its owner, also when that is killed", { timeout: 200_000 }, async () => {
    const program = `
      const { startCluster } = await import(process.argv[1]);
      const cluster = await startCluster({ conf: process.argv[2], waitMs: ${WAIT_MS} });
      console.log(JSON.stringify(cluster));
      setInterval(() => undefined, 1000);
    `;
    const call = join(ROOT, "infra/env/start-cluster.ts");
    const args = ["--input-type=module", "-e", program, call, join(folder, "small.conf")];
    const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(owner.stdout, "data")) as [Buffer];
    const cluster = JSON.parse(line.toString()) as RunningCluster;
    expect(await processesOf(cluster)).not.toEqual([]);
    owner.kill("SIGKILL");
    await expectNothingLeft(cluster);
  });

  test("by the tool: up, list, a name that is taken, down", { timeout: 300_000 }, async () => {
    const conf = join(folder, "small.conf");
    const { stdout, stderr } = await env("up", "ci", "--conf", conf, "--wait", `${WAIT_MS}ms`);
    expect(stderr).toMatch(/r1: started/);
    const cluster = JSON.parse(stdout) as RunningCluster;
    expect(cluster.name).toBe("ci");
    expect((await env("list")).stdout).toMatch(/^ci: running, since .*; redis:\/\/127\./);
    await expect(env("up", "ci", "--conf", conf)).rejects.toThrow(
      /there is an environment ci already/,
    );
    await expect(env("down", "cy")).rejects.toThrow(/no environment cy; did you mean ci\?/);
    expect((await env("down", "ci")).stderr).toMatch(/ci: nothing is left/);
    await expectNothingLeft(cluster);
    expect((await env("list")).stdout).toBe("");
  });

  test(
    "whose keeper was killed has no process left, and down removes the rest",
    { timeout: 200_000 },
    async () => {
      const conf = join(folder, "small.conf");
      const { stdout } = await env("up", "orphan", "--conf", conf, "--wait", `${WAIT_MS}ms`);
      const cluster = JSON.parse(stdout) as RunningCluster;
      process.kill(cluster.pid, "SIGKILL");
      await until(
        "its nodes ended with it",
        async () => (await processesOf(cluster)).length === 0,
        30_000,
      );
      expect((await env("list")).stdout).toMatch(/^orphan: left over/);
      await env("down", "orphan");
      await expectNothingLeft(cluster);
    },
  );

  test("ends when its time is over", { timeout: 200_000 }, async () => {
    const cluster = await startCluster({ confText: SMALL, waitMs: WAIT_MS, ttlMs: 500 });
    await expectNothingLeft(cluster);
    await cluster.stop();
  });

  test("that can't be started says why, and nothing is left", { timeout: 200_000 }, async () => {
    const confText = `${SMALL}\nredis maxmemory-policy nonsense`;
    await expect(startCluster({ name: "bad", confText, waitMs: WAIT_MS })).rejects.toThrow(
      /a1 .*ended before it was up|maxmemory-policy/s,
    );
    await expectNothingLeft({ folder: join(folder, "envs", "bad") });
    await expect(startCluster({ name: "../bad", confText })).rejects.toThrow(/can't be the name/);
  });
});
