import { expect, test } from "vitest";
import { parseInfo } from "../../runtime/monitor/decide/nodes/info.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { openLinkFrom } from "../simulation/connection.ts";
import { DataNode } from "../simulation/data-node.ts";
import { Network } from "../simulation/network.ts";
import { Scheduler } from "../simulation/scheduler.ts";
import { SimProcess } from "../simulation/sim-process.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { seededRandom } from "../support/seeded-random.ts";

const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];

/** Three nodes, real or simulated, by their names. */
interface Nodes {
  readonly ports: Readonly<Record<Name, number>>;
  tell(node: Name, command: string, ...args: (string | number)[]): Promise<unknown>;
  write(node: Name, number: number): Promise<unknown>;
  /** From here on a copy of what that node holds takes seconds. */
  slowDown(node: Name): Promise<unknown>;
}

/** What INFO says, in words that don't depend on ports, ids and bytes: ids in the order of their appearance, offsets by
    their rank. */
async function pictureOf(nodes: Nodes): Promise<unknown> {
  const texts = await Promise.all(NAMES.map((name) => nodes.tell(name, "INFO")));
  const ids = new Map<string, string>();
  const labelOf = (id = ""): string => {
    if (/^0*$/.test(id)) return "none";
    const label = ids.get(id) ?? `history ${ids.size + 1}`;
    ids.set(id, label);
    return label;
  };
  const infos = texts.map((text) => parseInfo(String(text)));
  const offsets = [...new Set(infos.map((info) => info?.offset ?? 0))].sort((x, y) => x - y);
  const nameOf = (port: number): string =>
    NAMES.find((name) => nodes.ports[name] === port) ?? "nowhere";
  return NAMES.map((name, index) => {
    const info = infos[index];
    if (info === undefined) throw new Error(`${name} gave no INFO`);
    const second = /master_replid2:(\S+)/.exec(String(texts[index]))?.[1];
    return {
      name,
      role: info.role,
      following: info.following === null ? null : nameOf(info.following.port),
      isLinkUp: info.isLinkUp,
      isCopying: String(texts[index]).includes("master_sync_in_progress:1"),
      id: labelOf(info.replicationId),
      secondId: labelOf(second),
      // 0 and 1 have a meaning of their own: nothing counted yet, and nothing to go on from.
      offset: info.offset <= 1 ? info.offset : `rank ${offsets.indexOf(info.offset)}`,
      keys: info.keys,
      replicas: info.replicas.map(({ port, isOnline }) => `${nameOf(port)} ${isOnline}`).sort(),
    };
  });
}

async function realNodes(): Promise<Nodes> {
  const settings = [
    "replicaof 127.0.0.1 1",
    "replica-serve-stale-data no",
    "repl-diskless-sync-delay 0",
  ];
  const servers = await Promise.all(NAMES.map(() => startRedis(settings)));
  const links = await Promise.all(servers.map((server) => server.link()));
  const linkOf = (name: Name): RedisLink => {
    const link = links[NAMES.indexOf(name)];
    if (link === undefined) throw new Error(name);
    return link;
  };
  const [a = 0, b = 0, c = 0] = servers.map(({ port }) => port);
  return {
    ports: { a, b, c },
    tell: (node, command, ...args) => linkOf(node).call(command, ...args),
    write: (node, number) => linkOf(node).call("SET", `key ${number}`, number),
    slowDown: (node) => linkOf(node).call("CONFIG", "SET", "rdb-key-save-delay", 2_000_000),
  };
}

function simulatedNodes(): Nodes & { rest(restMs?: number): Promise<void> } {
  const scheduler = new Scheduler();
  const random = seededRandom(1);
  const weather = { leastMs: 0.1, spreadMs: 0.1, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 };
  const network = new Network(scheduler, random, weather);
  const ports = { a: 7001, b: 7002, c: 7003 };
  const nodes: DataNode[] = [];
  const nodeAt = (port: number): DataNode | undefined =>
    nodes.find(({ address }) => address.port === port);
  const processOf = (name: string): SimProcess =>
    new SimProcess({ name, host: name, scheduler, random, clockRate: 1 });
  const nothing = (): void => undefined;
  let slow: Name | undefined;
  for (const name of NAMES) {
    const node = new DataNode({
      partition: 0,
      address: { host: name, port: ports[name] },
      process: processOf(name),
      persistence: "none",
      saveEveryMs: 1000,
      backlogSize: 1000,
      syncMs: () => (name === slow ? 4000 : 5),
      scheduler,
      network,
      random,
      mistake: undefined,
      nodeAt: ({ port }) => nodeAt(port),
      watch: () => ({ replicaOf: nothing, wrote: nothing, listed: nothing, lostData: nothing }),
    });
    nodes.push(node);
    node.start();
  }
  const client = processOf("client");
  client.start();
  let ids = 0;
  const serverAt = (_host: string, port: number): DataNode | undefined => nodeAt(port);
  const open = openLinkFrom(client, { network, serverAt, nextId: () => (ids += 1) });
  const rest = async (restMs = 5000): Promise<void> => {
    await scheduler.run(() => false, scheduler.nowMs + restMs);
  };
  const tell: Nodes["tell"] = async (node, command, ...args) => {
    const answer = open({ host: node, port: ports[node] }, { connectTimeoutMs: 1000 }).then(
      (link) => link.call(command, ...args),
    );
    await scheduler.run(() => false, scheduler.nowMs + 10);
    return answer;
  };
  const slowDown = (node: Name): Promise<void> => {
    slow = node;
    return Promise.resolve();
  };
  return { ports, tell, write: (node, number) => tell(node, "WRITE", number), slowDown, rest };
}

