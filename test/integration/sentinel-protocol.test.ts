// sentinel-protocol.test.ts: a monitor's Sentinel port on the wire, beside a real redis-sentinel.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startSentinel } from "../../runtime/monitor/sentinel/server.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { startHandLedSentinels } from "../support/hand-led-sentinels.ts";
import { ManualTime } from "../support/manual-time.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";

async function clientOf(port: number): Promise<RawClient> {
  const client = await RawClient.open(port);
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}

async function call(port: number, ...command: string[]): Promise<string> {
  return (await clientOf(port)).callArgs(command);
}

/** Real sentinels of a master `twine-p0` with a replica; ended with the test. */
async function startRealSentinels(
  masterPort: number,
  count: number,
  ended: (task: () => void) => void,
): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), "twine-sentinel-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const port = await freePort();
    const conf = join(folder, `${port}.conf`);
    await writeFile(
      conf,
      `port ${port}\nbind 127.0.0.1\ndir ${folder}\n` +
        `sentinel monitor twine-p0 127.0.0.1 ${masterPort} 2\n` +
        "sentinel down-after-milliseconds twine-p0 300\n",
    );
    const child = spawn("redis-server", [conf, "--sentinel"], { stdio: "ignore" });
    ended(() => child.kill("SIGKILL"));
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    ports.push(port);
  }
  return ports;
}

/** The keys of every map in a RESP2 reply of SENTINEL, by the flags of the map. */
async function keysByFlags(
  port: number,
  ...command: string[]
): Promise<Map<string, readonly string[]>> {
  const link = await openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 2000 });
  const reply = (await link.call("SENTINEL", ...command)) as string[][];
  link.close();
  return new Map(
    reply.map((flat) => {
      const keys = flat.filter((_, index) => index % 2 === 0);
      return [flat[keys.indexOf("flags") * 2 + 1] ?? "", keys];
    }),
  );
}

function withoutOurs(keys: readonly string[] | undefined): readonly string[] | undefined {
  return keys?.filter((key) => !key.startsWith("twine-"));
}

