// red-cluster.test.ts: RedCluster on real replica sets, whose masters die.
import { describe, expect, onTestFinished, test } from "vitest";
import { RedCluster, type RedClusterOptions } from "../../runtime/client/red/red-cluster.ts";
import { crc32 } from "node:zlib";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

/** Replica sets of plain redis-servers, the first of each the master; every replica is in sync. */
async function startSets(sets: number, nodes: number): Promise<TestRedis[][]> {
  const started: TestRedis[][] = [];
  for (let index = 0; index < sets; index++) {
    const master = await startRedis(["repl-diskless-sync-delay 0"]);
    const set = [master];
    for (let count = 1; count < nodes; count++) {
      const follow = `replicaof 127.0.0.1 ${master.port}`;
      set.push(await startRedis(["repl-diskless-sync-delay 0", follow]));
    }
    for (const replica of set.slice(1)) {
      await until("the replica is in sync", async () =>
        (await infoOf(replica)).includes("master_link_status:up"),
      );
    }
    started.push(set);
  }
  return started;
}

async function infoOf(server: TestRedis, section = "replication"): Promise<string> {
  return (await (await server.link()).call("INFO", section)) as string;
}

function redOf(
  sets: readonly (readonly TestRedis[])[],
  options: RedClusterOptions = {},
): RedCluster {
  const node = (server: TestRedis | undefined) => ({ host: "localhost", port: server?.port ?? 0 });
  const red = new RedCluster(
    sets.map(([master, ...replicas]) => ({ master: node(master), replicas: replicas.map(node) })),
    { downAfterMs: 500, ...options },
  );
  onTestFinished(() => {
    red.disconnect();
  });
  return red;
}

const calls = (info: string, command: string): number =>
  Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
const nameOf = (server: TestRedis | undefined): string => `127.0.0.1:${server?.port ?? 0}`;