type Step = readonly [what: string, does: (nodes: Nodes) => Promise<unknown>];

const follow = (nodes: Nodes, node: Name, master: Name): Promise<unknown> =>
  nodes.tell(node, "REPLICAOF", "127.0.0.1", nodes.ports[master]);
const detach = (nodes: Nodes, node: Name): Promise<unknown> =>
  nodes.tell(node, "REPLICAOF", "127.0.0.1", 1);
const promote = (nodes: Nodes, node: Name): Promise<unknown> =>
  nodes.tell(node, "REPLICAOF", "NO", "ONE");

const STEPS: readonly Step[] = [
  ["all are dead", () => Promise.resolve()],
  ["a is promoted", (nodes) => promote(nodes, "a")],
  ["a is written to, and nobody ever followed", (nodes) => nodes.write("a", 1)],
  ["b follows a", (nodes) => follow(nodes, "b", "a")],
  ["c follows a", (nodes) => follow(nodes, "c", "a")],
  [
    "a is written to",
    async (nodes) => {
      await nodes.write("a", 2);
      await nodes.write("a", 7);
    },
  ],
  ["b is detached", (nodes) => detach(nodes, "b")],
  ["a is written to without b", (nodes) => nodes.write("a", 3)],
  ["c is detached", (nodes) => detach(nodes, "c")],
  ["a is written to without anybody", (nodes) => nodes.write("a", 4)],
  ["c is promoted", (nodes) => promote(nodes, "c")],
  [
    "c is written to",
    async (nodes) => {
      // More than a was: Redis also counts the SELECT that comes first on a new history.
      await nodes.write("c", 5);
      await nodes.write("c", 8);
    },
  ],
  ["b follows c, and goes on where it was", (nodes) => follow(nodes, "b", "c")],
  ["a is detached", (nodes) => detach(nodes, "a")],
  ["a follows c, which never had what a has beyond it", (nodes) => follow(nodes, "a", "c")],
  ["c is written to again", (nodes) => nodes.write("c", 6)],
  ["a chain: b follows a", (nodes) => follow(nodes, "b", "a")],
  ["the middle of the chain is detached", (nodes) => detach(nodes, "a")],
  ["the middle of the chain is promoted", (nodes) => promote(nodes, "a")],
  ["c is detached, a master that was", (nodes) => detach(nodes, "c")],
  ["c is master again", (nodes) => promote(nodes, "c")],
];

/** Takes each step with both, lets the simulated ones rest, and waits until the real ones give the same picture. */
async function compare(steps: readonly Step[], restMs: number): Promise<void> {
  const real = await realNodes();
  const simulated = simulatedNodes();
  for (const [what, does] of steps) {
    await does(real);
    await does(simulated);
    await simulated.rest(restMs);
    const wanted = JSON.stringify(await pictureOf(simulated), null, 1);
    await until(
      what,
      async () => JSON.stringify(await pictureOf(real), null, 1) === wanted,
      8000,
    ).catch(() => undefined);
    expect(JSON.stringify(await pictureOf(real), null, 1), what).toBe(wanted);
  }
}

test("the simulated data node tells of itself what a real redis-server does, step by step", async () => {
  // Method: the same commands to three real servers and to three simulated ones; after each step the simulated ones
  // rest for five seconds of their time, and the real ones must come to the same picture.
  await compare(STEPS, 5000);
});

test("a full sync that breaks off before the copy is there leaves data, history and offset as they were", async () => {
  // Method: as above, but the copy that c makes for b takes longer than anybody waits; b is looked at in the middle of
  // it and after it, and goes on with a where it was.
  const steps: readonly Step[] = [
    ["a is promoted", (nodes) => promote(nodes, "a")],
    ["b follows a", (nodes) => follow(nodes, "b", "a")],
    [
      "a is written to",
      async (nodes) => {
        await nodes.write("a", 1);
        await nodes.write("a", 5);
      },
    ],
    ["b is detached", (nodes) => detach(nodes, "b")],
    ["c is promoted, on a history of its own", (nodes) => promote(nodes, "c")],
    [
      "c is written to, and is slow",
      async (nodes) => {
        await nodes.write("c", 2);
        await nodes.write("c", 3);
        await nodes.slowDown("c");
      },
    ],
    ["b follows c, and its copy is on the way", (nodes) => follow(nodes, "b", "c")],
    ["b is detached in the middle of it", (nodes) => detach(nodes, "b")],
    ["a is written to without b", (nodes) => nodes.write("a", 4)],
    ["b follows a again", (nodes) => follow(nodes, "b", "a")],
  ];
  await compare(steps, 1500);
});
