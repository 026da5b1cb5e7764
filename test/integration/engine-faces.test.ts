// engine-faces.test.ts: the engine without a router: commands that are submitted, streams that are attached, a local socket.
import { Duplex } from "node:stream";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinRouting, fixedRouting } from "../../runtime/core/routing.ts";
import type { Routing } from "../../runtime/core/routing.ts";
import { openEngine, type Engine, type EngineOptions } from "../../runtime/engine/engine.ts";
import type { ReplySink } from "../../runtime/engine/pipelines/reply-sink.ts";
import { streamPair } from "../../runtime/engine/stream-pair.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { silentLog, type Log } from "../../runtime/ports/log.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { loadRules } from "../../runtime/router/rules/reload.ts";
import { expectOwnMemory } from "../support/pinned-memory.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RawClient, startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

/** Keeps replies as they came, in the order of their coming. */
class Replies implements ReplySink {
  readonly owner = this;
  isGone = false;
  readonly texts: string[] = [];
  readonly byTag: string[] = [];

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    const text = bytes.toString("latin1", start, end);
    this.texts.push(text);
    this.byTag[tag] = text;
  }
}

async function engineOver(
  cluster: RouterCluster,
  more: Partial<EngineOptions> = {},
): Promise<Engine> {
  const { settings } = cluster.config;
  const routing = builtinRouting({ hash: "crc32", partitions: settings.partitions });
  const rules = await loadRules(cluster.config, undefined);
  const engine = openEngine({
    ...{ rules, viewSource: cluster.view, routing: fixedRouting(routing) },
    ...{ credentials: undefined, clock: systemClock, log: silentLog },
    ...more,
  });
  onTestFinished(() => {
    engine.close();
  });
  return engine;
}

function submit(engine: Engine, sink: ReplySink, tag: number, command: string): boolean {
  return engine.submit(encodeCommand(command.split(" ")), sink, tag);
}

/** The other end of an attached stream. */
function attached(engine: Engine): { readonly end: Duplex; readonly client: RawClient } {
  const { engineEnd, programEnd } = streamPair();
  engine.attach(engineEnd);
  return { end: programEnd, client: RawClient.over(programEnd) };
}

