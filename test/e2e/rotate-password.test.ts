// rotate-password.test.ts: twine-password gives a serving cluster another password. A checked writer goes on through the router all
// the while, the tool is killed after each of its parts, an alpha and a node are killed meanwhile: no error, nothing lost, no
// connection dropped; at the end the old password opens nothing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckedWriter } from "../../infra/env/chaos/checked-writer.ts";
import { credentialsOf, type RedisUser } from "../../runtime/core/credentials.ts";
import { localCluster, TWO_PARTITIONS, type LocalCluster } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";
import { until } from "../support/redis-server.ts";

const OLD = "correct-horse";

/** Whether the node lets this user in with this password. */
async function letsIn(
  cluster: LocalCluster,
  name: string,
  user: RedisUser,
  password: string,
  host = "127.0.0.1",
): Promise<boolean> {
  const redis = new Redis({
    ...{ host, port: cluster.port(name), lazyConnect: true },
    ...{ maxRetriesPerRequest: 0, retryStrategy: () => null, enableReadyCheck: false },
    ...credentialsOf(user, password),
  });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    await redis.call("ACL", "WHOAMI").catch((error: unknown) => {
      if (!String(error).includes("NOPERM") && !String(error).includes("unknown")) throw error;
    });
    return true;
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

/** Ids of the connections of a user on a node, with what they are for. */
async function connectionsOn(cluster: LocalCluster, node: string, password: string) {
  const redis = new Redis({
    ...{ host: "127.0.0.1", port: cluster.port(node) },
    ...credentialsOf("monitor", password),
  });
  const list = String(await redis.call("CLIENT", "LIST"));
  redis.disconnect();
  return list
    .split("\n")
    .filter((line) => /user=(router|replica) /.test(line))
    .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "");
}

