// What goes wrong with twemproxy and Sentinel: a clear error, and the old configuration goes on running.
import { spawn } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { SentinelPanel } from "../../runtime/twemproxy/sentinel-panel.ts";
import { keepMasters, type MastersSource } from "../../runtime/twemproxy/keep-masters.ts";
import { Nutcracker } from "../../runtime/twemproxy/nutcracker.ts";
import { nutcrackerProgram } from "../../runtime/twemproxy/programs.ts";
import { notify } from "../../runtime/twemproxy/notify.ts";
import { configOf } from "../golden/render-cases.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand } from "../support/run-tool.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

const OTHER_UID = 12_345;

interface Proxy {
  readonly nutcracker: Nutcracker;
  readonly folder: string;
  readonly file: string;
  readonly text: string;
  readonly get: () => Promise<string>;
}

/** A nutcracker before one redis-server. `prefix`: what comes before the program. */
async function proxy(redis: TestRedis, prefix: readonly string[] = []): Promise<Proxy> {
  const folder = await mkdtemp(join(tmpdir(), "twine-nutcracker-"));
  const file = join(folder, "nutcracker.yml");
  const [port, stats] = [await freePort(), await freePort()];
  const text = `pool:\n  listen: 127.0.0.1:${port}\n  hash: fnv1a_64\n  distribution: modula\n  redis: true\n  servers:\n   - 127.0.0.1:${redis.port}:1 p0\n`;
  await writeFile(file, text);
  const nutcracker = new Nutcracker({
    program: [...prefix, ...nutcrackerProgram(process.env["PATH"] ?? "")],
    file,
    listen: { host: "127.0.0.1", port },
    stats: { host: "127.0.0.1", port: stats },
    clock: systemClock,
    log: silentLog,
    onEnd: () => undefined,
  });
  onTestFinished(async () => {
    await nutcracker.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    ...{ nutcracker, folder, file, text },
    get: async () => (await runCommand("redis-cli", ["-p", String(port), "GET", "x"], {})).stdout,
  };
}

describe.skipIf(isMissing("redis-server", "redis-cli", "nutcracker"))("a nutcracker", () => {
  test("that would not take the new text is not stopped for it", async () => {
    const redis = await startRedis();
    const { nutcracker, text, file, get } = await proxy(redis);
    await nutcracker.start();
    const before = nutcracker.pid;
    await expect(nutcracker.change(text.replace("fnv1a_64", "sha3"))).rejects.toThrow(
      /does not take the new configuration, and runs on with the old one: .*syntax is invalid/s,
    );
    expect(await get()).toBe("\n");
    expect(nutcracker.pid).toBe(before);
    expect(await readFile(file, "utf8")).toBe(text);
  });

  test("that does not come back with the new text runs again with the old one", async () => {
    const redis = await startRedis();
    const { nutcracker, text, file, get } = await proxy(redis);
    await nutcracker.start();
    // Another program has that port: nothing that a test of the text alone would find.
    const taken = text.replace(/listen: .*/, `listen: 127.0.0.1:${redis.port}`);
    await expect(nutcracker.change(taken)).rejects.toThrow(/nutcracker does not run: it ended/);
    expect(nutcracker.isRunning).toBe(true);
    expect(await get()).toBe("\n");
    expect(await readFile(file, "utf8")).toBe(text);
  });

  test("without the right to write its file runs on, and the log says so once", async () => {
    const [redis, other] = [await startRedis(), await startRedis()];
    const { nutcracker, text, file, folder, get } = await proxy(redis);
    await nutcracker.start();
    const before = nutcracker.pid;
    // A folder in place of the file that is written first stands for a folder that can't be written, which root always can.
    const errors: string[] = [];
    const source: MastersSource = {
      read: () =>
        Promise.resolve({ masters: [{ host: "127.0.0.1", port: other.port }], problems: [] }),
      follow: () => undefined,
      close: () => undefined,
    };
    await mkdir(join(folder, `nutcracker.yml.new.${process.pid}.tmp`));
    let passes = 0;
    const log = { ...silentLog, error: (message: string) => errors.push(message) };
    const task = keepMasters({
      password: undefined,
      ...{ source, file, log, clock: systemClock },
      keeper: {
        get isRunning() {
          passes++;
          return nutcracker.isRunning;
        },
        start: () => nutcracker.start(),
        change: (wanted) => nutcracker.change(wanted),
      },
    });
    await until("three passes", () => passes >= 3);
    await task.stop();
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/can't write .*nutcracker\.yml\.new.*EISDIR|directory/);
    expect(await get()).toBe("\n");
    expect(nutcracker.pid).toBe(before);
    expect(await readFile(file, "utf8")).toBe(text);
  });
});

describe.skipIf(isMissing("redis-server", "setpriv") || process.getuid?.() !== 0)(
  "twemproxy-staging",
  () => {
    test("another user may write the file in its place without the right to rename, and nothing where there is no right", async () => {
      const folder = await mkdtemp(join(tmpdir(), "twine-staging-"));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const [file, staging] = [join(folder, "nutcracker.yml"), join(folder, "staging.yml")];
      const text = "pool:\n  servers:\n    - 127.0.0.1:6666:1 p0\n";
      await writeFile(file, text, { mode: 0o644 });
      await writeFile(
        staging,
        `${text}# a longer text than the new one, of which nothing may be left\n`,
      );
      await chmod(folder, 0o755);
      await chown(staging, OTHER_UID, OTHER_UID);
      const reading = { masters: [{ host: "127.0.0.1", port: 6667 }], problems: [], answered: [] };
      const asOther = async <T>(work: () => Promise<T>): Promise<T> => {
        process.setegid?.(OTHER_UID);
        process.seteuid?.(OTHER_UID);
        try {
          return await work();
        } finally {
          process.seteuid?.(0);
          process.setegid?.(0);
        }
      };
      await asOther(() => notify({ reading, file, staging }));
      expect(await readFile(staging, "utf8")).toBe(text.replace("6666", "6667"));
      await chown(staging, 0, 0);
      await expect(
        asOther(() => notify({ reading: { ...reading, masters: [] }, file, staging })),
      ).rejects.toThrow(/can't write .*staging\.yml: EACCES/);
      expect(await readFile(staging, "utf8")).toBe(text.replace("6666", "6667"));
    });
  },
);

describe.skipIf(isMissing("redis-server"))("Sentinels", () => {
  test("that watch two masters under one name are not believed; none that answers is named with the reason", async () => {
    const masters = [await startRedis(), await startRedis()];
    const ports = [await freePort(), await freePort()];
    const sentinels: TestRedis[] = [];
    for (const [index, master] of masters.entries()) {
      sentinels.push(await sentinel(ports[index] ?? 0, master.port));
    }
    const config = configOf(
      `a1=data 0 ${masters[0]?.port ?? 0} 0\na2=data 0 ${masters[1]?.port ?? 0} 0\n` +
        `m1=monitor ${ports[0] ?? 0}\nm2=monitor ${ports[1] ?? 0}\nrouter twemproxy\nfailover sentinel\n`,
    );
    const panel = new SentinelPanel({
      ...{ config, password: undefined, clock: systemClock, openLink: openRedisLink },
    });
    onTestFinished(() => {
      panel.close();
    });
    const reading = await panel.read();
    expect(reading.masters).toEqual([undefined]);
    expect(reading.problems.map(({ code }) => code)).toEqual(["SENTINELS_DISAGREE"]);
    expect(reading.problems[0]?.message).toMatch(/m1 says .* and m2 says .* both in epoch 0/);

    await sentinels[1]?.kill();
    expect((await panel.read()).masters).toEqual([{ host: "127.0.0.1", port: masters[0]?.port }]);
    await sentinels[0]?.kill();
    const nobody = await panel.read();
    expect(nobody.problems[0]?.message).toMatch(
      /no Sentinel answers: m1 \(.*ECONNREFUSED.*\), m2 \(/,
    );
    expect(nobody.masters).toEqual([undefined]);
  });
});

/** A real Sentinel that watches this master as twine-p0. */
async function sentinel(port: number, master: number): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "twine-sentinel-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "sentinel.conf");
  await writeFile(
    file,
    `port ${port}\ndir ${folder}\nsentinel monitor twine-p0 127.0.0.1 ${master} 2\n`,
  );
  const child = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  };
  onTestFinished(kill);
  await until("the Sentinel answers", () =>
    openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 1000 }).then(
      (link) => {
        link.close();
        return true;
      },
      () => false,
    ),
  );
  return { port, folder, kill } as TestRedis;
}
