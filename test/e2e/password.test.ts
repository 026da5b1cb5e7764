// password.test.ts: with a password everything is closed to whoever has none, and everything works for who has it:
// the rendered users, the monitors, the router, the tools.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localCluster, TWO_PARTITIONS, type LocalCluster } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";

const PASSWORD = "correct-horse";

/** The user app on a data node itself. */
async function appOn(cluster: LocalCluster, node: string): Promise<Redis> {
  const redis = new Redis({
    port: cluster.port(node),
    host: "127.0.0.1",
    username: "app",
    password: PASSWORD,
    lazyConnect: true,
  });
  await redis.connect();
  return redis;
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("a cluster with a password", () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await localCluster(TWO_PARTITIONS);
    const file = join(cluster.folder, "password");
    await writeFile(file, `${PASSWORD}\n`, { mode: 0o600 });
    cluster.env["TWINE_PASSWORD_FILE"] = file;
    await cluster.must("twine-up");
  });
  afterAll(async () => {
    await cluster.remove();
  });

  test("the tools work for who has it", async () => {
    expect(await cluster.must("twine", "set", "foo", "bar")).toBe("OK\n");
    expect(await cluster.must("twine", "get", "foo")).toBe("bar\n");
    expect(await cluster.must("twine", "dbsize")).toBe("1\n");
    expect(await cluster.must("twine", "--scan")).toBe("foo\n");
    expect(await cluster.must("twine-status")).toContain("OK");
  });

  test("and tell who has none what is missing", async () => {
    const file = cluster.env["TWINE_PASSWORD_FILE"];
    cluster.env["TWINE_PASSWORD_FILE"] = "";
    const ran = await cluster.run("twine-status");
    cluster.env["TWINE_PASSWORD_FILE"] = file ?? "";
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("TWINE_PASSWORD_FILE");
  });

  test("and tell who has a wrong one that it is wrong, and nothing of nodes to start", async () => {
    const right = cluster.env["TWINE_PASSWORD_FILE"] ?? "";
    const wrong = join(cluster.folder, "wrong-password");
    await writeFile(wrong, "horse-correct\n", { mode: 0o600 });
    cluster.env["TWINE_PASSWORD_FILE"] = wrong;
    try {
      for (const args of [
        ["twine-status"],
        ["twine-failover", "a2"],
        ["twine-failover", "--what-if", "a2"],
        ["twine-failover", "--accept-loss", "a2"],
      ]) {
        const { code, stderr } = await cluster.run(args[0] ?? "", ...args.slice(1));
        expect([args, code]).toEqual([args, 1]);
        expect(stderr).toContain("WRONGPASS");
        expect(stderr).toMatch(/remedy: .*TWINE_PASSWORD_FILE/);
        expect(stderr).not.toMatch(/twine-start|start the status nodes/);
      }
    } finally {
      cluster.env["TWINE_PASSWORD_FILE"] = right;
    }
  });

  test("a client of the router must know it", async () => {
    const port = cluster.port("r1");
    const stranger = new Redis({ port, host: "127.0.0.1", retryStrategy: () => null });
    stranger.on("error", () => undefined);
    await expect(stranger.get("foo")).rejects.toThrow(/NOAUTH/);
    stranger.disconnect();
    const friend = new Redis({ port, host: "127.0.0.1", password: PASSWORD });
    expect(await friend.get("foo")).toBe("bar");
    friend.disconnect();
  });

  test("a data node answers nobody without it", async () => {
    const redis = new Redis({
      port: cluster.port("a1"),
      host: "127.0.0.1",
      retryStrategy: () => null,
    });
    redis.on("error", () => undefined);
    await expect(redis.get("foo")).rejects.toThrow(/NOAUTH/);
    redis.disconnect();
  });

  test("transactions and scripts reach the replicas, and survive a stop and a start", async () => {
    const master = await appOn(cluster, "a1");
    await master.multi().set("in-multi", "1").incr("in-multi").exec();
    await master.eval(
      "redis.call('SET', KEYS[1], 'x') return redis.call('APPEND', KEYS[1], 'y')",
      1,
      "in-script",
    );
    expect(await master.wait(2, 5000)).toBe(2);
    master.disconnect();
    const dump = await readFile(join(cluster.folder, "partitions/localhost/a2/redis.log"), "utf8");
    expect(dump).not.toContain("NOPERM");
    await cluster.must("twine-stop");
    await cluster.must("twine-up");
    expect(await cluster.must("twine", "get", "foo")).toBe("bar\n");
    const again = await appOn(cluster, "a1");
    expect(await again.mget("in-multi", "in-script")).toEqual(["2", "xy"]);
    again.disconnect();
  });
});