/** Runs the tool and kills it (SIGKILL) once it has printed `lines` lines of progress; undefined: it came to its end. */
async function killedAfter(
  cluster: LocalCluster,
  lines: number,
  ...args: string[]
): Promise<"killed" | "ended"> {
  const child = spawn(join(ROOT, "node_modules/.bin/twine-password"), args, {
    cwd: cluster.folder,
    env: { ...process.env, ...cluster.env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  let count = 0;
  for await (const _line of createInterface({ input: child.stderr })) {
    count++;
    if (count === lines) child.kill("SIGKILL");
  }
  const [code, signal] = (await exited) as [number | null, string | null];
  if (signal === null && code !== 0) throw new Error(`twine-password ended with ${String(code)}`);
  return signal === null ? "ended" : "killed";
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("twine-password", () => {
  let cluster: LocalCluster;
  let file: string;
  let writer: CheckedWriter;

  const writerBy = (password: string): CheckedWriter =>
    new CheckedWriter({
      routers: [{ name: "r1", host: "127.0.0.1", port: cluster.port("r1") }],
      credentials: credentialsOf("app", password),
      isTls: false,
      prefix: `rotate-${password}`,
      durationMs: 60_000,
      answerWithinMs: 20_000,
    });
  const expectKept = async (): Promise<void> => {
    await writer.stop();
    const { errors, acknowledged } = writer.look();
    expect([errors, acknowledged > 100]).toEqual([{}, true]);
    expect(await writer.check()).toMatchObject({ lost: 0, unread: 0 });
    writer.close();
  };
  const passwords = async (): Promise<string[]> =>
    (await readFile(file, "utf8")).trim().split("\n");

  beforeAll(async () => {
    cluster = await localCluster(`${TWO_PARTITIONS}ack-replicas 1\n`);
    file = join(cluster.folder, "password");
    await writeFile(file, `${OLD}\n`, { mode: 0o600 });
    cluster.env["TWINE_PASSWORD_FILE"] = file;
    await cluster.must("twine-up");
    writer = writerBy(OLD);
    writer.start();
  });
  afterAll(async () => {
    writer.close();
    await cluster.remove();
  });

  test("without an option it shows that nothing is under way", async () => {
    expect(await cluster.must("twine-password")).toBe("localhost  never took part in a rotation\n");
    const { code, stderr } = await cluster.run("twine-password", "--finish", "--abort");
    expect([code, stderr.includes("--abort goes with no other")]).toEqual([2, true]);
  });

  test("--rotate: both count, Twine uses the new one, and no connection is dropped", async () => {
    const before = await connectionsOn(cluster, "a1", OLD);
    expect(before.length).toBeGreaterThan(1);
    await cluster.must("twine-password", "--rotate");
    const [fresh = "", old] = await passwords();
    expect(old).toBe(OLD);
    for (const password of [fresh, OLD]) {
      expect(await letsIn(cluster, "r1", "app", password)).toBe(true);
      expect(await letsIn(cluster, "s1", "monitor", password)).toBe(true);
      expect(await letsIn(cluster, "b3", "replica", password)).toBe(true);
    }
    expect(await connectionsOn(cluster, "a1", fresh)).toEqual(expect.arrayContaining(before));
    await until("the status shows it", async () =>
      (await cluster.run("twine-status")).stdout.includes("is being rotated"),
    );
    const view = JSON.parse((await cluster.run("twine-status", "json")).stdout) as {
      rotation: { phase: string };
    };
    expect(view.rotation.phase).toBe("both");
  });

  test("--abort takes it back; the new one opens nothing then", async () => {
    const [fresh = ""] = await passwords();
    await cluster.must("twine-password", "--abort");
    expect(await passwords()).toEqual([OLD]);
    const again = await cluster.must("twine-password", "--abort");
    expect(again).toBe("no rotation is under way here: nothing was changed\n");
    const present = join(cluster.folder, "present");
    await writeFile(present, `${OLD}\n`, { mode: 0o600 });
    const same = await cluster.run("twine-password", "--rotate", "--new-file", present);
    expect([same.code, same.stderr]).toEqual([
      1,
      expect.stringContaining("the new password is the present one"),
    ]);
    for (const name of ["r1", "a1", "s1"]) {
      expect([name, await letsIn(cluster, name, "app", fresh)]).toEqual([name, false]);
      expect([name, await letsIn(cluster, name, "app", OLD)]).toEqual([name, true]);
    }
  });

  test("killed after each of its parts, the next run goes on; --finish refuses the old one", async () => {
    const next = join(cluster.folder, "next");
    await writeFile(next, "battery-staple\n", { mode: 0o600 });
    const args = ["--rotate", "--finish", "--new-file", next];
    let killed = 0;
    for (let parts = 1; ; parts++) {
      if ((await killedAfter(cluster, parts, ...args)) === "ended") break;
      killed++;
      expect(await letsIn(cluster, "r1", "app", (await passwords())[0] ?? "")).toBe(true);
    }
    expect(killed).toBeGreaterThan(5);
    expect(await passwords()).toEqual(["battery-staple"]);
    for (const name of ["r1", "a1", "a2", "b3", "s1"]) {
      expect([name, await letsIn(cluster, name, "app", OLD)]).toEqual([name, false]);
      expect([name, await letsIn(cluster, name, "app", "battery-staple")]).toEqual([name, true]);
    }
  });

  test("until then no write failed and none was lost", async () => {
    await expectKept();
  });

  test("a node that was down meanwhile comes back with the new one, and an alpha that dies is no matter", async () => {
    const next = join(cluster.folder, "third");
    await writeFile(next, "third-one\n", { mode: 0o600 });
    writer = writerBy("battery-staple");
    writer.start();
    const alpha = /alpha (m\d)/.exec(await cluster.must("twine-status"))?.[1] ?? "";
    process.kill(await cluster.pid("b3"), "SIGKILL");
    const rotating = cluster.must("twine-password", "--rotate", "--new-file", next);
    process.kill(await cluster.pid(alpha), "SIGKILL");
    await rotating;
    await cluster.must("twine-start");
    await cluster.must("twine-password", "--finish");
    await expectKept();
    expect(await letsIn(cluster, "b3", "app", "battery-staple")).toBe(false);
    await until("all is well", async () => (await cluster.run("twine-status")).code === 0);
    expect(await cluster.must("twine-status", "list")).toMatch(/b3 .* replica +in-sync/);
  });
});

const THREE_HOSTS = `a1=data 0 127.0.0.1 {a1} 0
a2=data 0 127.0.0.2 {a2} 0
a3=data 0 127.0.0.3 {a3} 0
s1=status 127.0.0.1 {s1} 0
s2=status 127.0.0.2 {s2} 0
s3=status 127.0.0.3 {s3} 0
m1=monitor 127.0.0.1 {m1}
m2=monitor 127.0.0.2 {m2}
m3=monitor 127.0.0.3 {m3}
r1=router 127.0.0.1 {r1}
`;
const HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

describe.skipIf(isMissing("redis-server", "redis-cli"))("twine-password on three hosts", () => {
  let cluster: LocalCluster;

  /** Each host has a password file of its own. */
  const on = async (host: string, bin: string, ...args: string[]) => {
    const env = { ...cluster.env, TWINE_PASSWORD_FILE: join(cluster.folder, `password-${host}`) };
    return runCommand(join(ROOT, "node_modules/.bin", bin), [...args], {
      ...{ cwd: cluster.folder, input: "", env },
    });
  };
  const must = async (...command: Parameters<typeof on>): Promise<string> => {
    const { code, stdout, stderr } = await on(...command);
    if (code !== 0) throw new Error(`${command.join(" ")}: ${String(code)} ${stderr}`);
    return stdout;
  };
  /** The lines are as wide as a terminal. */
  const statusText = async (): Promise<string> =>
    (await on("127.0.0.1", "twine-status")).stdout.replace(/\s+/g, " ");
  const isWell = async (): Promise<boolean> => (await on("127.0.0.1", "twine-status")).code === 0;
  const next = (): string => join(cluster.folder, "next");

  beforeAll(async () => {
    cluster = await localCluster(THREE_HOSTS);
    for (const host of HOSTS) {
      await writeFile(join(cluster.folder, `password-${host}`), `${OLD}\n`, { mode: 0o600 });
    }
    await writeFile(next(), "battery-staple\n", { mode: 0o600 });
    cluster.env["TWINE_PASSWORD_FILE"] = join(cluster.folder, "password-127.0.0.1");
    await must("127.0.0.1", "twine-setup");
    // As an older version wrote it: nobody may change passwords on this node.
    const acl = join(cluster.folder, "partitions/127.0.0.3/a3/users.acl");
    await writeFile(acl, (await readFile(acl, "utf8")).replace(/^user rotation .*\n/m, ""));
    await Promise.all(HOSTS.map((host) => must(host, "twine-start", host)));
    await until("the cluster is OK", isWell);
  });
  afterAll(async () => {
    await cluster.remove();
  });

  test("a node without the user that may do it is named, with what gives it to it", async () => {
    const host = "127.0.0.3";
    const ran = await on(host, "twine-password", host, "--rotate", "--new-file", next());
    expect([ran.code, ran.stderr]).toEqual([
      1,
      expect.stringContaining("before Twine had a user that may"),
    ]);
    expect(ran.stderr).toContain("twine-stop a3 && twine-start a3");
    await must(host, "twine-setup", host, "--overwrite");
    await must(host, "twine-stop", "a3");
    await must(host, "twine-start", "a3");
    await until("a3 is back", isWell);
  });

  test("one by one they wait for each other, and name who has not begun", async () => {
    const rotate = (host: string) =>
      on(host, "twine-password", host, "--rotate", "--new-file", next(), "--wait", "0");
    const first = await rotate("127.0.0.1");
    expect([first.code, first.stdout]).toEqual([
      3,
      expect.stringContaining("127.0.0.2, 127.0.0.3"),
    ]);
    const early = await on("127.0.0.2", "twine-password", "127.0.0.2", "--finish");
    expect([early.code, early.stderr]).toEqual([
      1,
      expect.stringContaining("this machine does not have"),
    ]);
    const other = join(cluster.folder, "other");
    await writeFile(other, "something-else\n", { mode: 0o600 });
    const odd = await on(
      "127.0.0.2",
      "twine-password",
      "127.0.0.2",
      "--rotate",
      "--new-file",
      other,
    );
    expect([odd.code, odd.stderr]).toEqual([
      1,
      expect.stringContaining("rotation to another password"),
    ]);
    await until("the status names them", async () =>
      (await statusText()).includes("127.0.0.2, 127.0.0.3 have the old one alone"),
    );
  });

  test("at the same time they come to the end together", async () => {
    await Promise.all(
      HOSTS.map((host) => must(host, "twine-password", host, "--rotate", "--new-file", next())),
    );
    await Promise.all(HOSTS.map((host) => must(host, "twine-password", host, "--finish")));
    for (const [index, host] of HOSTS.entries()) {
      const name = `a${index + 1}`;
      expect(await letsIn(cluster, name, "app", OLD, host)).toBe(false);
      expect(await letsIn(cluster, name, "app", "battery-staple", host)).toBe(true);
    }
    expect(await isWell()).toBe(true);
  });

  test("a host that is left out is named, and takes part when it is back", async () => {
    const [away = "", ...others] = HOSTS.toReversed();
    await writeFile(next(), "third-one\n", { mode: 0o600 });
    await must(away, "twine-stop", away, "--force");
    const args = ["--rotate", "--finish", "--new-file", next(), "--without", away];
    await Promise.all(others.map((host) => must(host, "twine-password", host, ...args)));
    await until("the status names it", async () =>
      (await statusText()).includes(`${away} never took part`),
    );
    await must(away, "twine-password", away, "--rotate", "--finish", "--new-file", next());
    await must(away, "twine-start", away);
    await until("all is well", isWell);
    await until("and it is named no more", async () =>
      (await statusText()).includes("Nothing is wrong"),
    );
    expect(await letsIn(cluster, "a3", "app", "third-one", away)).toBe(true);
  });
});
