import { expect, test } from "vitest";
import { watchNode, type NodeWatch } from "../../../runtime/monitor/observe/node-watch.ts";
import { createPeerBook } from "../../../runtime/monitor/observe/peer-reports.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import { LinkError, type RedisLink } from "../../../runtime/ports/redis-link.ts";

const INFO = "run_id:a\nrole:master\nmaster_replid:h\n";

/** A clock that moves when the test says so. */
class HandClock implements Clock {
  #nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallTime(): string {
    return "";
  }

  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }

  delay(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Every task at its time, and what follows from it. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const [due] = this.#tasks.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      this.#tasks = this.#tasks.filter((other) => other !== due);
      due.task();
      await settle();
    }
    this.#nowMs = endMs;
  }

  /** The process stands still: tasks come late. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Lets everything run that waits for no time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

interface Node {
  answer: "info" | "nothing" | "refused";
  /** Further lines of its INFO. */
  more?: string;
  /** How many connections it was asked for. */
  links?: number;
}

/** A connection to `node`; one that was made before the node fell silent brings no answer any more. */
function linkTo(node: Node): RedisLink {
  const isDeaf = (): boolean => node.answer === "nothing";
  let breakOff: (error: Error) => void = () => undefined;
  const broken = new Promise<never>((_, reject) => {
    breakOff = reject;
  });
  broken.catch(() => undefined);
  let wasDeaf = isDeaf();
  return {
    call: () => {
      wasDeaf ||= isDeaf();
      return wasDeaf ? broken : Promise.resolve(`${INFO}${node.more ?? ""}`);
    },
    subscribe: () => Promise.resolve(),
    onClose: () => undefined,
    close: () => {
      breakOff(new Error("closed"));
    },
    isOpen: true,
  };
}

function watch(clock: Clock, node: Node, news: () => void = () => undefined): NodeWatch {
  const openLink = (): Promise<RedisLink> => {
    node.links = (node.links ?? 0) + 1;
    return node.answer === "refused"
      ? Promise.reject(new LinkError("refused", "refused"))
      : Promise.resolve(linkTo(node));
  };
  return watchNode({
    address: { host: "127.0.0.1", port: 1 },
    credentials: undefined,
    clientName: "test",
    clock,
    openLink,
    downAfterMs: () => 1000,
    restMs: () => 200,
    wantsInfo: () => true,
    onNews: news,
  });
}

test("a node is silent down-after after its last word, and that is told at once", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "info" };
  const reported: string[] = [];
  const watched: NodeWatch = watch(clock, node, () => reported.push(watched.observation().reach));
  await clock.pass(390);
  expect(watched.observation().reach).toBe("up");
  node.answer = "nothing";
  reported.length = 0;
  // Its last word was at 200 ms; it is asked again at 400 ms, and the answer is overdue a quarter of down-after later.
  await clock.pass(255);
  expect(watched.observation().silentInMs).toBeUndefined();
  await clock.pass(10);
  expect(watched.observation().silentInMs).toBeLessThan(550);
  await clock.pass(544);
  expect(watched.observation().reach).toBe("up");
  await clock.pass(2);
  expect(watched.observation().reach).toBe("silent");
  expect(reported).toEqual(["up", "silent"]);
  watched.close();
});

test("a node that was receiving a large value is waited for by its size", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "info", more: `client_recent_max_input_buffer:${64 * 2 ** 20}\n` };
  const watched = watch(clock, node);
  await clock.pass(390);
  node.answer = "nothing";
  // Its last word was at 200 ms: 1 s for down-after and 30 ms for each of 64 MB.
  await clock.pass(200 + 1000 + 64 * 30 - 390 - 1);
  expect(watched.observation().reach).not.toBe("silent");
  await clock.pass(2);
  expect(watched.observation().reach).toBe("silent");
  watched.close();
});

test("a silent node is asked anew on a fresh connection: the old one may lead to a host that has forgotten it", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "info" };
  const watched = watch(clock, node);
  await clock.pass(390);
  node.answer = "nothing";
  await clock.pass(400);
  node.answer = "info";
  // The connection that was left without an answer stays without one.
  await clock.pass(400);
  expect(node.links).toBe(1);
  await clock.pass(50);
  expect([node.links, watched.observation().reach]).toEqual([2, "up"]);
  watched.close();
});

