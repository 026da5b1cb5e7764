// router-order.test.ts: whatever happens to masters and their confirmation, every client gets its own replies, each once
// and in its order, and every command is done once.
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import {
  startRouterCluster,
  type RawClient,
  type RouterCluster,
} from "../support/router-cluster.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";

interface Step {
  readonly args: readonly string[];
  readonly expected: string;
}

const bulkOf = (value: string | undefined): string =>
  value === undefined ? "$-1\r\n" : `$${value.length}\r\n${value}\r\n`;

/** A command on keys of this client alone, and what it must answer by what came before. */
function randomStep(seeded: SeededRandom, id: number, values: Map<string, string>): Step {
  const any = (): string => `c${id}:${seeded.below(12)}`;
  const size = seeded.isOnceIn(30) ? 30_000 : 10;
  const [key, other, third] = [any(), any(), any()];
  const value = `${seeded.below(1000)}`.padEnd(size, "x");
  switch (seeded.below(7)) {
    case 0:
      values.set(key, value);
      return { args: ["SET", key, value], expected: "+OK\r\n" };
    case 1:
      values.set(key, `${values.get(key) ?? ""}ab`);
      return { args: ["APPEND", key, "ab"], expected: `:${values.get(key)?.length ?? 0}\r\n` };
    case 2:
      values.set(key, value);
      values.set(other, "7");
      return { args: ["MSET", key, value, other, "7"], expected: "+OK\r\n" };
    case 3: {
      const found = [key, other, third].map((name) => bulkOf(values.get(name)));
      return { args: ["MGET", key, other, third], expected: `*3\r\n${found.join("")}` };
    }
    case 4: {
      const gone = [...new Set([key, other])].filter((name) => values.delete(name));
      return { args: ["DEL", key, other], expected: `:${gone.length}\r\n` };
    }
    case 5:
      return { args: ["ECHO", String(id)], expected: bulkOf(String(id)) };
    default:
      return { args: ["GET", key], expected: bulkOf(values.get(key)) };
  }
}

async function work(client: RawClient, id: number): Promise<void> {
  const seeded = seededRandom(100 + id);
  const values = new Map<string, string>();
  for (let round = 0; round < 60; round++) {
    const steps = Array.from({ length: 1 + seeded.below(40) }, () =>
      randomStep(seeded, id, values),
    );
    const bytes = Buffer.concat(steps.map(({ args }) => encodeCommand(args)));
    // In two pieces, cut anywhere.
    const cut = seeded.below(bytes.length);
    client.send(bytes.subarray(0, cut));
    client.send(bytes.subarray(cut));
    for (const { args, expected } of steps) {
      expect([args.join(" ").slice(0, 80), await client.reply()]).toEqual([
        args.join(" ").slice(0, 80),
        expected,
      ]);
    }
  }
}

/** One master after the other is taken away and given back, and the confirmation with it, until `isOver`. */
async function disturb(cluster: RouterCluster, isOver: () => boolean): Promise<number> {
  const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
  const masters = nodes.map(({ port }) => port);
  const [watcher] = [await cluster.client()];
  let count = 0;
  for (; !isOver(); count++) {
    const away = count % 4;
    cluster.view.show(
      nodes,
      masters.map((port, partition) => (partition === away ? null : port)),
    );
    cluster.view.confirm(away !== 3);
    await watcher.call("PING");
    cluster.view.show(nodes, masters);
    cluster.view.confirm(true);
    for (let calls = 0; calls < 5; calls++) await watcher.call("GET watched");
  }
  return count;
}

describe.skipIf(isMissing("redis-server"))("router", () => {
  for (const settings of [["ack-replicas 0"], ["ack-replicas 1"]]) {
    test(`30 clients see one Redis while masters come and go, ${settings.join(", ")}`, async () => {
      const replicas = settings.includes("ack-replicas 1") ? 1 : 0;
      const cluster = await startRouterCluster({ partitions: 3, replicas, settings });
      const clients = await Promise.all(Array.from({ length: 30 }, () => cluster.client()));
      let isOver = false;
      const disturbed = disturb(cluster, () => isOver);
      await Promise.all(clients.map((client, id) => work(client, id))).finally(() => {
        isOver = true;
      });
      expect(await disturbed).toBeGreaterThan(10);
    });
  }

  test("commands of 1 to 1,200 keys over three partitions keep the order of their keys", async () => {
    const cluster = await startRouterCluster({ partitions: 3 });
    const client = await cluster.client();
    for (const count of [1, 2, 9, 10, 11, 99, 100, 1200]) {
      const keys = Array.from({ length: count }, (_, index) => `k${index}`);
      const values = keys.map((_, index) => `${count}.${index}`);
      const pairs = keys.flatMap((key, index) => [key, values[index] ?? ""]);
      expect(await client.callArgs(["MSET", ...pairs])).toBe("+OK\r\n");
      const expected = `*${count}\r\n${values.map((value) => bulkOf(value)).join("")}`;
      expect(await client.callArgs(["MGET", ...keys])).toBe(expected);
      expect(await client.callArgs(["EXISTS", ...keys])).toBe(`:${count}\r\n`);
      expect(await client.callArgs(["DEL", ...keys])).toBe(`:${count}\r\n`);
    }
  });

  test("what a client has sent half of, or keeps in a transaction, is its own whatever others send meanwhile", async () => {
    // Method: the sockets read into memory that they share; every command of one client comes in two halves, and between
    // them another client overwrites as much.
    const cluster = await startRouterCluster({ partitions: 3 });
    const [one, other] = [await cluster.client(), await cluster.client()];
    const overwrite = async (): Promise<void> => {
      const noise = Array.from({ length: 40 }, (_, index) => ["SET", `n${index}`, "#".repeat(90)]);
      other.send(Buffer.concat(noise.map((args) => encodeCommand(args))));
      expect(new Set(await other.replies(noise.length))).toEqual(new Set(["+OK\r\n"]));
    };
    const halves = async (...args: string[]): Promise<string> => {
      const bytes = encodeCommand(args);
      one.send(bytes.subarray(0, bytes.length >> 1));
      await overwrite();
      one.send(bytes.subarray(bytes.length >> 1));
      return await one.reply();
    };
    expect(await halves("SET", "a", "first")).toBe("+OK\r\n");
    expect(await halves("MSET", "b", "second", "c", "third")).toBe("+OK\r\n");
    expect(await one.call("MULTI")).toBe("+OK\r\n");
    expect(await one.call("SET d fourth")).toBe("+QUEUED\r\n");
    await overwrite();
    expect(await one.call("EXEC")).toBe("*1\r\n+OK\r\n");
    expect(await one.call("MGET a b c d")).toBe(
      `*4\r\n${["first", "second", "third", "fourth"].map(bulkOf).join("")}`,
    );
  });
});
