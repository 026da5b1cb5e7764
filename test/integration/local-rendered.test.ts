// local-rendered.test.ts: every redis.conf of every golden case is started once by a real redis-server, and the users
// of users.acl may do what they must and nothing more.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { credentialsOf, type RedisUser } from "../../runtime/core/credentials.ts";
import { registerKeys } from "../../runtime/core/register-keys.ts";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";
import { CASES, renderCase, type GoldenCase } from "../golden/render-cases.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";

interface Rendered {
  readonly name: string;
  readonly kind: "data" | "status";
  readonly port: number;
  readonly folder: string;
  link(user: RedisUser): Promise<RedisLink>;
  pid: number;
}

/** Writes a case's files into a temporary folder, with nothing changed. */
async function writeCase(golden: GoldenCase): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-rendered-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  for (const { path, text, mode } of renderCase(golden).files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text, { mode });
  }
  return folder;
}

/** Starts one node from its own redis.conf; only port and address are told on the command line. */
async function startNode(
  golden: GoldenCase,
  folder: string,
  host: string,
  name: string,
  kind: "data" | "status",
): Promise<Rendered> {
  const own = join(folder, host, name);
  const port = await freePort();
  const args = ["redis.conf", "--port", String(port), "--bind", "127.0.0.1"];
  const child = spawn("redis-server", args, { cwd: own, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const links: RedisLink[] = [];
  onTestFinished(() => {
    for (const link of links) link.close();
  });
  const link = async (user: RedisUser): Promise<RedisLink> => {
    const credentials = credentialsOf(user, golden.password);
    const opened = await openRedisLink(
      { host: "127.0.0.1", port },
      { credentials, connectTimeoutMs: 2000 },
    );
    links.push(opened);
    return opened;
  };
  await until(`${name} answers ROLE`, async () => {
    if (child.exitCode !== null) {
      throw new Error(`${name} ended: ${said}${await readFile(join(own, "redis.log"), "utf8")}`);
    }
    return link("health").then(
      async (opened) => Array.isArray(await opened.call("ROLE")),
      () => false,
    );
  });
  return { name, kind, port, folder: own, link, pid: child.pid ?? 0 };
}

function redisNodes(golden: GoldenCase): { host: string; name: string; kind: "data" | "status" }[] {
  return renderCase(golden).plan.hosts.flatMap((host) =>
    host.services.flatMap(({ name, kind }) =>
      kind === "data" || kind === "status" ? [{ host: host.name, name, kind }] : [],
    ),
  );
}

async function startOf(golden: GoldenCase, ...names: string[]): Promise<Rendered[]> {
  const folder = await writeCase(golden);
  const nodes = redisNodes(golden).filter(({ name }) => names.includes(name));
  return Promise.all(
    nodes.map(({ host, name, kind }) => startNode(golden, folder, host, name, kind)),
  );
}

describe.skipIf(isMissing("redis-server"))("rendered redis.conf", () => {
  test.each(CASES)(
    "of case $name: every node starts; data nodes are dead, or as Sentinel begins",
    async (golden) => {
      const folder = await writeCase(golden);
      for (const { host, name, kind } of redisNodes(golden)) {
        const node = await startNode(golden, folder, host, name, kind);
        const role = JSON.stringify(await (await node.link("health")).call("ROLE"));
        const get = (await node.link("app")).call("GET", "a-key");
        get.catch(() => undefined);
        const conf = await readFile(join(node.folder, "redis.conf"), "utf8");
        // Where Sentinel fails over, the first node of a partition is its master from the start.
        const isDead = kind === "data" && /^replicaof /m.test(conf);
        if (isDead) {
          expect(role, name).toMatch(/^\["slave",/);
          if (conf.includes("replicaof 127.0.0.1 1\n")) {
            await expect(get, name).rejects.toThrow(/MASTERDOWN/);
          }
        } else {
          expect(role, name).toMatch(/^\["master"/);
          // The status node's app may not even look at other keys; without a password there are no users.
          const mayGet = kind === "data" || golden.password === undefined;
          if (mayGet) expect(await get).toBeNull();
          else await expect(get).rejects.toThrow(/NOPERM/);
        }
        process.kill(node.pid, "SIGKILL");
      }
    },
  );
});

describe.skipIf(isMissing("redis-server"))("users of a cluster with a password", () => {
  const golden = CASES.find(({ password }) => password !== undefined);
  if (golden === undefined) throw new Error("one golden case has a password");

  test("nobody gets in without one", async () => {
    const [a1] = await startOf(golden, "a1");
    const link = await openRedisLink(
      { host: "127.0.0.1", port: a1?.port ?? 0 },
      { connectTimeoutMs: 2000 },
    );
    onTestFinished(() => {
      link.close();
    });
    await expect(link.call("GET", "key")).rejects.toThrow(/NOAUTH/);
  });

  test("the monitor gives roles and the replica follows; the app reads and writes, no more", async () => {
    const [a1, a2] = await startOf(golden, "a1", "a2");
    if (a1 === undefined || a2 === undefined) throw new Error("both started");
    const monitor = await a1.link("monitor");
    await monitor.call("REPLICAOF", "NO", "ONE");
    await (await a2.link("monitor")).call("REPLICAOF", "127.0.0.1", a1.port);
    const app = await a1.link("app");
    expect(await app.call("SET", "key", "value")).toBe("OK");
    await expect(monitor.call("GET", "key")).rejects.toThrow(/NOPERM/);
    const replica = await a2.link("app");
    await until(
      "a2 has it",
      async () => (await replica.call("GET", "key").catch(() => "")) === "value",
    );
    for (const command of [["CONFIG", "GET", "dir"], ["SHUTDOWN"], ["REPLICAOF", "NO", "ONE"]]) {
      const [name = "", ...args] = command;
      await expect(app.call(name, ...args), name).rejects.toThrow(/NOPERM/);
    }
    for (const command of [["KEYS", "*"], ["INFO"], ["FLUSHALL"], ["WAIT", "0", "1"]]) {
      const [name = "", ...args] = command;
      await app.call(name, ...args);
    }
    const router = await a1.link("router");
    const id = Number(await app.call("CLIENT", "ID"));
    expect(await router.call("CLIENT", "KILL", "ID", id)).toBe(1);
  });

  test("on a status node only monitors write; the others read", async () => {
    const [s1] = await startOf(golden, "s1");
    if (s1 === undefined) throw new Error("it started");
    const keys = registerKeys("orders");
    const monitor = await s1.link("monitor");
    const script =
      "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('PUBLISH', ARGV[2], 'x')";
    await monitor.call("EVAL", script, 1, keys.view, "{}", keys.channel);
    await expect(monitor.call("SET", "elsewhere", "1")).rejects.toThrow(/NOPERM/);
    for (const user of ["app", "router"] as const) {
      const link = await s1.link(user);
      expect(await link.call("GET", keys.view)).toBe("{}");
      await link.call("MULTI");
      await link.call("HMGET", keys.register, "promised");
      await link.call("EXEC");
      await expect(link.call("SET", keys.view, "[]")).rejects.toThrow(/NOPERM/);
      await expect(link.call("HSET", keys.register, "promised", "9:x")).rejects.toThrow(/NOPERM/);
      await expect(link.call("HSET", keys.request, user, "{}")).rejects.toThrow(/NOPERM/);
      expect(await link.call("HGETALL", keys.request)).toEqual([]);
      await link.subscribe(keys.channel, () => undefined);
    }
  });
});
