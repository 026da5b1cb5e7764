// Real faults on a whole local cluster: whatever is killed, paused or emptied, a thousand items survive it.
// One cluster lives through all of them, as clusters do; each test writes the items anew and leaves the cluster well.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { ThousandItems } from "../support/thousand-items.ts";

let cluster: FaultCluster;
let items: ThousandItems;

async function masterOf(partition: number): Promise<string> {
  const { master } = await cluster.partition(partition);
  if (master === null) throw new Error(`partition ${partition} has no master`);
  return master;
}

async function replicaOf(partition: number): Promise<string> {
  const { replicas } = await cluster.partition(partition);
  if (replicas[0] === undefined) throw new Error(`partition ${partition} has no replica`);
  return replicas[0];
}

async function alpha(): Promise<string> {
  return (await cluster.view())?.alpha ?? "";
}

async function epoch(): Promise<number> {
  return (await cluster.view())?.epoch ?? 0;
}

/** Waits until another node than `old` serves the partition. */
async function replaced(partition: number, old: string): Promise<string> {
  const view = await cluster.viewWhere(`another master than ${old}`, ({ partitions }) => {
    const master = partitions[partition]?.master ?? null;
    return master !== null && master !== old;
  });
  return view.partitions[partition]?.master ?? "";
}

async function followsIn(partition: number, name: string): Promise<void> {
  await cluster.viewWhere(
    `${name} follows`,
    ({ partitions }) => partitions[partition]?.replicas.includes(name) ?? false,
  );
}

async function isDead(...names: string[]): Promise<void> {
  await cluster.viewWhere(`${names.join(", ")} dead`, ({ nodes }) =>
    names.every((name) => nodes.some((node) => node.name === name && node.role === "dead")),
  );
}

