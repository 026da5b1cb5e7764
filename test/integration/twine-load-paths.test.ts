// twine-load by the ways that are taken less often: TLS, a Sentinel with a password, SIGUSR1 and Enter, one pool of several, a
// network that is cut, a short backlog, a large key, FLUSHALL while it copies, a cluster that was full.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../../runtime/cli/package-root.ts";
import { authorityIn } from "../support/certificates.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { clusterConf, byLetter } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign, startSentinelProgram } from "../support/foreign-stack.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce } from "../support/redis-cluster.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { SourceWriter, startLoad, type RunningLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"];
const CUTOVER = ["--cutover", "--until", "1s"];
const READY = "the cluster has all keys and follows each write";
const SWITCH = "the application may switch to this cluster";
const WITHIN_MS = 600_000;

const shape = { partitions: 2, nodesPerPartition: 1, routers: 1, nameOf: byLetter } as const;
// A node that takes a key of a million members answers nobody meanwhile.
const lines = ["partitions 2", "cluster loaded", "down-after 60s"];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-load-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe.skipIf(isMissing("redis-server"))("twine-load, less usual ways", () => {
  const cleanUp = cleanUpAfterAll();
  let cluster: FaultCluster | undefined;
  let file = "";

  beforeEach(async () => {
    if (cluster === undefined) {
      const made = await FaultCluster.create(clusterConf({ ...shape, lines }));
      cluster = made;
      cleanUp(() => made.remove());
      await made.start();
      ({ file } = made.config);
    }
    for (const name of ["a1", "b1"]) await cluster.ask(name, "FLUSHALL");
  }, WITHIN_MS);

  const inCluster = async (...words: string[]): Promise<string | undefined> =>
    (await askForeign(cluster?.port("r1") ?? 0, [words]))[0];

  /** It switches, ends with 0, and both sides have the same values. */
  async function endsTheSame(live: RunningLoad, url: string): Promise<string> {
    await live.says(SWITCH);
    const { code, out, err } = await live.ended;
    expect(code, out + err).toBe(0);
    const same = await runTool("runtime", "twine-verify", file, url, file);
    expect([same.out, same.code], same.err).toEqual([
      expect.stringMatching(/^the same: \d+ keys/),
      0,
    ]);
    return err;
  }

  test(
    "rediss:// with a password, and SIGUSR1 in place of --cutover",
    async () => {
      const folder = await newFolder();
      const authority = await authorityIn(folder);
      const { cert, key } = await authority.issue("source");
      const port = await freePort();
      const source = await startRedis(SETTINGS);
      await callOnce(
        source,
        "CONFIG",
        "SET",
        "tls-cert-file",
        cert,
        "tls-key-file",
        key,
        "tls-ca-cert-file",
        authority.ca,
        "tls-auth-clients",
        "no",
        "tls-port",
        String(port),
      );
      await callOnce(source, "SET", "key", "1");
      await callOnce(source, "CONFIG", "SET", "requirepass", "secret");
      const secret = join(folder, "secret");
      await writeFile(secret, "secret\n", { mode: 0o600 });
      const url = `rediss://localhost:${port}`;
      const denied = await startLoad(file, [url, "--source-ca", authority.ca]).ended;
      expect([denied.code, denied.err]).toEqual([
        1,
        expect.stringContaining("TWINE_SOURCE_PASSWORD_FILE"),
      ]);
      const env = { TWINE_SOURCE_PASSWORD_FILE: secret };
      const untrusted = await startLoad(file, [url], env).ended;
      expect([untrusted.code, untrusted.err]).toEqual([1, expect.stringMatching(/certificate/i)]);
      const live = startLoad(file, [url, "--source-ca", authority.ca, "--until", "1s"], env);
      await live.says(READY);
      live.child.kill("SIGUSR1");
      await live.says(SWITCH);
      const { code, err } = await live.ended;
      expect([code, err]).toEqual([0, expect.stringMatching(/^the same: 1 keys/m)]);
      expect(await inCluster("GET", "key")).toBe("1");
    },
    WITHIN_MS,
  );

  test(
    "a Sentinel and its masters, each with a password of its own",
    async () => {
      const folder = await newFolder();
      const master = await startRedis(SETTINGS);
      await callOnce(master, "CONFIG", "SET", "requirepass", "of-masters");
      const sentinel = await startSentinelProgram(
        [{ name: "main", port: master.port, password: "of-masters" }],
        cleanUp,
      );
      await askForeign(sentinel.port, [
        ["ACL", "SETUSER", "default", "resetpass", ">of-sentinels"],
      ]);
      const writer = new SourceWriter(master.port, [["AUTH", "of-masters"]]);
      await writer.writes(5);
      const [own, other] = [join(folder, "own"), join(folder, "other")];
      await writeFile(own, "of-masters", { mode: 0o600 });
      await writeFile(other, "of-sentinels", { mode: 0o600 });
      const url = `sentinel://127.0.0.1:${sentinel.port}/main`;
      const denied = await startLoad(file, [url], { TWINE_SOURCE_PASSWORD_FILE: own }).ended;
      expect([denied.code, denied.err]).toEqual([
        1,
        expect.stringContaining("TWINE_SENTINEL_PASSWORD_FILE"),
      ]);
      const live = startLoad(file, [url, ...CUTOVER], {
        TWINE_SOURCE_PASSWORD_FILE: own,
        TWINE_SENTINEL_PASSWORD_FILE: other,
      });
      await live.says(READY);
      await writer.writes(10);
      await writer.stop();
      await live.says(SWITCH);
      const { code, err } = await live.ended;
      expect([code, err]).toEqual([0, expect.stringMatching(/^the same: \d+ keys/m)]);
    },
    WITHIN_MS,
  );

  test(
    "one pool of a nutcracker.yml with two: without --pool it asks which",
    async () => {
      const [first, second] = [await startRedis(SETTINGS), await startRedis(SETTINGS)];
      await callOnce(first, "SET", "key", "of the first");
      await callOnce(second, "SET", "key", "of the second");
      const pool = (name: string, { port }: TestRedis, at: number): string =>
        `${name}:\n  listen: 127.0.0.1:${at}\n  hash: crc32a\n  distribution: modula\n  redis: true\n  servers:\n    - 127.0.0.1:${port}:1\n`;
      const yml = join(await newFolder(), "nutcracker.yml");
      await writeFile(yml, pool("one", first, 22_121) + pool("two", second, 22_122));
      const unnamed = await startLoad(file, [yml, "--once"]).ended;
      expect([unnamed.code, unnamed.err]).toEqual([1, expect.stringMatching(/one.*two[^]*--pool/)]);
      const ran = await startLoad(file, [yml, "--once", "--pool", "two"]).ended;
      expect(ran.code, ran.err).toBe(0);
      expect(await inCluster("GET", "key")).toBe("of the second");
    },
    WITHIN_MS,
  );

  test.skipIf(isMissing("script"))(
    "Enter on a terminal asks for the switch",
    async () => {
      const source = await startRedis(SETTINGS);
      await callOnce(source, "SET", "key", "1");
      const words = [process.execPath, binPath("twine-load", "runtime")];
      const args = [`redis://127.0.0.1:${source.port}`, "--until", "1s", "--conf", file];
      const line = [...words, ...args].map((word) => `'${word}'`).join(" ");
      const child = spawn("script", ["-qefc", line, "/dev/null"], {
        stdio: ["pipe", "pipe", "pipe"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const closed = once(child, "close");
      await until("it is ready", () => said.includes(READY) || child.exitCode !== null, 120_000);
      child.stdin.write("\n");
      await closed;
      expect([child.exitCode, said]).toEqual([0, expect.stringContaining(SWITCH)]);
      expect(await inCluster("GET", "key")).toBe("1");
    },
    WITHIN_MS,
  );

  test(
    "the network is cut while it follows: it goes on when packets pass again",
    async () => {
      const source = await startRedis(SETTINGS);
      const cut = await startDoor(source.port);
      const writer = new SourceWriter(source.port);
      await writer.writes(10);
      const live = startLoad(file, [`redis://127.0.0.1:${cut.port}`, ...CUTOVER]);
      await live.says(READY);
      cut.shut();
      await writer.writes(20);
      await live.says("trying again");
      cut.open();
      await writer.writes(10);
      await writer.stop();
      const said = await endsTheSame(live, `redis://127.0.0.1:${source.port}`);
      expect(said).not.toContain("copied again");
    },
    WITHIN_MS,
  );

  test(
    "a backlog that is too short for a pause of it: everything is copied again",
    async () => {
      const source = await startRedis([
        ...["repl-diskless-sync-delay 0", "repl-backlog-size 16kb"],
        "client-output-buffer-limit replica 1mb 1mb 1",
      ]);
      const url = `redis://127.0.0.1:${source.port}`;
      await callOnce(source, "SET", "gone", "1");
      const live = startLoad(file, [url, ...CUTOVER, "--no-verify"]);
      await live.says(READY);
      live.child.kill("SIGSTOP");
      await callOnce(source, "DEL", "gone");
      const large = "x".repeat(1_000_000);
      for (let at = 0; at < 20; at++) await callOnce(source, "SET", `large:${at}`, large);
      live.child.kill("SIGCONT");
      const said = await endsTheSame(live, url);
      expect(said).toMatch(/no longer has the changes|trying again/);
      expect(await inCluster("GET", "gone")).toBe("");
    },
    WITHIN_MS,
  );

  test(
    "a key of a million members, changed while it is followed",
    async () => {
      const source = await startRedis(SETTINGS);
      const url = `redis://127.0.0.1:${source.port}`;
      const fill =
        "for i = 1, 1000000 do redis.call('SADD', KEYS[1], i) end redis.call('ZADD', 'z', 1, 'm')";
      await callOnce(source, "CONFIG", "SET", "busy-reply-threshold", "60000");
      await callOnce(source, "EVAL", fill, "1", "large");
      const live = startLoad(file, [url, ...CUTOVER]);
      await live.says("following:");
      for (let at = 0; at < 50; at++) {
        await callOnce(source, "SADD", "large", `more:${at}`);
        await callOnce(source, "SREM", "large", String(at + 1));
      }
      await endsTheSame(live, url);
      const digest = "return tostring(redis.call('SCARD', KEYS[1]))";
      expect(await inCluster("EVAL", digest, "1", "large")).toBe("1000000");
    },
    WITHIN_MS,
  );

  test(
    "FLUSHALL at the source while it copies, and a cluster that was full goes on from the checkpoint",
    async () => {
      const source = await startRedis(SETTINGS);
      const url = `redis://127.0.0.1:${source.port}`;
      const fill =
        "for i = 1, 200000 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end return 1";
      await callOnce(source, "EVAL", fill, "0");
      const folder = await newFolder();
      const args = [url, "--checkpoint", join(folder, "load.json"), ...CUTOVER];
      const live = startLoad(file, args);
      await live.says("copying:");
      await callOnce(source, "FLUSHALL");
      await callOnce(source, "SET", "after", "1");
      await endsTheSame(live, url);

      for (const name of ["a1", "b1"]) {
        await cluster?.ask(name, "FLUSHALL");
        await cluster?.ask(name, "CONFIG", "SET", "maxmemory", "10mb");
      }
      await callOnce(source, "EVAL", fill, "0");
      const again = [url, "--checkpoint", join(folder, "full.json"), ...CUTOVER];
      const full = await startLoad(file, again).ended;
      for (const name of ["a1", "b1"]) {
        await cluster?.ask(name, "CONFIG", "SET", "maxmemory", "0");
      }
      expect([full.code, full.err]).toEqual([1, expect.stringMatching(/is full: OOM/)]);
      await endsTheSame(startLoad(file, again), url);
    },
    WITHIN_MS,
  );
});

/** A door before a port that passes nothing more while it is shut, without a word to either side. */
async function startDoor(target: number) {
  const pairs: (readonly [Socket, Socket])[] = [];
  let isShut = false;
  const server = createServer((client) => {
    const behind = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [client, behind],
      [behind, client],
    ] as const) {
      from.on("data", (bytes: Buffer) => to.write(bytes));
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      if (isShut) from.pause();
    }
    pairs.push([client, behind]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    shut: () => {
      isShut = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    open: () => {
      isShut = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
  };
}
