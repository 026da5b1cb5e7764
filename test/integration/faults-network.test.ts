// Pulled cables: hosts of a cluster cut off from one another, with clients on both sides.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CutNetwork, isWithoutNamespaces, type CutHost } from "../support/cut-network.ts";
import { until } from "../support/redis-server.ts";
import type { View } from "../../runtime/core/view.ts";

/** One node of each partition, one status node, one monitor and one router on each host. */
const CONF = ["h1", "h2", "h3"]
  .flatMap((host, index) => [
    `a${index + 1}=data 0 ${host} 7001 0`,
    `b${index + 1}=data 1 ${host} 7002 0`,
    `s${index + 1}=status ${host} 7003 0`,
    `m${index + 1}=monitor ${host} 7004`,
    `r${index + 1}=router ${host} 7005`,
  ])
  .join("\n");
const SETTINGS = "cluster cut\nack-replicas 1\nhold-for 1s\nredis appendonly yes\n";
const ROUTER = 7005;
const ITEMS = 1000;

let network: CutNetwork;
let end: () => Promise<void> = () => Promise.resolve();

const numbers = Array.from({ length: ITEMS }, (_, index) => index);

function writeItems(host: CutHost, value: string): Promise<string[]> {
  const commands = numbers.map((number) => `SET item:${number} ${value}`);
  return network.redis(host, host, ROUTER, commands);
}

/** Writes to the router beside `host` by clients that wait for their reply as long as it takes. */
class LonelyClients {
  readonly #host: CutHost;
  readonly #keys: readonly string[];
  readonly #acknowledged: string[] = [];
  readonly #replies: Promise<unknown>;

  constructor(host: CutHost) {
    this.#host = host;
    this.#keys = [0, 1, 2, 3].map((number) => `lonely:${host}:${number}`);
    this.#replies = Promise.all(
      this.#keys.map(async (key) => {
        const [reply] = await network.redis(host, host, ROUTER, [`SET ${key} here`]);
        if (reply === "OK") this.#acknowledged.push(key);
      }),
    );
  }

  get acknowledged(): readonly string[] {
    return this.#acknowledged;
  }

  /** When all are answered: the acknowledged keys that are gone. Removes the others. */
  async lost(): Promise<string[]> {
    await this.#replies;
    const lost: string[] = [];
    for (const key of this.#acknowledged) {
      const [found] = await network.redis(this.#host, this.#host, ROUTER, [`EXISTS ${key}`]);
      if (found !== "1") lost.push(key);
    }
    await network.redis(this.#host, this.#host, ROUTER, [`DEL ${this.#keys.join(" ")}`]);
    return lost;
  }
}

/** How many replies are what, so that a failure shows what came instead. */
function counted(replies: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reply of replies) counts[reply] = (counts[reply] ?? 0) + 1;
  return counts;
}

async function itemsAre(host: CutHost, value: string): Promise<void> {
  const commands = numbers.map((number) => `GET item:${number}`);
  const replies = await network.redis(host, host, ROUTER, commands);
  expect(counted(replies)).toEqual({ [value]: ITEMS });
}

/** The state is OK, every item is there through every router, and the masters hold nothing else. */
async function allExist(value: string): Promise<void> {
  await network.viewWhere("h1", "OK", ({ state }) => state === "OK");
  for (const host of ["h1", "h2", "h3"] as const) await itemsAre(host, value);
  expect(await network.redis("h2", "h2", ROUTER, ["DBSIZE"])).toEqual([String(ITEMS)]);
}

function mastersOf(view: View | null): (string | null)[] {
  return (view?.partitions ?? []).map(({ master }) => master);
}

describe.skipIf(await isWithoutNamespaces())("hosts cut off from one another", () => {
  beforeAll(async () => {
    network = await CutNetwork.start(`${CONF}\n${SETTINGS}`);
    end = () => network.remove();
  });

  afterAll(async () => {
    await end();
  });

  test("a host with every master is cut off: the rest goes on, and it keeps no client's word for itself", async () => {
    expect(counted(await writeItems("h1", "one"))).toEqual({ OK: ITEMS });
    expect(mastersOf(await network.view("h1"))).toEqual(["a1", "b1"]);
    await network.cut("h1");
    // A client beside the old masters goes on writing to the router there.
    const lonely = new LonelyClients("h1");
    await network.viewWhere("h2", "masters elsewhere", (view) =>
      mastersOf(view).every((master) => master !== null && !master.endsWith("1")),
    );
    expect(counted(await writeItems("h2", "two"))).toEqual({ OK: ITEMS });
    expect(lonely.acknowledged).toEqual([]);
    await network.mend("h1");
    expect(await lonely.lost()).toEqual([]);
    await allExist("two");
  });

  test("a host with replicas alone is cut off, and comes back", async () => {
    const view = await network.view("h2");
    const away = (["h1", "h2", "h3"] as const).find(
      (host) => !mastersOf(view).some((master) => master?.endsWith(host.slice(1))),
    );
    if (away === undefined) throw new Error("every host has a master");
    const here = away === "h2" ? "h3" : "h2";
    await network.cut(away);
    expect(counted(await writeItems(here, "three"))).toEqual({ OK: ITEMS });
    await network.viewWhere(here, "its nodes are dead", ({ nodes }) =>
      nodes.some(({ name, role }) => role === "dead" && name === `a${away.slice(1)}`),
    );
    expect(mastersOf(await network.view(here))).toEqual(mastersOf(view));
    await network.mend(away);
    await allExist("three");
  });

  test("every host is cut off: nobody decides and nothing is acknowledged until they meet again", async () => {
    for (const host of ["h1", "h2", "h3"] as const) await network.cut(host);
    const lonely = (["h1", "h2", "h3"] as const).map((host) => new LonelyClients(host));
    for (const host of ["h1", "h2", "h3"] as const) {
      await until(`${host} sees no majority`, async () => (await network.view(host)) === null);
    }
    expect(lonely.flatMap(({ acknowledged }) => acknowledged)).toEqual([]);
    for (const host of ["h1", "h2", "h3"] as const) await network.mend(host);
    // That the masters stay who they were is simulated: here a stalled machine is silent like a cut one.
    await network.viewWhere("h2", "OK", ({ state }) => state === "OK");
    for (const clients of lonely) expect(await clients.lost()).toEqual([]);
    expect(counted(await writeItems("h3", "four"))).toEqual({ OK: ITEMS });
    await allExist("four");
  });
});
