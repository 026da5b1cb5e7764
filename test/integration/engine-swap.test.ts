// engine-swap.test.ts: the routing changes under load, as a resharding changes it: between two requests, with the old masters
// fenced. Each key gets a numbered APPEND after the other; what its old and its new master hold, put together, must be every
// number once and in order. So a request that was lost, executed twice, overtaken, or sent where its key no longer lay shows.
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinRouting, type Routing, type RoutingSource } from "../../runtime/core/routing.ts";
import { openEngine, type Engine } from "../../runtime/engine/engine.ts";
import type { ReplySink } from "../../runtime/engine/pipelines/reply-sink.ts";
import { streamPair } from "../../runtime/engine/stream-pair.ts";
import { systemClock, type Clock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { loadRules } from "../../runtime/router/rules/reload.ts";
import { isMissing } from "../support/programs.ts";
import { until, type TestRedis } from "../support/redis-server.ts";
import {
  HandKeptView,
  pipelined,
  RawClient,
  startRouterCluster,
  type RouterCluster,
} from "../support/router-cluster.ts";

const OLD: Routing = builtinRouting({ hash: "crc32", partitions: 2 });
const NEW: Routing = builtinRouting({ hash: "crc16", partitions: 3 });
const FENCE = ["REPLICAOF", "127.0.0.1", 1] as const;
/** Gives a loaded machine time: what is waited for 0.2 s is waited for 4 s. */
const PATIENT: Clock = {
  ...systemClock,
  after: (delayMs, task) => systemClock.after(20 * delayMs, task),
};
const ROUNDS = 30;
const KEYS = Array.from({ length: 24 }, (_, index) => `key${index}`);

/** A hash that answers a little later, as an executable does. */
function late(routing: Routing): Routing {
  return {
    ...routing,
    partitionOfRange: undefined,
    partitionOf: (key) => {
      const partition = routing.partitionOf(Buffer.from(key));
      return new Promise((resolve) => {
        setImmediate(() => {
          resolve(partition);
        });
      });
    },
  };
}

/** Five servers: 0 and 1 are the masters of the old routing, 2 to 4 those of the new one. */
class Resharded {
  readonly view = new HandKeptView();
  readonly engine: Engine;
  readonly #cluster: RouterCluster;
  #routing: Routing;
  readonly #next: Routing;

  private constructor(
    cluster: RouterCluster,
    open: (view: HandKeptView, routing: RoutingSource) => Engine,
    isLate: boolean,
  ) {
    this.#cluster = cluster;
    this.#routing = isLate ? late(OLD) : OLD;
    this.#next = isLate ? late(NEW) : NEW;
    this.#show([0, 1]);
    this.engine = open(this.view, { of: () => this.#routing });
  }

  static async start(isLate = false): Promise<Resharded> {
    const cluster = await startRouterCluster({ partitions: 5 });
    const rules = await loadRules(cluster.config, undefined);
    const ports = { clock: PATIENT, log: silentLog, credentials: undefined };
    const open = (viewSource: HandKeptView, routing: RoutingSource): Engine =>
      openEngine({ rules, viewSource, routing, ...ports });
    return new Resharded(cluster, open, isLate);
  }

  server(number: number): TestRedis {
    const server = this.#cluster.servers[number];
    if (server === undefined) throw new Error(`there is no server ${number}`);
    return server;
  }

  /** The old masters are fenced before anything is shown, as a cutover does it. */
  async swap(): Promise<void> {
    for (const old of [0, 1]) await (await this.server(old).link()).call(...FENCE);
    this.#showNew();
  }

  /** Requests lie at the paused old masters, who refuse them only after the new routing was shown. */
  async swapBeforeRefusals(): Promise<void> {
    const links = [await this.server(0).link(), await this.server(1).link()];
    for (const link of links) await link.call("CLIENT", "PAUSE", 10_000, "WRITE");
    await until("requests wait there", () =>
      this.engine.queues().every(({ outQueue }) => outQueue > 0),
    );
    this.#showNew();
    // Long enough for an engine that doesn't wait for the refusals to have sent something newer.
    await new Promise<void>((resolve) => systemClock.after(150, resolve));
    // A replica executes nothing of what waited for the end of the pause.
    await Promise.all(
      links.flatMap((link) => [link.call(...FENCE), link.call("CLIENT", "UNPAUSE")]),
    );
  }

  #showNew(): void {
    this.#routing = this.#next;
    this.#show([2, 3, 4]);
  }

  #show(masters: readonly number[]): void {
    const ports = masters.map((number) => this.server(number).port);
    this.view.show(
      ports.map((port, partition) => ({ port, partition })),
      ports,
    );
  }

  /** What both masters of a key hold, the old one first. A server's database is that of its partition then. */
  async valueOf(key: string): Promise<string> {
    const from = async (server: number, db: number): Promise<string> => {
      const link = await this.server(server).link();
      await link.call("REPLICAOF", "NO", "ONE");
      await link.call("SELECT", db);
      return ((await link.call("GET", key)) as string | null) ?? "";
    };
    const [before, after] = [OLD, NEW].map((routing) => routing.partitionOf(Buffer.from(key)));
    const [old, now] = [before as number, after as number];
    return (await from(old, old)) + (await from(now + 2, now));
  }

  async keyCount(): Promise<number> {
    let count = 0;
    for (let number = 0; number < 5; number++) {
      const link = await this.server(number).link();
      await link.call("SELECT", number < 2 ? number : number - 2);
      count += (await link.call("DBSIZE")) as number;
    }
    return count;
  }
}

class Counting implements ReplySink {
  readonly owner = this;
  isGone = false;
  readonly replies: string[] = [];

  take(_tag: number, bytes: Buffer, start: number, end: number): void {
    this.replies.push(bytes.toString("latin1", start, end));
  }
}

function round(name: string, number: number): string[] {
  const appends = KEYS.map((key) => `APPEND ${name}:${key} ${number},`);
  return [...appends, `MGET ${name}:${KEYS.slice(0, 6).join(` ${name}:`)}`, "DBSIZE"];
}

/** One client: sends a round of commands, and knows which of all replies have come. */
interface Sender {
  send(commands: readonly string[]): void;
  readonly replies: readonly string[];
}

function submitting(engine: Engine): Sender {
  const sink = new Counting();
  return {
    replies: sink.replies,
    send: (commands) => {
      for (const command of commands) engine.submit(encodeCommand(command.split(" ")), sink, 0);
    },
  };
}

function streaming(client: RawClient): Sender {
  const replies: string[] = [];
  return {
    replies,
    send: (commands) => {
      client.send(pipelined(commands));
      for (let count = 0; count < commands.length; count++) {
        void client.reply().then((reply) => replies.push(reply));
      }
    },
  };
}

/** Rounds in pipelines, from before the swap until long after it; resolves with their number when all is answered. */
async function load(name: string, sender: Sender, swap: () => Swap): Promise<number> {
  let sent = 0;
  let left = ROUNDS;
  let rounds = 0;
  while (left > 0) {
    if (rounds > ROUNDS && swap().isDone) left--;
    const commands = round(name, rounds++);
    sent += commands.length;
    sender.send(commands);
    // Not all at once: what is on the wire, what is gathered and what is buffered differ from round to round.
    const ahead = 4 * commands.length;
    if (rounds % 3 === 0) {
      await until("it may go on", () => sent - sender.replies.length < ahead || isPaused(swap()));
    }
  }
  await until("all is answered", () => sender.replies.length === sent);
  return rounds;
}

/** While the old masters are paused, more is sent all the same, once. */
function isPaused(swap: Swap): boolean {
  return !swap.isDone && swap.rounds++ < ROUNDS;
}

interface Swap {
  isDone: boolean;
  rounds: number;
}

describe.skipIf(isMissing("redis-server"))("a routing that changes under load", () => {
  test.each([
    ["a built-in hash", "swap", false],
    ["a built-in hash, refusals that come late", "swapBeforeRefusals", false],
    ["a hash that answers later", "swap", true],
    ["a hash that answers later, refusals too", "swapBeforeRefusals", true],
  ] as const)("loses, repeats and misplaces nothing: %s", async (_, how, isLate) => {
    const cluster = await Resharded.start(isLate);
    const { engine } = cluster;
    onTestFinished(() => {
      engine.close();
    });
    const state: Swap = { isDone: false, rounds: 0 };
    let swapping: Promise<void> | undefined;
    const swap = (): Swap => {
      swapping ??= cluster[how]().then(() => {
        state.isDone = true;
      });
      return state;
    };
    const { engineEnd, programEnd } = streamPair();
    engine.attach(engineEnd);
    const { path } = await engine.listenLocally();
    const senders = [
      ...[submitting(engine), submitting(engine)],
      ...[streaming(RawClient.over(programEnd)), streaming(RawClient.over(connect(path)))],
    ];
    const rounds = await Promise.all(senders.map((sender, at) => load(`load${at}`, sender, swap)));
    for (const [at, { replies }] of senders.entries()) {
      expect(replies.filter((reply) => reply.startsWith("-"))).toEqual([]);
      const numbers = Array.from({ length: rounds[at] ?? 0 }, (__, number) => `${number},`);
      for (const key of KEYS) {
        expect(await cluster.valueOf(`load${at}:${key}`), `load${at}:${key}`).toBe(
          numbers.join(""),
        );
      }
    }
    // Each key lies once where it lay and once where it lies, and nowhere else.
    expect(await cluster.keyCount()).toBeLessThanOrEqual(2 * senders.length * KEYS.length);
  });

  test("follows with what waits at a node, is subscribed, or is queued in a transaction", async () => {
    const cluster = await Resharded.start();
    const { engine } = cluster;
    onTestFinished(() => {
      engine.close();
    });
    const open = (): RawClient => {
      const { engineEnd, programEnd } = streamPair();
      engine.attach(engineEnd);
      return RawClient.over(programEnd);
    };
    const [blocked, subscribed, queueing, watching, writer] = [
      open(),
      open(),
      open(),
      open(),
      open(),
    ];
    blocked.send(pipelined(["BLPOP list 0"]));
    expect(await subscribed.call("SUBSCRIBE news")).toContain("subscribe");
    expect(await queueing.call("MULTI")).toBe("+OK\r\n");
    expect(await queueing.call("INCR counter")).toBe("+QUEUED\r\n");
    expect(await watching.call("WATCH counter")).toBe("+OK\r\n");
    expect(await writer.call("SET a 1")).toBe("+OK\r\n");
    await cluster.swap();
    expect(await queueing.call("INCR counter")).toBe("+QUEUED\r\n");
    expect(await queueing.call("EXEC")).toBe("*2\r\n:1\r\n:2\r\n");
    expect(await writer.call("GET counter")).toBe("$1\r\n2\r\n");
    expect(await watching.call("MULTI")).toBe("+OK\r\n");
    expect(await watching.call("INCR counter")).toBe("+QUEUED\r\n");
    expect(await watching.call("EXEC")).toBe("*-1\r\n");
    // What was written by the old routing is held by nobody that WAIT could ask.
    expect(await writer.call("WAIT 0 100")).toBe(":0\r\n");
    expect(await writer.call("RPUSH list x")).toMatch(/^:/);
    expect(await blocked.reply()).toBe("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    await until("the channel is subscribed where it is published", async () => {
      return (await writer.call("PUBLISH news hello")) === ":1\r\n";
    });
    expect(await subscribed.reply()).toContain("hello");
  });
});
