// sentinel-clients.test.ts: clients as their users have them, unmodified, on the Sentinel ports of three monitors, before
// and after the master was killed and another promoted. The test leads the nodes by hand; monitors that do it themselves
// are in sentinel-cluster.test.ts.
import { createSentinel } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { startHandLedSentinels, type HandLedSentinels } from "../support/hand-led-sentinels.ts";
import { runCommand } from "../support/run-tool.ts";
import { isMissing } from "../support/programs.ts";
import { startPythonClient } from "../support/python-client.ts";
import { until } from "../support/redis-server.ts";
import { pythonWithRedis } from "../support/redis-py.ts";

function ioredisOf({ ports }: HandLedSentinels, more: object = {}): Redis {
  const redis = new Redis({
    sentinels: ports.map((port) => ({ host: "127.0.0.1", port })),
    name: "twine-p0",
    sentinelRetryStrategy: () => 50,
    retryStrategy: () => 50,
    ...more,
  });
  // A connection that breaks is told here; the commands say themselves what becomes of them.
  redis.on("error", () => undefined);
  onTestFinished(() => {
    redis.disconnect();
  });
  return redis;
}

async function portOfServer(redis: Redis): Promise<number> {
  return Number(/tcp_port:(\d+)/.exec(await redis.info("server"))?.[1]);
}

describe.skipIf(isMissing("redis-server"))("ioredis", () => {
  for (const protocol of [2, 3] as const) {
    test(`in RESP${protocol} writes to the master, before and after a failover`, async () => {
      const cluster = await startHandLedSentinels();
      const redis = ioredisOf(cluster, { protocol });
      await redis.set("k", "before");
      expect(await portOfServer(redis)).toBe(cluster.portOf("a1"));
      await cluster.failOver("a2");
      await redis.set("k", "after");
      expect(await portOfServer(redis)).toBe(cluster.portOf("a2"));
      expect(await redis.get("k")).toBe("after");
    });
  }

  test("with role slave reads from a replica, and never from one that is dead", async () => {
    const cluster = await startHandLedSentinels();
    cluster.show("a1", ["a2"]);
    for (let round = 0; round < 5; round++) {
      const redis = ioredisOf(cluster, { role: "slave" });
      expect(await portOfServer(redis)).toBe(cluster.portOf("a3"));
    }
  });

  test("its failover detector leaves a master that still lives when the view names another", async () => {
    const cluster = await startHandLedSentinels();
    const redis = ioredisOf(cluster, { failoverDetector: true });
    const subscribed = new Promise((resolve) => {
      (redis as unknown as { connector: { emitter: NodeJS.EventEmitter } }).connector.emitter.once(
        "failoverSubscribed",
        resolve,
      );
    });
    expect(await portOfServer(redis)).toBe(cluster.portOf("a1"));
    await subscribed;
    // A planned handover: nobody dies, so only +switch-master tells.
    const link = await cluster.nodes.get("a3")?.link();
    await link?.call("REPLICAOF", "NO", "ONE");
    cluster.show("a3");
    await until("it has gone to the new master", async () => {
      const port = await portOfServer(redis).catch(() => 0);
      return port === cluster.portOf("a3");
    });
  });

  test("goes on to another monitor when the first has no confirmed view", async () => {
    const cluster = await startHandLedSentinels({ settings: ["lease 100ms", "down-after 200ms"] });
    const doubting = await startHandLedSentinels({ settings: ["lease 100ms", "down-after 200ms"] });
    doubting.view.confirm(false);
    const [first = 0] = doubting.ports;
    const cli = (): Promise<string> => redisCli(first, "get-master-addr-by-name", "twine-p0");
    await until("the first refuses", async () => (await cli()).includes("ERR twine"));
    const redis = ioredisOf(
      { ...cluster, ports: [first, ...cluster.ports] },
      { updateSentinels: false },
    );
    expect(await portOfServer(redis)).toBe(cluster.portOf("a1"));
  });

  test("shows the password to the monitors", async () => {
    const cluster = await startHandLedSentinels({ password: "secret" });
    const named = { sentinelUsername: "app", sentinelPassword: "secret" };
    expect(await ioredisOf(cluster, named).ping()).toBe("PONG");
    expect(await ioredisOf(cluster, { sentinelPassword: "secret" }).ping()).toBe("PONG");
  });
});