describe.skipIf(isMissing("redis-server"))("beside a real Sentinel", () => {
  test("every state map has its keys in its order, of instances up and down", async () => {
    const real = await startRedis();
    const replica = await startRedis([`replicaof 127.0.0.1 ${real.port}`]);
    const kills: (() => void)[] = [];
    const [first = 0] = await startRealSentinels(real.port, 2, (task) => kills.push(task));
    const flagsOf = async (sub: string): Promise<string[]> => [
      ...(await keysByFlags(first, sub, ...(sub === "masters" ? [] : ["twine-p0"]))).keys(),
    ];
    await until("the sentinels know each other and the replica", async () => {
      // A sentinel that has only just started refuses connections yet.
      const replicas = await flagsOf("replicas").catch((): string[] => []);
      return replicas.includes("slave") && (await flagsOf("sentinels")).includes("sentinel");
    });
    const ours = await startHandLedSentinels();
    const [port = 0] = ours.ports;
    for (const sub of ["masters", "replicas", "sentinels"]) {
      const args = sub === "masters" ? [sub] : [sub, "twine-p0"];
      const [flag = ""] = await flagsOf(sub);
      const theirs = (await keysByFlags(first, ...args)).get(flag);
      const mine = (await keysByFlags(port, ...args)).get(flag);
      expect([sub, withoutOurs(mine)]).toEqual([sub, theirs]);
    }

    // The other sentinel and the replica die, then the master, which nobody can replace.
    kills[1]?.();
    await replica.kill();
    await real.kill();
    const isDown = (flags: string): boolean => flags.includes("s_down");
    const subs = ["masters", "replicas", "sentinels"];
    await until("all of them are down", async () =>
      (await Promise.all(subs.map(flagsOf))).every((flags) => flags.some(isDown)),
    );
    ours.show(null, ["a1", "a2", "m2"]);
    for (const sub of subs) {
      const args = sub === "masters" ? [sub] : [sub, "twine-p0"];
      const down = async (at: number): Promise<readonly string[]> =>
        [...(await keysByFlags(at, ...args))].find(([flags]) => isDown(flags))?.[1] ?? [];
      // A lone sentinel finds no second one to agree: it has no o-down-time.
      const mine = withoutOurs(await down(port))?.filter((key) => key !== "o-down-time");
      expect([sub, mine]).toEqual([sub, await down(first)]);
    }
  });

  test("answers have its types in RESP2 and RESP3", async () => {
    const real = await startRedis();
    const [theirs = 0] = await startRealSentinels(real.port, 1, () => undefined);
    await until("redis-sentinel answers", () =>
      call(theirs, "PING").then(
        (reply) => reply === "+PONG\r\n",
        () => false,
      ),
    );
    const ours = await startHandLedSentinels();
    // Types and the length of what is counted; text and numbers are each cluster's own.
    const shape = (reply: string): string =>
      reply
        .replace(/\r\n/g, " ")
        .replace(/(?<=[*%~>])\d+/g, "n")
        .replace(/\$\d+ [^*%$:_+-]*/g, "$ ")
        .replace(/:\d+/g, ":");
    const firstLetters = (reply: string): string => shape(reply).slice(0, 6);
    for (const protocol of ["2", "3"]) {
      const [a, b] = [await clientOf(theirs), await clientOf(ours.ports[0] ?? 0)];
      const hello = await Promise.all([a, b].map((client) => client.call(`HELLO ${protocol}`)));
      expect(shape(hello[1] ?? "")).toBe(shape(hello[0] ?? ""));
      for (const command of [
        "SENTINEL masters",
        "SENTINEL master twine-p0",
        "SENTINEL master nope",
        "SENTINEL sentinels nope",
        "SENTINEL get-master-addr-by-name twine-p0",
        "SENTINEL get-master-addr-by-name nope",
        "SENTINEL is-master-down-by-addr 127.0.0.1 1 0 *",
        "SENTINEL is-master-down-by-addr 127.0.0.1 x 0 *",
        "SENTINEL myid",
        "SENTINEL master",
        "SENTINEL nope",
        "SENTINEL help",
        "SENTINEL pending-scripts",
        "ROLE",
        "INFO sentinel",
        "CLIENT GETNAME",
        "COMMAND COUNT",
        "COMMAND DOCS nope",
        "GET a",
        "SUBSCRIBE x",
        "UNSUBSCRIBE x",
        "PSUBSCRIBE y*",
        "PUNSUBSCRIBE",
        "UNSUBSCRIBE",
        "PING",
      ]) {
        const [their = "", mine = ""] = await Promise.all([a, b].map((one) => one.call(command)));
        expect([command, firstLetters(mine)]).toEqual([command, firstLetters(their)]);
        if (their.startsWith("-ERR")) expect(mine).toContain(their.trimEnd().slice(0, 60));
      }
    }
  });
});

