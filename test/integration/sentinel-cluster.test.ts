// sentinel-cluster.test.ts: the Sentinel ports of real twined processes over real nodes and routers: what clients are told
// when routers die and when the monitors fail a master over.
import { createHash } from "node:crypto";
import { spawn, type ChildProcess } from "node:child_process";
import { createSentinel } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { statusUsers } from "../../infra/plan/acl.ts";
import { binPath } from "../support/bins.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { createEmit } from "../../runtime/monitor/emit.ts";
import { openSentinelPort } from "../../runtime/monitor/sentinel/sentinel-port.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { openSharedHashes } from "../../runtime/register/shared-hashes.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { MonitoredCluster, partitionOf } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { startPythonClient } from "../support/python-client.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { pythonWithRedis } from "../support/redis-py.ts";
import { RawClient } from "../support/router-cluster.ts";
import { startStatusNodes } from "../support/status-nodes.ts";

interface SentinelCluster {
  readonly cluster: MonitoredCluster;
  readonly ports: readonly number[];
  readonly routers: ReadonlyMap<string, { readonly port: number; readonly child: ChildProcess }>;
  /** What the first monitor answers to get-master-addr-by-name: the port, or undefined. */
  readonly portOf: (name: string) => Promise<number | undefined>;
}

/** A cluster that is OK, with Sentinel ports and the named routers. */
async function startCluster(routerNames: readonly string[]): Promise<SentinelCluster> {
  const dataSettings = ["appendonly yes", "appendfsync always"];
  const cluster = await MonitoredCluster.create({
    partitions: 2,
    nodesPerPartition: 3,
    dataSettings,
  });
  let conf = cluster.conf;
  const ports: number[] = [];
  for (const name of ["m1", "m2", "m3"]) {
    ports.push(await freePort());
    const line = new RegExp(`^${name}=monitor localhost \\d+$`, "m");
    conf = conf.replace(line, (text) => `${text} ${ports.at(-1) ?? 0}`);
  }
  const routerPorts = new Map<string, number>();
  for (const name of routerNames) {
    routerPorts.set(name, await freePort());
    conf += `${name}=router localhost ${routerPorts.get(name) ?? 0}\n`;
  }
  await cluster.writeConf(conf);
  const routers: [string, { port: number; child: ChildProcess }][] = [];
  for (const [name, port] of routerPorts) {
    const args = [binPath("twine-router", "runtime"), name, "--conf", cluster.confFile];
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    onTestFinished(() => endProcess(child));
    routers.push([name, { port, child }]);
  }
  cluster.startMonitors();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  const portOf = async (name: string): Promise<number | undefined> => {
    const client = await RawClient.open(ports[0] ?? 0);
    const reply = await client.call(`SENTINEL get-master-addr-by-name ${name}`);
    client.socket.destroy();
    const port = /^\*2\r\n\$9\r\n127\.0\.0\.1\r\n\$\d+\r\n(\d+)\r\n$/.exec(reply)?.[1];
    return port === undefined ? undefined : Number(port);
  };
  await until("the first monitor has the view", async () => {
    return (await portOf("twine-p1").catch(() => undefined)) !== undefined;
  });
  return { cluster, ports, routers: new Map(routers), portOf };
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exit;
}

function ioredisOf(ports: readonly number[], name: string): Redis {
  const redis = new Redis({
    sentinels: ports.map((port) => ({ host: "127.0.0.1", port })),
    name,
    sentinelRetryStrategy: () => 50,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  });
  redis.on("error", () => undefined);
  onTestFinished(() => {
    redis.disconnect();
  });
  return redis;
}

describe.skipIf(isMissing("redis-server"))("the Sentinel ports of real monitors", () => {
  test("name the first router that is up, and another one when it dies", async () => {
    const { ports, routers, portOf } = await startCluster(["r1", "r2"]);
    const [r1, r2] = [routers.get("r1"), routers.get("r2")];
    expect(await portOf("twine")).toBe(r1?.port);
    const redis = ioredisOf(ports, "twine");
    // Keys of both partitions, through one port.
    for (const key of ["a", "b", "c", "d"]) await redis.set(key, `value of ${key}`);
    if (r1 !== undefined) await endProcess(r1.child);
    expect(await redis.mget("a", "b", "c", "d")).toEqual(
      ["a", "b", "c", "d"].map((key) => `value of ${key}`),
    );
    await until("the dead router is named no more", async () => {
      return (await portOf("twine")) === r2?.port;
    });
  });

  test("a dead router is never named, nor a dead node as replica", async () => {
    const { cluster, ports, routers, portOf } = await startCluster(["r1"]);
    const only = routers.get("r1");
    if (only !== undefined) await endProcess(only.child);
    await until("no router is named", async () => (await portOf("twine")) === undefined);
    await cluster.node("p0-3").kill();
    await cluster.viewWhere("p0-3 is dead", (view) => partitionOf(view, 0).dead.includes("p0-3"));
    const flags = async (): Promise<string> => {
      const client = await RawClient.open(ports[1] ?? 0);
      const reply = await client.call("SENTINEL replicas twine-p0");
      client.socket.destroy();
      return [...reply.matchAll(/flags\r\n\$\d+\r\n([^\r]*)/g)].map(([, text]) => text).join(" ");
    };
    await until("every monitor knows", async () => {
      return (await flags()) === "slave s_down,slave,disconnected";
    });
  });
});

test.skipIf(isMissing("redis-server"))(
  "twined whose Sentinel port is taken says so and ends, though its HTTP port was free",
  async () => {
    const cluster = await MonitoredCluster.create({
      partitions: 1,
      nodesPerPartition: 1,
      dataSettings: [],
    });
    const { port: taken } = await startRedis();
    await cluster.writeConf(cluster.conf.replace(/^m1=.*$/m, (line) => `${line} ${taken}`));
    const { code, err } = await cluster.run("twined", "m1");
    expect(code).toBe(1);
    expect(err).toContain(`the monitor's Sentinel port can't listen on 127.0.0.1:${taken}`);
  },
);