describe.skipIf(isMissing("redis-server"))("the engine", () => {
  test("sends a submitted command to its partition, and its reply to its own sink", async () => {
    const cluster = await startRouterCluster({ partitions: 3 });
    const engine = await engineOver(cluster);
    const sink = new Replies();
    const count = 300;
    for (let tag = 0; tag < count; tag++) {
      expect(submit(engine, sink, tag, `SET k${tag} v${tag}`)).toBe(true);
    }
    for (let tag = 0; tag < count; tag++) submit(engine, sink, count + tag, `GET k${tag}`);
    submit(engine, sink, 2 * count, "DBSIZE");
    submit(engine, sink, 2 * count + 1, "MGET k0 k1 k2 k3");
    submit(engine, sink, 2 * count + 2, "RENAME k0 k1");
    submit(engine, sink, 2 * count + 3, "NOSUCH k0");
    await until("all are answered", () => sink.texts.length === 2 * count + 4);
    expect(sink.byTag.slice(0, count)).toEqual(new Array(count).fill("+OK\r\n"));
    expect(sink.byTag[count + 7]).toBe("$2\r\nv7\r\n");
    expect(sink.byTag[2 * count]).toBe(`:${count}\r\n`);
    expect(sink.byTag[2 * count + 1]).toBe(
      "*4\r\n$2\r\nv0\r\n$2\r\nv1\r\n$2\r\nv2\r\n$2\r\nv3\r\n",
    );
    expect(sink.byTag[2 * count + 2]).toMatch(/^-CROSSSLOT/);
    expect(sink.byTag[2 * count + 3]).toMatch(/^-ERR unknown command/);
  });

  test("refuses to be submitted what needs a session, before and after it knows the commands", async () => {
    const engine = await engineOver(await startRouterCluster({ partitions: 1 }));
    const sink = new Replies();
    const refused = [
      ...["MULTI", "EXEC", "DISCARD", "WATCH a", "UNWATCH", "WAIT 1 0", "SUBSCRIBE c"],
      ...["PSUBSCRIBE c*", "UNSUBSCRIBE", "BLPOP a 0", "XREAD BLOCK 0 STREAMS a 0"],
      ...["CLIENT ID", "AUTH x", "HELLO 3", "SELECT 0", "RESET", "QUIT", "PING", "bzpopmin a 1"],
    ];
    const answers = (): boolean[] => refused.map((command) => submit(engine, sink, 0, command));
    expect(answers()).toEqual(refused.map(() => false));
    expect(submit(engine, sink, 0, "XREAD STREAMS a 0")).toBe(true);
    await until("the commands are known", () => sink.texts.length === 1);
    expect(answers()).toEqual(refused.map(() => false));
    expect(sink.texts).toHaveLength(1);
  });

  test("keeps the order of calls on a key while a hash answers later, and out of order", async () => {
    const cluster = await startRouterCluster({ partitions: 2 });
    const builtin = builtinRouting({ hash: "crc32", partitions: 2 });
    // Later answers for earlier calls: without turns every APPEND would overtake the one before it.
    let calls = 0;
    const late: Routing = {
      ...builtin,
      partitionOfRange: undefined,
      partitionOf: (key) => {
        const partition = builtin.partitionOf(Buffer.from(key));
        const delayMs = Math.max(0, 60 - 3 * calls++);
        return new Promise((resolve) => {
          systemClock.after(delayMs, () => {
            resolve(partition);
          });
        });
      },
    };
    const engine = await engineOver(cluster, { routing: fixedRouting(late) });
    const sink = new Replies();
    for (let tag = 0; tag < 20; tag++) submit(engine, sink, tag, `APPEND a ${tag}.`);
    submit(engine, sink, 20, "GET a");
    submit(engine, sink, 21, "DBSIZE");
    await until("all are answered", () => sink.texts.length === 22);
    const text = Array.from({ length: 20 }, (_, tag) => `${tag}.`).join("");
    expect(sink.byTag[20]).toBe(`$${text.length}\r\n${text}\r\n`);
    expect(sink.byTag[21]).toBe(":1\r\n");
  });

  test("a partition's outage delays no submitted command of another, is reported once, and so is its end", async () => {
    const cluster = await startRouterCluster({ partitions: 2 });
    const events: string[] = [];
    const hooks: EngineOptions["hooks"] = {
      onBuffering: ({ partition, why }) => events.push(`held ${partition}: ${why}`),
      onServed: ({ partition }) => events.push(`served ${partition}`),
    };
    const engine = await engineOver(cluster, { hooks });
    const sink = new Replies();
    const routing = builtinRouting({ hash: "crc32", partitions: 2 });
    const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
    const [zero, one] = [0, 1].map((at) =>
      keys.filter((key) => routing.partitionOf(Buffer.from(key)) === at),
    );
    const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
    submit(engine, sink, 0, "DBSIZE");
    await until("both are open", () => sink.texts.length === 1);
    cluster.view.show(nodes, [null, cluster.servers[1]?.port ?? 0]);
    for (const key of zero ?? []) submit(engine, sink, 1, `SET ${key} 1`);
    for (const key of one ?? []) submit(engine, sink, 2, `SET ${key} 1`);
    await until("partition 1 answers", () => sink.texts.length === 1 + (one?.length ?? 0));
    expect(events).toEqual(["held 0: partition 0 has no master"]);
    cluster.view.show(
      nodes,
      cluster.servers.map(({ port }) => port),
    );
    await until("partition 0 answers", () => sink.texts.length === 1 + keys.length);
    expect(new Set(sink.texts.slice(1))).toEqual(new Set(["+OK\r\n"]));
    expect(events).toEqual(["held 0: partition 0 has no master", "served 0"]);
  });

  test("a stream that is attached has a session of its own, and what it is given stays true", async () => {
    const engine = await engineOver(await startRouterCluster({ partitions: 2 }));
    const { client } = attached(engine);
    expect(await client.call("MULTI")).toBe("+OK\r\n");
    expect(await client.call("SET a 1")).toBe("+QUEUED\r\n");
    expect(await client.call("INCR a")).toBe("+QUEUED\r\n");
    expect(await client.call("EXEC")).toBe("*2\r\n+OK\r\n:2\r\n");
    // Chunks are kept as they came, and looked at when all have come: the engine's memory is used again meanwhile.
    const { engineEnd, programEnd: theirs } = streamPair();
    engine.attach(engineEnd);
    const chunks: Buffer[] = [];
    theirs.on("data", (chunk: Buffer) => chunks.push(chunk));
    const texts: string[] = [];
    for (let index = 0; index < 400; index++) {
      const value = String(index).padStart(100, "x");
      texts.push(`$100\r\n${value}\r\n`);
      theirs.write(encodeCommand(["SET", `k${index}`, value]));
      theirs.write(encodeCommand(["GET", `k${index}`]));
    }
    const expected = texts.map((text) => `+OK\r\n${text}`).join("");
    await until(
      "all has come",
      () => chunks.reduce((sum, { length }) => sum + length, 0) === expected.length,
    );
    expect(Buffer.concat(chunks).toString()).toBe(expected);
  });

  test("a stream that calls back at once is given nothing that the engine uses again, nor more memory than its bytes", async () => {
    const engine = await engineOver(await startRouterCluster({ partitions: 2 }));
    const chunks: Buffer[] = [];
    let size = 0;
    const stream = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk);
        size += chunk.length;
        done();
      },
    });
    engine.attach(stream);
    const askAll = async (values: readonly Buffer[]): Promise<Buffer[]> => {
      let owed = size;
      for (const [number, value] of values.entries()) {
        stream.push(encodeCommand(["SET", `k${number}`, value]));
        stream.push(encodeCommand(["GET", `k${number}`]));
        owed += 5 + `$${value.length}`.length + value.length + 4;
      }
      await until("all has come", () => size === owed);
      return chunks.splice(0);
    };
    const valuesOf = (byte: number): Buffer[] =>
      Array.from({ length: 3000 }, (_, number) =>
        Buffer.alloc(1 + (number % 700), `${byte}-${number}.`),
      );
    const kept = await askAll(valuesOf(1));
    await askAll(valuesOf(2));
    const expected = valuesOf(1).map((value) => `+OK\r\n$${value.length}\r\n${String(value)}\r\n`);
    expect(Buffer.concat(kept).toString() === expected.join("")).toBe(true);
    expectOwnMemory(kept);
    stream.destroy();
  });

  test("the limits of a router's clients are not those of an attached stream: users, max-clients, idle-timeout", async () => {
    const settings = ["max-clients 1", "idle-timeout 300ms"];
    const cluster = await startRouterCluster({ partitions: 1, settings });
    const guarded = await engineOver(cluster, { rules: await loadRules(cluster.config, "secret") });
    const stranger = streamPair();
    guarded.attach(stranger.engineEnd, { isTrusted: false });
    expect(await RawClient.over(stranger.programEnd).call("GET a")).toMatch(/^-NOAUTH /);
    expect(await attached(guarded).client.call("GET a")).toBe("$-1\r\n");

    const engine = await engineOver(cluster);
    const many = Array.from({ length: 5 }, () => attached(engine));
    const ids = await Promise.all(many.map(({ client }) => client.call("CLIENT ID")));
    expect(new Set(ids).size).toBe(5);
    // A router's client that has been silent for no longer than these is the clock.
    const idle = await cluster.client();
    expect(await idle.call("PING")).toBe("+PONG\r\n");
    await until("the router's client is closed for idleness", () => idle.socket.destroyed);
    expect(await Promise.all(many.map(({ client }) => client.call("CLIENT ID")))).toEqual(ids);
  });

  test("an attached stream that reads nothing is never closed for output-bytes, and gets everything later", async () => {
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (text) => warnings.push(text) };
    const settings = ["output-bytes 1mb"];
    const cluster = await startRouterCluster({ partitions: 1, settings, log });
    const engine = await engineOver(cluster, { log });
    const value = "v".repeat(400_000);
    expect(await attached(engine).client.callArgs(["SET", "big", value])).toBe("+OK\r\n");
    const [count, reply] = [500, `$400000\r\n${value}\r\n`];
    const asked = Buffer.concat(Array.from({ length: count }, () => encodeCommand(["GET", "big"])));
    const { engineEnd, programEnd } = streamPair();
    engine.attach(engineEnd);
    programEnd.write(asked);
    // A router's client that does the same is the clock.
    const greedy = await cluster.client();
    greedy.socket.pause();
    greedy.send(asked);
    await until("the router closes the other one", () => warnings.length > 0);
    expect(programEnd.destroyed).toBe(false);
    let bytes = 0;
    programEnd.on("data", (chunk: Buffer) => (bytes += chunk.length));
    await until("all is read", () => bytes === count * reply.length);
    expect(warnings).toHaveLength(1);
  });

  test("each side's end ends the other: a blocked command leaves its node", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const engine = await engineOver(cluster);
    const { end, client } = attached(engine);
    client.send(encodeCommand(["BLPOP", "list", "0"]));
    const link = await cluster.servers[0]?.link();
    const blocked = async (): Promise<boolean> =>
      ((await link?.call("INFO", "clients")) as string | undefined)?.includes(
        "blocked_clients:1",
      ) === true;
    await until("it waits", blocked);
    end.destroy();
    await until("it waits no more", async () => !(await blocked()));
    const second = attached(engine);
    expect(await second.client.call("PING")).toBe("+PONG\r\n");
    engine.close();
    expect(await second.client.reply()).toBe("closed");
  });

  test("listens locally for programs of this user, whose sockets it removes", async () => {
    const engine = await engineOver(await startRouterCluster({ partitions: 2 }));
    const { path } = await engine.listenLocally();
    const socket = connect(path);
    const client = RawClient.over(socket);
    expect(await client.call("SET a 1")).toBe("+OK\r\n");
    socket.end();
    await engine.drain();
    await expect(
      new Promise((resolve, reject) => {
        connect(path, () => {
          resolve("connected");
        }).once("error", reject);
      }),
    ).rejects.toMatchObject({ code: "ENOENT" });
  });
});