describe.skipIf(isMissing("redis-server"))("a cluster under real faults", () => {
  beforeAll(async () => {
    cluster = await FaultCluster.create(`${TWO_PARTITIONS}cluster faults\n`);
    items = new ThousandItems(cluster, "r1");
    await cluster.start();
  });

  // Whatever a failed test left behind must not fail the next one too.
  afterEach(async () => {
    await cluster.heal();
  });

  afterAll(async () => {
    await cluster.remove();
  });

  test("a master that is killed is replaced, and comes back as a replica", async () => {
    await items.write();
    const old = await masterOf(0);
    await cluster.kill(old);
    await replaced(0, old);
    expect(await items.wrong()).toEqual([]);
    await cluster.heal();
    await items.allExist();
    await followsIn(0, old);
  });

  test("a master that falls silent is replaced, and gives way when it wakes", async () => {
    await items.write();
    const old = await masterOf(1);
    await cluster.pause(old);
    await replaced(1, old);
    expect(await items.wrong()).toEqual([]);
    await cluster.heal();
    await items.allExist();
    await followsIn(1, old);
  });

  test("a master that comes back at once with an emptied folder empties nobody", async () => {
    await items.write();
    const old = await masterOf(0);
    await cluster.kill(old);
    await cluster.emptyData(old);
    await cluster.launch(old);
    await replaced(0, old);
    expect(await items.wrong()).toEqual([]);
    await items.allExist();
  });

  test("a replica that is killed and emptied gets everything again", async () => {
    await items.write();
    const replica = await replicaOf(1);
    const master = await masterOf(1);
    await cluster.kill(replica);
    await cluster.emptyData(replica);
    await isDead(replica);
    await cluster.heal();
    await items.allExist();
    expect(await masterOf(1)).toBe(master);
  });

  test("a replica that falls silent misses writes and catches up", async () => {
    const replica = await replicaOf(0);
    await cluster.pause(replica);
    await isDead(replica);
    await items.write(1);
    await cluster.heal();
    await items.allExist();
  });

  test("the masters of two partitions are killed at once", async () => {
    await items.write();
    const old = [await masterOf(0), await masterOf(1)] as const;
    await cluster.kill(...old);
    await replaced(0, old[0]);
    await replaced(1, old[1]);
    expect(await items.wrong()).toEqual([]);
    await cluster.heal();
    await items.allExist();
  });

  test("a status node is emptied while a master is lost", async () => {
    await items.write();
    const old = await masterOf(0);
    await cluster.kill("s2");
    await cluster.emptyData("s2");
    await cluster.kill(old);
    await replaced(0, old);
    expect(await items.wrong()).toEqual([]);
    await cluster.heal();
    await items.allExist();
  });

  test("without a majority of the status nodes nothing is decided, and then everything", async () => {
    await items.write();
    const old = await masterOf(1);
    await cluster.pause("s1", "s3");
    await cluster.kill(old);
    await until("the monitors have noticed the dead master", async () =>
      (await cluster.log("m1")).some(({ msg, node }) => msg === "+suspect" && node === old),
    );
    expect(await cluster.ask(await replicaRole(1), "ROLE")).toContain("slave");
    await cluster.heal();
    await items.allExist();
  });

  test("the alpha and a master are killed together", async () => {
    await items.write();
    const [old, leader, before] = [await masterOf(0), await alpha(), await epoch()];
    await cluster.kill(leader, old);
    await replaced(0, old);
    expect(await epoch()).toBeGreaterThan(before);
    expect(await items.wrong()).toEqual([]);
    await cluster.heal();
    await items.allExist();
  });

  test("an alpha that is paused while another fails over does no harm when it wakes", async () => {
    await items.write();
    const [old, leader, before] = [await masterOf(1), await alpha(), await epoch()];
    await cluster.pause(leader);
    await cluster.kill(old);
    const heir = await replaced(1, old);
    await cluster.resume(leader);
    await cluster.viewWhere(`${leader} is back`, ({ nodes }) =>
      nodes.some(({ name, role }) => name === leader && role === "up"),
    );
    expect(await epoch()).toBeGreaterThan(before);
    expect(await masterOf(1)).toBe(heir);
    await cluster.heal();
    await items.allExist();
  });

  test("one node after the other down to one, and the way back", async () => {
    await items.write();
    const first = await masterOf(0);
    await cluster.kill(first);
    const second = await replaced(0, first);
    // The last node left must hold what its master has before that one goes too.
    await cluster.viewWhere("one replica in sync", ({ nodes }) =>
      nodes.some(({ partition, role, inSync }) => partition === 0 && role === "replica" && inSync),
    );
    await items.write(1);
    await cluster.kill(second);
    const last = await replaced(0, second);
    expect(await items.wrong()).toEqual([]);
    await cluster.emptyData(first);
    await cluster.launch(first);
    await cluster.viewWhere(`${first} in sync`, ({ nodes }) =>
      nodes.some(({ name, role, inSync }) => name === first && role === "replica" && inSync),
    );
    expect(await masterOf(0)).toBe(last);
    await cluster.heal();
    await items.allExist();
  });

  test("a partition that loses every node waits, and comes back with its items", async () => {
    await items.write();
    const { replicas } = await cluster.partition(0);
    await cluster.pause(...replicas);
    await isDead(...replicas);
    const master = await masterOf(0);
    await cluster.kill(master, ...replicas);
    await cluster.viewWhere("HALT", ({ state }) => state === "HALT");
    await cluster.heal();
    await items.allExist();
  });

  test("every router, monitor and status node is killed under a running cluster", async () => {
    await items.write();
    const masters = [await masterOf(0), await masterOf(1)];
    await cluster.kill("r1", "m1", "m2", "m3", "s1", "s2", "s3");
    await cluster.heal();
    await items.allExist();
    expect([await masterOf(0), await masterOf(1)]).toEqual(masters);
  });
});

/** A replica of the partition by what the nodes themselves say: the register may not answer. */
async function replicaRole(partition: number): Promise<string> {
  for (const node of cluster.config.nodes) {
    if (node.kind !== "data" || node.partition !== partition) continue;
    if (await cluster.isRunning(node.name)) return node.name;
  }
  throw new Error(`no node of partition ${partition} runs`);
}