describe.skipIf(isMissing("redis-server"))("RedCluster", () => {
  test("keys lie by their crc32, writes go to the master and reads to the replicas in turn", async () => {
    const sets = await startSets(3, 3);
    const red = redOf(sets);
    await red.ready();
    const keys = Array.from({ length: 30 }, (_, index) => `key:${index}`);
    for (const key of keys) {
      expect(red.replicaSetOf(key)).toBe(crc32(key) % 3);
      expect(await red.set(key, key)).toBe("OK");
    }
    await until("every replica has every key of its set", async () => {
      const sizes = await Promise.all(
        sets.flat().map(async (server) => infoOf(server, "keyspace")),
      );
      return sizes.every((text, index) => text === sizes[index - (index % 3)]);
    });
    expect(await red.mget(...keys)).toEqual(keys);
    const getsAt = async (server: TestRedis): Promise<number> =>
      calls(await infoOf(server, "commandstats"), "get");
    // The masters answer while the connections to the replicas are being opened.
    await until("every replica answers reads", async () => {
      for (const key of keys) expect(await red.get(key)).toBe(key);
      const counts = await Promise.all(sets.flatMap(([, ...replicas]) => replicas.map(getsAt)));
      return counts.every((count) => count > 0);
    });
    const masters = sets.map(([master]) => master as TestRedis);
    const before = await Promise.all(masters.map(getsAt));
    for (const key of keys) expect(await red.get(key)).toBe(key);
    expect(await Promise.all(masters.map(getsAt))).toEqual(before);
    expect(await red.incr("user_count")).toBe(1);
    expect(await red.dbsize()).toBe(31);
  });

  test("when a master dies a replica takes its place and the others follow it; nothing waits in the other sets", async () => {
    const sets = await startSets(2, 3);
    const red = redOf(sets, { readFrom: "master" });
    await red.ready();
    const failovers: string[] = [];
    red.on("failover", ({ partition, from, to }) => failovers.push(`${partition} ${from} ${to}`));
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    for (const key of keys) await red.set(key, "before");
    const [first] = sets;
    const replicas = first?.slice(1) ?? [];
    await until("the replicas have everything", async () => {
      const texts = await Promise.all((first ?? []).map((server) => infoOf(server)));
      const offsets = texts.map((text) => /(?:master|slave)_repl_offset:(\d+)/.exec(text)?.[1]);
      return new Set(offsets).size === 1;
    });
    await first?.[0]?.kill();
    // Before, a write could still be on the wire, and its fate unknown.
    await until("its death is known", () => red.masters[0] !== nameOf(first?.[0]));
    const values = await Promise.all(keys.map((key) => red.append(key, "+")));
    expect(new Set(values)).toEqual(new Set([7]));
    expect(failovers.length).toBe(1);
    const promoted = replicas.find((server) => nameOf(server) === red.masters[0]);
    const other = replicas.find((server) => server !== promoted);
    if (promoted === undefined || other === undefined) throw new Error("nobody was promoted");
    expect(failovers).toEqual([`0 ${nameOf(first?.[0])} ${nameOf(promoted)}`]);
    await until("the other follows the promoted one", async () =>
      (await infoOf(other)).includes(`master_port:${promoted.port}`),
    );
    // The old master comes back, as a master: it must follow, and lose what it alone believes.
    await first?.[0]?.start();
    await until("the old master follows too", async () => {
      const old = first?.[0];
      return old !== undefined && (await infoOf(old)).includes(`master_port:${promoted.port}`);
    });
    expect(await red.get("k0")).toBe("before+");
  });

  test("who waits and who listens goes on at the promoted master, and isolated callers try again", async () => {
    const sets = await startSets(2, 3);
    const red = redOf(sets);
    await red.ready();
    const keys = ["a", "b", "c", "d"];
    const heard: string[] = [];
    red.on("message", (channel, message) => heard.push(`${channel} ${message}`));
    expect(await red.subscribe(...keys)).toBe(4);
    const waiting = keys.map((key) => red.blpop(`list:${key}`, 0));
    const isGone = new Promise((resolve) => red.once("failover", resolve));
    await sets[0]?.[0]?.kill();
    await isGone;
    for (const key of keys) await red.rpush(`list:${key}`, "1");
    expect((await Promise.all(waiting)).map((found) => found?.[1])).toEqual(["1", "1", "1", "1"]);
    for (const key of keys) {
      await until(`${key} is heard`, async () => {
        await red.publish(key, "x");
        return heard.includes(`${key} x`);
      });
      const done = await red.isolated(key, async (one) => {
        await one.watch(key);
        return one.multi().incr(key).exec();
      });
      expect(done).toEqual([[null, 1]]);
    }
  });

  test("a silent master is replaced after down-after, and follows when it wakes", async () => {
    const sets = await startSets(1, 2);
    const [[master, replica]] = sets as [[TestRedis, TestRedis]];
    const red = redOf(sets, { readFrom: "master" });
    await red.ready();
    await red.set("a", "1");
    const link = await replica.link();
    await until("the replica has it", async () => (await link.call("GET", "a")) === "1");
    master.signal("SIGSTOP");
    expect(await red.get("a")).toBe("1");
    expect(red.masters).toEqual([nameOf(replica)]);
    expect(await red.set("a", "2")).toBe("OK");
    master.signal("SIGCONT");
    await until("it follows", async () =>
      (await infoOf(master)).includes(`master_port:${replica.port}`),
    );
    expect(await red.get("a")).toBe("2");
  });

  test("a second RedCluster of the same sets finds the promoted master, whatever it was told", async () => {
    const sets = await startSets(1, 3);
    const [[master]] = sets as [[TestRedis]];
    const red = redOf(sets);
    await red.ready();
    await red.set("a", "1");
    await master.kill();
    // The first may go to the dead master before the client hears of its end: then nobody can know its outcome.
    const outcomes: string[] = [];
    await until("the promoted master serves", async () => {
      outcomes.push(String(await red.set("a", "2").catch((error: unknown) => error)));
      return outcomes.at(-1) === "OK";
    });
    expect(outcomes.slice(0, -1).filter((outcome) => !outcome.includes("UNCERTAIN"))).toEqual([]);
    await red.quit();
    const later = redOf(sets);
    expect(await later.set("a", "3")).toBe("OK");
    expect(later.masters).toEqual(red.masters);
  });

  test("replica sets that share a node, or none at all, are refused", () => {
    const node = { host: "localhost", port: 1 };
    expect(() => new RedCluster([])).toThrow(/no replica set/);
    const twice = [{ master: node }, { master: { host: "127.0.0.1", port: 1 } }];
    expect(() => new RedCluster(twice)).toThrow(/127.0.0.1:1 is in replica set 0 and again in 1/);
  });

  test("a replica of somebody else's master is neither promoted nor repointed: the error names both", async () => {
    const theirs = await startSets(1, 2);
    const [[foreignMaster, foreignReplica]] = theirs as [[TestRedis, TestRedis]];
    const [own = []] = await startSets(1, 2);
    const errors: Error[] = [];
    const wrongMaster = redOf([[foreignReplica]], { holdForMs: 300 });
    const wrongReplica = redOf([[...own, foreignReplica]]);
    for (const red of [wrongMaster, wrongReplica]) red.on("error", (error) => errors.push(error));
    await expect(wrongMaster.set("a", "1")).rejects.toThrow();
    expect(await wrongReplica.set("a", "1")).toBe("OK");
    await until("both tell it", () => errors.length === 2);
    for (const { message } of errors) {
      expect(message).toContain(`${nameOf(foreignReplica)} of replica set 0 follows`);
      expect(message).toContain(`follows ${nameOf(foreignMaster)}, which lives and is not`);
      expect(message).toContain("correct the port");
    }
    // Nor when the set needs somebody to promote.
    await own[0]?.kill();
    await until("its death is known", () => wrongReplica.masters[0] !== nameOf(own[0]));
    expect(await wrongReplica.set("a", "2")).toBe("OK");
    expect(wrongReplica.masters).toEqual([nameOf(own[1])]);
    const info = await infoOf(foreignReplica);
    expect(info).toContain(`master_port:${foreignMaster.port}`);
    expect(info).toContain("master_link_status:up");
    expect(errors.length).toBe(2);
    // With its master dead it is the last copy of somebody else's data: no replica of ours, but the master of its own set.
    await foreignMaster.kill();
    await until("it is promoted", () => wrongMaster.masters[0] === nameOf(foreignReplica));
  });
});