const python = isMissing("redis-server") ? undefined : pythonWithRedis();

describe.skipIf(isMissing("redis-server"))("when the monitors fail a killed master over", () => {
  test("ioredis goes on with the new master, and the switch is told to subscribers", async () => {
    const { cluster, ports, portOf } = await startCluster([]);
    const listener = await RawClient.open(ports[2] ?? 0);
    onTestFinished(() => {
      listener.socket.destroy();
    });
    await listener.call("SUBSCRIBE +switch-master");
    const redis = ioredisOf(ports, "twine-p0");
    await redis.set("k", "before");
    const master = partitionOf(await cluster.viewWhere("a master", () => true), 0).master ?? "";
    const old = cluster.node(master).port;
    expect(await portOf("twine-p0")).toBe(old);
    await cluster.node(master).kill();
    // Held by the client until a monitor names a master again.
    await redis.set("k", "after");
    await until("the first monitor names another one", async () => {
      return (await portOf("twine-p0")) !== old;
    });
    const now = await portOf("twine-p0");
    const all = ["p0-1", "p0-2", "p0-3"].map((name) => cluster.node(name).port);
    expect(all).toContain(now);
    expect(await listener.reply()).toContain(`twine-p0 127.0.0.1 ${old} 127.0.0.1 ${now ?? 0}\r\n`);
    expect(Number(/tcp_port:(\d+)/.exec(await redis.info("server"))?.[1])).toBe(now);
    expect(await redis.get("k")).toBe("after");
  });

  test("node-redis finds the new master", async () => {
    const { cluster, ports } = await startCluster([]);
    const client = createSentinel({
      name: "twine-p1",
      sentinelRootNodes: ports.map((port) => ({ host: "127.0.0.1", port })),
      nodeClientOptions: { socket: { reconnectStrategy: false } },
    });
    client.on("error", () => undefined);
    await client.connect();
    onTestFinished(() => client.destroy());
    expect(client.getMasterNode()?.port).toBe(cluster.node("p1-1").port);
    await cluster.node("p1-1").kill();
    await until("it has found another master", () => {
      const port = client.getMasterNode()?.port;
      return port === cluster.node("p1-2").port || port === cluster.node("p1-3").port;
    });
    expect(await client.set("k", "after")).toBe("OK");
  });

  test.skipIf(python === undefined)("redis-py finds the new master", async () => {
    const { cluster, ports } = await startCluster([]);
    const client = startPythonClient(python ?? "", "twine-p0", ports.join(","));
    expect(await client.ask("set k before")).toEqual({ ok: true });
    await cluster.node("p0-1").kill();
    await until("it writes again", async () => {
      return JSON.stringify(await client.ask("set k after")) === '{"ok":true}';
    });
    expect(await client.ask("get k")).toEqual({ ok: "after" });
    expect(await client.ask("master")).not.toEqual({
      ok: ["127.0.0.1", cluster.node("p0-1").port],
    });
  });
});

test.skipIf(isMissing("redis-server"))(
  "with a password the user monitor may follow the view for Sentinel's clients",
  async () => {
    const password = "correct horse";
    const nodes = await startStatusNodes(1);
    const link = await nodes.servers[0]?.link();
    for (const { name, rules } of statusUsers("twine", 7)) {
      const secret = credentialsOf(name, password)?.password ?? "";
      const hash = createHash("sha256").update(secret).digest("hex");
      await link?.call("ACL", "SETUSER", name, "on", `#${hash}`, ...rules.split(/ (?![^(]*\))/));
    }
    await link?.call("ACL", "SETUSER", "default", "off");
    const port = await freePort();
    const monitor = {
      kind: "monitor" as const,
      name: "m1",
      host: "localhost",
      port: await freePort(),
      sentinelPort: port,
      at: { file: "", line: 1, column: 1 },
    };
    const config = { ...nodes.ports.config, nodes: [...nodes.ports.config.nodes, monitor] };
    const ports = { ...nodes.ports, config, password };
    const hashes = openSharedHashes({ ...ports, user: "monitor" });
    onTestFinished(() => hashes.close());
    const sentinel = await openSentinelPort({
      ...ports,
      name: "m1",
      config: () => config,
      log: silentLog,
      emit: createEmit(silentLog),
      addresses: ["127.0.0.1"],
      readOffsets: () => hashes.readOffsets(),
    });
    onTestFinished(() => sentinel.close());
    const opened = openAcceptors({ ...ports, user: "monitor" });
    onTestFinished(() => {
      opened.close();
    });
    const { acceptors } = opened;
    const random = systemRandom;
    const proposer = createProposer({ name: "m1", cluster: "twine", acceptors, random });
    await proposer.prepare();
    const view = {
      ...{ cluster: "twine", state: "OK", epoch: 1, revision: 1, alpha: "m1" },
      ...{ updatedAt: "2026-11-30T00:00:00.000Z", confDigest: "", partitions: [], nodes: [] },
    };
    await proposer.write({ body: JSON.stringify(view), epoch: 1, revision: 1 });
    const client = await RawClient.open(port);
    onTestFinished(() => {
      client.socket.destroy();
    });
    expect(await client.call("SENTINEL masters")).toMatch(/^-NOAUTH/);
    expect((await client.callArgs(["AUTH", "app", password])).trim()).toBe("+OK");
    await until("it has the confirmed view", async () => {
      return (await client.call("INFO sentinel")).includes("sentinel_tilt:0\r\n");
    });
  },
);