describe.skipIf(isMissing("redis-server"))("the Sentinel port", () => {
  test("takes inline commands, pieces and pipelines, and answers in order", async () => {
    const { ports, portOf } = await startHandLedSentinels();
    const client = await clientOf(ports[1] ?? 0);
    client.send("sentinel get-master-addr-by-name twine-p0\r\n");
    const port = String(portOf("a1"));
    expect(await client.reply()).toBe(`*2\r\n$9\r\n127.0.0.1\r\n$5\r\n${port}\r\n`);
    for (const byte of "*2\r\n$8\r\nSENTINEL\r\n$4\r\nmyid\r\n") client.send(byte);
    expect(await client.reply()).toMatch(/^\$40\r\n[0-9a-f]{40}\r\n$/);
    // The replicas wait for offsets; what stands behind them must not overtake.
    client.send("SENTINEL replicas twine-p0\r\nPING\r\nSENTINEL slaves twine-p0\r\nROLE\r\n");
    const replies = [];
    for (let count = 0; count < 4; count++) replies.push((await client.reply()).slice(0, 4));
    expect(replies).toEqual(["*2\r\n", "+PON", "*2\r\n", "*2\r\n"]);
  });

  test("refuses what it does not know without closing, and closes at what is no command", async () => {
    const { ports } = await startHandLedSentinels();
    const client = await clientOf(ports[0] ?? 0);
    expect(await client.call("SET a 1")).toMatch(/^-ERR unknown command 'SET'/);
    expect(await client.call("CLIENT NOSUCH")).toMatch(/^-ERR twine: 'client nosuch'/);
    expect(await client.call("CLIENT SETINFO lib-name test")).toBe("+OK\r\n");
    expect(await client.call("CLIENT SETNAME me")).toBe("+OK\r\n");
    expect(await client.call("CLIENT LIST")).toMatch(/ name=me .* db=0 .* resp=2 lib-name=test /);
    expect(await client.call("PING")).toBe("+PONG\r\n");
    client.send("*1\r\n$99999999\r\n");
    expect(await client.reply()).toBe("-ERR Protocol error: invalid bulk length\r\n");
    expect(await client.reply()).toBe("closed");
    const quitter = await clientOf(ports[0] ?? 0);
    expect(await quitter.call("QUIT")).toBe("+OK\r\n");
    expect(await quitter.reply()).toBe("closed");
  });

  test("with a password says NOAUTH to all but the handshake, and takes app's password", async () => {
    const { ports } = await startHandLedSentinels({ password: "secret" });
    const client = await clientOf(ports[0] ?? 0);
    expect(await client.call("SENTINEL masters")).toBe("-NOAUTH Authentication required.\r\n");
    expect(await client.call("SUBSCRIBE +switch-master")).toMatch(/^-NOAUTH/);
    expect(await client.call("HELLO 3")).toMatch(/^-NOAUTH HELLO must be called/);
    expect(await client.call("AUTH wrong")).toMatch(/^-WRONGPASS/);
    expect(await client.call("AUTH monitor secret")).toMatch(/^-WRONGPASS/);
    expect(await client.call("HELLO 3 AUTH app secret SETNAME x")).toMatch(/^%6\r\n/);
    expect(await client.call("SENTINEL myid")).toMatch(/^\$40/);
    expect(await client.call("RESET")).toBe("+RESET\r\n");
    expect(await client.call("SENTINEL myid")).toMatch(/^-NOAUTH/);
    client.send("*11\r\n");
    expect(await client.reply()).toMatch(/unauthenticated multibulk length/);
  });

  test("tells subscribers of a switch, in RESP2 and RESP3, until they have had enough", async () => {
    const cluster = await startHandLedSentinels();
    const old = await clientOf(cluster.ports[1] ?? 0);
    const modern = await clientOf(cluster.ports[2] ?? 0);
    await modern.call("HELLO 3");
    await old.call("SUBSCRIBE +switch-master");
    await modern.call("PSUBSCRIBE [-+]sdown");
    expect(await old.call("SENTINEL masters")).toMatch(/^-ERR Can't execute 'sentinel\|masters'/);
    expect(await old.call("PING")).toBe("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    cluster.show(null, ["a1"]);
    cluster.show("a2", ["a1"]);
    const switched = `twine-p0 127.0.0.1 ${cluster.portOf("a1")} 127.0.0.1 ${cluster.portOf("a2")}`;
    expect(await old.reply()).toBe(
      `*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$${switched.length}\r\n${switched}\r\n`,
    );
    expect(await modern.reply()).toMatch(/^>4\r\n\$8\r\npmessage\r\n.*\+sdown.*master twine-p0/s);
    expect(await modern.reply()).toMatch(/\+sdown\r\n.*slave 127\.0\.0\.1:\d+ .* @ twine-p0/s);
    // In RESP3 a subscriber may ask anything.
    expect(await modern.call("SENTINEL ckquorum twine-p0")).toMatch(/^\+OK 3 usable/);
    expect(await old.call("RESET")).toBe("+RESET\r\n");
    cluster.show("a3", ["a1"]);
    expect(await old.call("ROLE")).toMatch(/^\*2\r\n\$8\r\nsentinel/);
  });

  test("a subscriber that does not read is disconnected before it costs much memory", async () => {
    const cluster = await startHandLedSentinels();
    const lazy = await clientOf(cluster.ports[0] ?? 0);
    await lazy.call("CLIENT SETNAME lazy");
    // Every message fits all of these and is sent as often.
    const stars = Array.from({ length: 200 }, (_, index) => "*".repeat(index + 1));
    lazy.send(`PSUBSCRIBE ${stars.join(" ")}\r\n`);
    await lazy.reply();
    lazy.socket.pause();
    const other = await clientOf(cluster.ports[0] ?? 0);
    await until("it is gone", async () => {
      for (let round = 0; round < 20; round++) {
        cluster.show(null, ["a1"]);
        cluster.show("a1");
      }
      return !(await other.call("CLIENT LIST")).includes("name=lazy");
    });
  });

  test("a command that is too long, or whose rest does not come, ends its connection", async () => {
    const time = new ManualTime();
    const { ports } = await startHandLedSentinels({ clock: time.clockOf("m1") });
    const [port = 0] = ports;
    const [slow, quick, long] = [await clientOf(port), await clientOf(port), await clientOf(port)];
    const words = Array.from({ length: 20 }, () => "x".repeat(16_000));
    expect(await long.callArgs(["SUBSCRIBE", ...words])).toMatch(/^-ERR Protocol error: too big/);
    slow.send("*1\r\n$4\r\nPI");
    // Between two commands a client may be silent for as long as it likes.
    expect(await quick.call("PING")).toBe("+PONG\r\n");
    // The half command has arrived when a later client of the same port has its answer.
    expect(await call(port, "PING")).toBe("+PONG\r\n");
    for (let ms = 0; ms < 10_001; ms++) await time.step();
    expect(await slow.reply()).toBe("closed");
    expect(await quick.call("PING")).toBe("+PONG\r\n");
  });

  test("names no master when nobody confirms the view for down-after, and says tilt", async () => {
    const cluster = await startHandLedSentinels({ settings: ["lease 100ms", "down-after 200ms"] });
    const client = await clientOf(cluster.ports[0] ?? 0);
    const listener = await clientOf(cluster.ports[0] ?? 0);
    await listener.call("PSUBSCRIBE *tilt");
    cluster.view.confirm(false);
    expect(await listener.reply()).toContain("#tilt mode entered");
    expect(await client.call("SENTINEL get-master-addr-by-name twine-p0")).toMatch(
      /^-ERR twine: no majority of the status nodes confirms/,
    );
    expect(await client.call("SENTINEL replicas twine-p0")).toMatch(/^\*2/);
    cluster.view.confirm(true);
    expect(await listener.reply()).toContain("#tilt mode exited");
    expect(await client.call("SENTINEL get-master-addr-by-name twine-p0")).toMatch(/^\*2/);
  });

  test("shows the recorded offsets, and goes on without them when the status nodes are silent", async () => {
    const entry = JSON.stringify({ replicationId: "h", offset: 4711, keys: 1 });
    let isSilent = false;
    const cluster = await startHandLedSentinels({
      readOffsets: () =>
        isSilent ? Promise.reject(new Error("silent")) : Promise.resolve(new Map([["a2", entry]])),
    });
    const reply = await call(cluster.ports[0] ?? 0, "SENTINEL", "replicas", "twine-p0");
    expect(reply).toContain("slave-repl-offset\r\n$4\r\n4711\r\n");
    isSilent = true;
    expect(await call(cluster.ports[1] ?? 0, "SENTINEL", "replicas", "twine-p0")).toContain(
      "slave-repl-offset\r\n$1\r\n0\r\n",
    );
  });

  test("a port that is taken is refused by name, and nothing stays open", async () => {
    const cluster = await startHandLedSentinels();
    const port = cluster.ports[0] ?? 0;
    const starting = startSentinel({
      name: "m1",
      config: () => cluster.config,
      viewSource: cluster.view,
      password: undefined,
      clock: systemClock,
      log: silentLog,
      addresses: ["127.0.0.2", "127.0.0.1"],
      port,
      readOffsets: () => Promise.resolve(new Map()),
    });
    await expect(starting).rejects.toMatchObject({ code: "PORT_TAKEN" });
    await expect(RawClient.open(port)).resolves.toBeDefined();
  });
});
