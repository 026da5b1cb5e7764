// migrate.test.ts: docs/migrate.md, step by step, on real servers under a checked writer: from twemproxy and Sentinel, from a
// single Redis, and broken off at each step.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import type { View } from "../../runtime/core/view.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign, startNutcracker, startSentinelProgram } from "../support/foreign-stack.ts";
import { MovingWriter } from "../support/moving-writer.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const PASSWORD = "old-secret";
const RING = "hash twemproxy-murmur ketama shard-0:1 shard-1:2";

describe.skipIf(isMissing("nutcracker", "redis-server"))("twine-follow", () => {
  const cleanUp = cleanUpAfterAll();
  let cluster: FaultCluster;
  let olds: TestRedis[] = [];
  let secret = "";

  async function newCluster(partitions: number, lines: readonly string[]): Promise<FaultCluster> {
    const shape = { partitions, nodesPerPartition: 2, statusNodes: 1, monitors: 3, routers: 1 };
    const made = await FaultCluster.create(clusterConf({ ...shape, lines }));
    cleanUp(() => made.remove());
    await made.start();
    return made;
  }

  function follow(of: FaultCluster, ...args: string[]): Promise<Ran> {
    const file = join(of.folder, "twine.conf");
    const command = [binPath("twine-follow", "runtime"), ...args, "--conf", file];
    return runCommand(process.execPath, command, { env: { TWINE_SOURCE_PASSWORD_FILE: secret } });
  }

  async function must(of: FaultCluster, ...args: string[]): Promise<string> {
    let ran = await follow(of, ...args);
    // On a busy machine a status node may take longer than the tool waits for it.
    for (let tries = 1; tries < 10 && /of 1 status nodes/.test(ran.stderr); tries++) {
      ran = await follow(of, ...args);
    }
    expect(`${ran.code} ${ran.stderr}`).toBe("0 ");
    return ran.stdout;
  }

  const oldPort = (index: number): number => olds[index]?.port ?? 0;
  const oldUrl = (index: number): string => `redis://127.0.0.1:${oldPort(index)}`;
  const hasMasters = ({ partitions }: View): boolean =>
    partitions.every(({ master }) => master !== null);

  /** What docs/migrate.md says to type, in its order, on this test's addresses. */
  async function pageCommands(sentinelPort: number): Promise<string[][]> {
    const page = await readFile(new URL("../../docs/migrate.md", import.meta.url), "utf8");
    const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
    const lines = blocks.flatMap((block) => [...block.matchAll(/^twine-follow (.*)$/gm)]);
    return lines.map(([, args = ""]) =>
      args
        .replace("redis://10.0.0.1:6666", oldUrl(0))
        .replace("redis://10.0.0.2:7666", oldUrl(1))
        .replace("10.0.0.1:26379", `127.0.0.1:${sentinelPort}`)
        .split(" "),
    );
  }

  /** The replication section of an old server. */
  async function oldInfo(index: number): Promise<string> {
    const [, info = ""] = await askForeign(oldPort(index), [
      ["AUTH", PASSWORD],
      ["INFO", "replication"],
    ]);
    return info;
  }

  async function protectedRedis(): Promise<TestRedis> {
    const server = await startRedis(["appendonly yes", "repl-diskless-sync-delay 0"], cleanUp);
    const link = await server.link();
    await link.call("CONFIG", "SET", "masterauth", PASSWORD);
    await link.call("CONFIG", "SET", "requirepass", PASSWORD);
    return server;
  }

  beforeAll(async () => {
    olds = [await protectedRedis(), await protectedRedis()];
    cluster = await newCluster(2, [RING, "hash-tag {}"]);
    secret = join(cluster.folder, "old-password");
    await writeFile(secret, `${PASSWORD}\n`, { mode: 0o600 });
  });

  test("from twemproxy and Sentinel, under a writer, with a way back, and nothing lost", async () => {
    const proxy = await startNutcracker(
      [
        ...["hash: murmur", "distribution: ketama", 'hash_tag: "{}"', "redis: true"],
        ...[`redis_auth: ${PASSWORD}`, "servers:"],
        ...olds.map(({ port }, index) => `- 127.0.0.1:${port}:${index + 1} shard-${index}`),
      ],
      cleanUp,
    );
    const sentinel = await startSentinelProgram(
      olds.map(({ port }, index) => ({ name: `shard-${index}`, port, password: PASSWORD })),
      cleanUp,
    );
    const login = ["AUTH", PASSWORD];
    const writer = new MovingWriter(proxy.port, login);
    try {
      await until("the writer writes", () => writer.acknowledged.length > 200);
      // 1. The empty partitions follow.
      const page = await pageCommands(sentinel.port);
      expect(page).toHaveLength(5);
      const [first = [], second = [], switchOver = [], goBack = [], finish = []] = page;
      expect(await must(cluster, ...first)).toContain("partition 0 follows");
      await must(cluster, ...second);
      const following = await cluster.viewWhere(
        "both copy",
        ({ nodes, partitions }) =>
          partitions.every((one) => one.following?.phase === "copying") &&
          nodes.every(({ kind, inSync }) => kind !== "data" || inSync),
      );
      expect(following.state).toBe("HALT");
      // The status says it in words, in every format; the router says it to clients.
      for (const format of ["summary", "xml", "html", "json"]) {
        const file = join(cluster.folder, "twine.conf");
        const status = [binPath("twine-status", "runtime"), format, "--conf", file];
        const shown = await runCommand(process.execPath, status, {});
        expect(`${format} ${shown.stdout}`).toContain(`follow 127.0.0.1:${oldPort(0)}`);
      }
      // Sentinel must not be forgotten.
      const watched = await follow(cluster, "--switch");
      expect(watched.code).toBe(1);
      expect(watched.stderr).toContain("--sentinel HOST:PORT");
      // 2. All take over in one go; the application's only break is the proxy's new address.
      const out = await must(cluster, ...switchOver);
      expect(out).toContain("SENTINEL MONITOR shard-0");
      writer.moveTo(cluster.port("r1"));
      await cluster.viewWhere("every partition serves", hasMasters);
      // As after a kill behind the last step.
      expect(await must(cluster, "--switch")).toContain("partition 1 has already taken over from");
      const moved = writer.acknowledged.length;
      await until("the writer writes here", () => writer.acknowledged.length > moved + 50);
      await until("the old masters follow ours", async () => {
        const infos = await Promise.all([oldInfo(0), oldInfo(1)]);
        return infos.every((info) => info.includes("master_link_status:up"));
      });
      expect(await writer.missingAt(cluster.port("r1"))).toEqual([]);

      // 3. The way back: the old masters have what was written here.
      await must(cluster, ...goBack);
      writer.moveTo(proxy.port, login);
      const back = writer.acknowledged.length;
      await until("the proxy takes writes again", () => writer.acknowledged.length > back + 50);
      expect(await writer.missingAt(proxy.port, login)).toEqual([]);

      // 4. And forward for good.
      await must(cluster, "--switch");
      writer.moveTo(cluster.port("r1"));
      await cluster.viewWhere("OK", ({ state }) => state === "OK");
      const last = writer.acknowledged.length;
      await until("the writer writes here", () => writer.acknowledged.length > last + 50);
      await must(cluster, ...finish);
      expect((await follow(cluster, "--back")).stderr).toContain("the way back was closed");
    } finally {
      await writer.stop();
    }
    expect(await writer.missingAt(cluster.port("r1"))).toEqual([]);
    const { partitions } = (await cluster.view()) ?? { partitions: [] };
    expect(partitions.map(({ cameFrom }) => cameFrom)).toEqual([null, null]);
  });

  test("broken off at each step it can go on or back, and nothing is lost: from a single Redis", async () => {
    const old = await startRedis(["appendonly yes", "repl-diskless-sync-delay 0"], cleanUp);
    const own = await newCluster(1, []);
    secret = "";
    const router = own.port("r1");
    const writer = new MovingWriter(old.port);
    const writes = async (what: string): Promise<void> => {
      const before = writer.acknowledged.length;
      await until(what, () => writer.acknowledged.length > before + 30);
    };
    const isReplica = async (): Promise<boolean> => {
      const [info = ""] = await askForeign(old.port, [["INFO", "replication"]]);
      return info.includes("role:slave");
    };
    const isMarked = async (): Promise<boolean> =>
      ((await own.view())?.partitions[0]?.following?.mark ?? null) !== null;
    /** Runs the tool, and kills it with -9 as soon as that is true. */
    const killedWhen = async (isTime: () => Promise<boolean>, ...args: string[]): Promise<void> => {
      const file = join(own.folder, "twine.conf");
      const command = [binPath("twine-follow", "runtime"), ...args, "--conf", file];
      const child = spawn(process.execPath, command, { stdio: "ignore" });
      const ended = once(child, "exit");
      await until("the moment to kill", async () => child.exitCode !== null || (await isTime()));
      child.kill("SIGKILL");
      await ended;
    };
    /** Lets something die as soon as that is true; a switch that was quicker than this test's look meets it at its end. */
    const duringSwitch = async (
      isTime: () => Promise<boolean>,
      die: () => Promise<void>,
    ): Promise<Ran> => {
      let isOver = false;
      const running = follow(own, "--switch").finally(() => {
        isOver = true;
      });
      await until("the switch has begun", async () => isOver || (await isTime()));
      await die();
      return running;
    };
    /** Until it is done: a run that is told to try again has changed nothing. */
    const done = async (...args: string[]): Promise<void> => {
      let said = "";
      const isDone = async (): Promise<boolean> => {
        const { code, stderr } = await follow(own, ...args);
        said = stderr;
        return code === 0;
      };
      await until(`${args.join(" ")} succeeds`, isDone, 90_000).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${said}`);
      });
    };
    try {
      await writes("the old one takes writes");
      await must(own, "0", `redis://127.0.0.1:${old.port}`);
      await own.viewWhere("copies", ({ nodes }) =>
        nodes.every(({ kind, inSync }) => kind !== "data" || inSync),
      );
      // The tool dies while the old master is paused: the pause ends by itself.
      await killedWhen(isMarked, "--switch");
      if (!(await isReplica())) await writes("the old one takes writes again");
      // It dies when the old one has been made a replica: the next run goes on.
      await killedWhen(isReplica, "--switch");
      await done("--switch");
      writer.moveTo(router);
      await writes("ours takes writes");
      // On the way back it dies while nobody serves: staying is possible.
      const isFenced = async (): Promise<boolean> =>
        ((await own.view())?.partitions[0]?.following ?? null) !== null;
      await killedWhen(isFenced, "--back");
      const phase = (await own.view())?.partitions[0]?.following?.phase;
      if (phase !== "copying") {
        const stayed = await follow(own, "--stay");
        // It died in the moment between the old one's first write and the alpha's news of it.
        if (stayed.code !== 0) expect(stayed.stderr).toContain("run twine-follow --back again");
        else await writes("ours takes writes again");
      }
      await done("--back");
      writer.moveTo(old.port);
      await writes("the old one serves");
      // The alpha dies in the middle of a switch.
      const alpha = (await own.view())?.alpha ?? "";
      const ran = await duringSwitch(isMarked, () => own.kill(alpha));
      if (ran.code !== 0) await done("--switch");
      writer.moveTo(router);
      await writes("ours takes writes under another alpha");
      await own.heal();
      await done("--back");
      writer.moveTo(old.port);
      await writes("the old one serves again");
      // The old master dies in the middle of a switch, and comes back.
      const isHalf = async (): Promise<boolean> => (await isMarked()) && !(await isReplica());
      const broken = await duringSwitch(isHalf, () => old.kill());
      // It runs without a file: once the switch is done it must not be restarted, for it would be a master again.
      if (broken.code !== 0) {
        await old.start();
        await done("--switch");
      }
      writer.moveTo(router);
      await writes("ours takes writes for good");
      await must(own, "--finish");
    } finally {
      await writer.stop();
    }
    expect(await writer.missingAt(router)).toEqual([]);
  });

  test("what can't be done is refused with what to do", async () => {
    const bad = async (...args: string[]): Promise<string> =>
      (await follow(cluster, ...args)).stderr;
    secret = "";
    expect(await bad("0", "redis://:pw@h:1")).toContain("TWINE_SOURCE_PASSWORD_FILE");
    expect(await bad("0", "what")).toContain("write redis://HOST:PORT");
    expect(await bad("x", oldUrl(0))).toContain("is no partition");
    expect(await bad("--switch", "--back")).toContain("name one thing to do");
    expect(await bad("--switch")).toContain("no partition follows");
    expect(await bad("--back")).toContain("no partition was taken over");
    // Both old servers want a password, and are ours' replicas or serve; a free port has no server at all.
    expect(await bad("0", oldUrl(0))).toContain("TWINE_SOURCE_PASSWORD_FILE");
    const free = await startRedis([], cleanUp);
    expect(await bad("0", `redis://127.0.0.1:${free.port}`)).toContain("holds keys");
    expect(await bad("9", `redis://127.0.0.1:${free.port}`)).toContain("there is no partition 9");
  });
});
