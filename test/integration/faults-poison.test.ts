// Malformed entries on the status nodes of a whole local cluster: they are ignored, reported and removed, and a master
// that is killed meanwhile is replaced as ever.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

const STATUS_NODES = ["s1", "s2", "s3"];

let cluster: FaultCluster;

/** What an attacker, a mistake or another version may leave: field and entry, by hash. */
const POISON: readonly (readonly [string, string, string])[] = [
  // The one that stopped every alpha.
  ["request", "y", '{"id":"y","body":null,"state":"asked","message":""}'],
  ["request", "z", '{"id":"z","body":{"kind":"handover"},"state":"asked","message":""}'],
  ["request", "other", '{"id":"not-other","body":{"kind":"handover","node":"a"},"state":"asked"}'],
  ["request", "text", "no JSON at all"],
  ["request", "long", "x".repeat(300_000)],
  ["observed", "m1", "1 null"],
  ["observed", "m2", '99999999999999999999 {"sequence":"1","confDigest":"d","suspects":[]}'],
  ["observed", "m3", '1 {"sequence":"1","confDigest":"d","suspects":[null,{}]}'],
  ["offsets", "a6666", '1 {"replicationId":null,"offset":"many","keys":-1}'],
  ["mailed", "book", '1 {"incidents":[null]}'],
];

async function poison(node: string): Promise<void> {
  for (const [hash, field, entry] of POISON) {
    await cluster.ask(node, "HSET", `poison:${hash}`, field, entry);
  }
}

async function masterOf(partition: number): Promise<string> {
  const { master } = await cluster.partition(partition);
  if (master === null) throw new Error(`partition ${partition} has no master`);
  return master;
}

/** Kills the master of partition 0 and waits for another one, and for a whole cluster again. */
async function failsOver(): Promise<void> {
  const old = await masterOf(0);
  await cluster.kill(old);
  await cluster.viewWhere(`another master than ${old}`, ({ partitions }) => {
    const master = partitions[0]?.master ?? null;
    return master !== null && master !== old;
  });
  await cluster.heal();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
}

async function requestsAt(node: string): Promise<string> {
  return JSON.stringify(await cluster.ask(node, "HGETALL", "poison:request"));
}

describe.skipIf(isMissing("redis-server"))(
  "a cluster whose status nodes hold malformed entries",
  () => {
    beforeAll(async () => {
      cluster = await FaultCluster.create(`${TWO_PARTITIONS}cluster poison\n`);
      await cluster.start();
    });

    afterAll(async () => {
      await cluster.remove();
    });

    test("entries that can't be read on one status node stop nobody, are reported and removed", async () => {
      await poison("s1");
      await failsOver();
      await until("the requests are removed", async () => (await requestsAt("s1")) === "[]");
      const view = await cluster.viewWhere("the view shows them", ({ malformed = [] }) =>
        malformed.some(
          ({ node, hash, field }) => node === "s1" && hash === "request" && field === "y",
        ),
      );
      expect(view.malformed?.find(({ field }) => field === "y")?.why).toBe("body is not an object");
      const events = (await cluster.log(view.alpha)).filter(({ msg }) => msg === "-entry");
      expect(events.map(({ field }) => field)).toContain("y");
      const rounds = (await cluster.log(view.alpha)).filter(({ msg }) => msg === "-tick");
      expect(rounds).toEqual([]);
    });

    test("keys of another type on all status nodes stop nobody either", async () => {
      for (const node of STATUS_NODES) {
        for (const hash of ["request", "observed", "offsets", "mailed"]) {
          await cluster.ask(node, "DEL", `poison:${hash}`);
          await cluster.ask(node, "SET", `poison:${hash}`, "no hash");
        }
      }
      await failsOver();
      await until("monitors write their observations again", async () => {
        const observed = await cluster.ask("s1", "HKEYS", "poison:observed").catch(() => []);
        return Array.isArray(observed) && observed.length === 3;
      });
    });

    test("a view and a register that can't be read on one status node cost that node's vote, nothing else", async () => {
      await cluster.ask("s2", "SET", "poison:view", "{not a view");
      await failsOver();
      await cluster.ask("s3", "HSET", "poison:register", "members", "null", "epoch", "many");
      // A new alpha prepares, and so reads what every status node holds.
      const { alpha, epoch } = await cluster.viewWhere("a view", () => true);
      await cluster.kill(alpha);
      await cluster.viewWhere("another alpha", (view) => view.epoch > epoch);
      await cluster.heal();
      await failsOver();
    });
  },
);