describe.skipIf(isMissing("redis-server"))("node-redis", () => {
  for (const RESP of [2, 3] as const) {
    test(`in RESP${RESP} writes to the master and reads replicas, before and after a failover`, async () => {
      const cluster = await startHandLedSentinels();
      const client = createSentinel({
        name: "twine-p0",
        RESP,
        sentinelRootNodes: cluster.ports.map((port) => ({ host: "127.0.0.1", port })),
        replicaPoolSize: 1,
        nodeClientOptions: { socket: { reconnectStrategy: false } },
      });
      client.on("error", () => undefined);
      await client.connect();
      onTestFinished(() => client.destroy());
      expect(client.getMasterNode()?.port).toBe(cluster.portOf("a1"));
      expect([...client.getReplicaNodes().keys()].map(({ port }) => port).sort()).toEqual(
        [cluster.portOf("a2"), cluster.portOf("a3")].sort(),
      );
      await client.set("k", "before");
      await cluster.failOver("a3");
      await until("it has found the new master", () => {
        return client.getMasterNode()?.port === cluster.portOf("a3");
      });
      await client.set("k", "after");
      const link = await cluster.nodes.get("a3")?.link();
      expect(await link?.call("GET", "k")).toBe("after");
    });
  }
});

const python = isMissing("redis-server") ? undefined : pythonWithRedis();

describe.skipIf(python === undefined)("redis-py", () => {
  for (const protocol of ["default", "2", "3"]) {
    test(`with protocol ${protocol} writes to the master and reads replicas, before and after a failover`, async () => {
      const cluster = await startHandLedSentinels();
      const { ports, portOf } = cluster;
      const client = startPythonClient(python ?? "", "twine-p0", ports.join(","), protocol);
      expect(await client.ask("master")).toEqual({ ok: ["127.0.0.1", portOf("a1")] });
      expect(await client.ask("replicas")).toEqual({ ok: [portOf("a2"), portOf("a3")].sort() });
      expect(await client.ask("set k before")).toEqual({ ok: true });
      expect(await client.ask("sentinels")).toEqual({ ok: ports.slice(1).sort() });
      const state = { is_master: true, is_odown: false, "num-slaves": 2 };
      expect(await client.ask("state")).toEqual({ ok: state });
      await cluster.nodes.get("a1")?.kill();
      cluster.show(null, ["a1"]);
      expect(await client.ask("set k between")).toMatchObject({
        error: expect.stringMatching(/^MasterNotFoundError/) as string,
      });
      await cluster.failOver("a2");
      expect(await client.ask("set k after")).toEqual({ ok: true });
      expect(await client.ask("master")).toEqual({ ok: ["127.0.0.1", portOf("a2")] });
      expect(await client.ask("get k")).toEqual({ ok: "after" });
      expect(await client.ask("replicas")).toEqual({ ok: [portOf("a3")] });
      await until("a replica has it", async () => {
        return JSON.stringify(await client.ask("read k")) === '{"ok":"after"}';
      });
    });
  }

  test("goes on to another monitor when the first has no confirmed view", async () => {
    const settings = ["lease 100ms", "down-after 200ms"];
    const cluster = await startHandLedSentinels();
    const doubting = await startHandLedSentinels({ settings });
    doubting.view.confirm(false);
    const [first = 0] = doubting.ports;
    const cli = (): Promise<string> => redisCli(first, "get-master-addr-by-name", "twine-p0");
    await until("the first refuses", async () => (await cli()).includes("ERR twine"));
    const ports = [first, ...cluster.ports].join(",");
    const client = startPythonClient(python ?? "", "twine-p0", ports);
    expect(await client.ask("master")).toEqual({ ok: ["127.0.0.1", cluster.portOf("a1")] });
  });

  test("shows the password to the monitors", async () => {
    const { ports, portOf } = await startHandLedSentinels({ password: "secret" });
    const client = startPythonClient(
      python ?? "",
      ...["twine-p0", ports.join(","), "default", "secret"],
    );
    expect(await client.ask("master")).toEqual({ ok: ["127.0.0.1", portOf("a1")] });
  });
});

async function redisCli(port: number, ...args: string[]): Promise<string> {
  const command = ["-p", String(port), "SENTINEL", ...args];
  return (await runCommand("redis-cli", command, { cwd: "/" })).stdout;
}

test.skipIf(isMissing("redis-server", "redis-cli"))("redis-cli shows it all", async () => {
  const { ports, portOf } = await startHandLedSentinels();
  const [port = 0] = ports;
  const masters = await redisCli(port, "masters");
  expect(masters).toContain(`name\ntwine-p0\nip\n127.0.0.1\nport\n${portOf("a1")}\n`);
  const three = await runCommand("redis-cli", ["-3", "-p", String(port), "sentinel", "masters"], {
    cwd: "/",
  });
  expect(three.stdout).toMatch(/^name twine-p0\nip 127\.0\.0\.1\n/);
  expect(await redisCli(port, "ckquorum", "twine-p0")).toMatch(/^OK 3 usable Sentinels/);
  const info = await runCommand("redis-cli", ["-p", String(port), "INFO", "sentinel"], {
    cwd: "/",
  });
  expect(info.stdout).toContain("status=ok");
});