test("a silent node that gets a new chance has down-after to take it, is asked at once on new connections, and gets no second", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "nothing" };
  const watched = watch(clock, node);
  await clock.pass(2500);
  expect(watched.observation().reach).toBe("silent");
  const { links } = node;
  watched.listenAnew(0);
  expect(watched.observation().reach).toBe("unknown");
  expect(watched.isListeningAnew()).toBe(true);
  await clock.pass(1);
  expect(node.links).toBe((links ?? 0) + 1);
  await clock.pass(1498);
  expect(watched.observation().reach).toBe("unknown");
  await clock.pass(2);
  expect(watched.observation().reach).toBe("silent");
  watched.listenAnew(0);
  expect(watched.observation().reach).toBe("silent");
  watched.close();
});

test("who fell silent before that gets no new chance", async () => {
  const clock = new HandClock();
  const watched = watch(clock, { answer: "nothing" });
  await clock.pass(1500);
  watched.listenAnew(1400);
  expect(watched.observation().reach).toBe("silent");
  watched.listenAnew(600);
  expect(watched.observation().reach).toBe("unknown");
  watched.close();
});

test("a new chance is taken by connections that give up soon: a first packet that was lost is sent again late", async () => {
  const clock = new HandClock();
  const timeoutsMs: number[] = [];
  let isReached = false;
  const watched = watchNode({
    address: { host: "127.0.0.1", port: 1 },
    credentials: undefined,
    clientName: "test",
    clock,
    openLink: (_address, { connectTimeoutMs }) => {
      timeoutsMs.push(connectTimeoutMs);
      if (isReached) return Promise.resolve(linkTo({ answer: "info" }));
      return clock
        .delay(connectTimeoutMs)
        .then(() => Promise.reject(new LinkError("timeout", "no-answer")));
    },
    downAfterMs: () => 1000,
    restMs: () => 200,
    wantsInfo: () => true,
    onNews: () => undefined,
  });
  await clock.pass(2500);
  expect(new Set(timeoutsMs)).toEqual(new Set([1000]));
  watched.listenAnew(0);
  await clock.pass(300);
  isReached = true;
  await clock.pass(500);
  expect(watched.observation().reach).toBe("up");
  expect(timeoutsMs.at(-1)).toBe(250);
  watched.close();
});

test("a silent node that takes its new chance is up, and has another one when it falls silent again", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "nothing" };
  const watched = watch(clock, node);
  for (let time = 0; time < 2; time++) {
    node.answer = "nothing";
    await clock.pass(2500);
    expect(watched.observation().reach).toBe("silent");
    watched.listenAnew(0);
    node.answer = "info";
    await clock.pass(100);
    expect(watched.observation().reach).toBe("up");
    expect(watched.isListeningAnew()).toBe(false);
    watched.listenAnew(0);
    expect(watched.observation().reach).toBe("up");
  }
  watched.close();
});

test("a monitor that slept itself does not blame the node for it", async () => {
  const clock = new HandClock();
  const node: Node = { answer: "nothing" };
  const watched = watch(clock, node);
  await clock.pass(500);
  clock.stall(5000);
  await clock.pass(499);
  expect(watched.observation().reach).toBe("unknown");
  await clock.pass(2);
  expect(watched.observation().reach).toBe("silent");
  watched.close();
});

test("a refusal is known at once and is no silence", async () => {
  const clock = new HandClock();
  const watched = watch(clock, { answer: "refused" });
  await clock.pass(1);
  expect(watched.observation().reach).toBe("refused");
  await clock.pass(5000);
  expect(watched.observation().reach).toBe("refused");
  watched.close();
});

test("the peers' book says when somebody begins to suspect what this monitor suspects", () => {
  const book = createPeerBook("m1");
  const report = (sequence: string, suspects: string[]) =>
    new Map([["m2", JSON.stringify({ sequence, confDigest: "d", suspects })]]);
  const mine = new Set(["a1"]);
  expect(book.hear(report("1", []), 0, mine)).toBe(false);
  expect(book.hear(report("2", ["a2"]), 0, mine)).toBe(false);
  expect(book.hear(report("3", ["a1", "a2"]), 0, mine)).toBe(true);
  expect(book.hear(report("4", ["a1", "a2"]), 0, mine)).toBe(false);
});
