// router-failover.test.ts: what clients of twine-router see when a master of a real cluster is killed or hands over: which
// errors, and that nothing is done twice or lost unsaid. The bench's own writers check every reply (bench/router-failover).
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client, type ClientResult } from "../../bench/router-failover/client.ts";
import { tagsOf } from "../../bench/router-failover/cluster.ts";
import { clientsOf } from "../../bench/router-failover/load.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const NODES = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
b1=data 1 localhost {b1} 0
b2=data 1 localhost {b2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
m2=monitor localhost {m2}
m3=monitor localhost {m3}
r1=router localhost {r1}
cluster clients
hash-tag {}
down-after 10s
`;
/** A master that was paused so that requests lie on the wire must not be found out before it is killed. */
const STALLED_MS = 100;

const nowMs = (): number => performance.now();

class Load {
  readonly clients: readonly { readonly partition: number | null; readonly client: Client }[];

  constructor(port: number, trial: number) {
    this.clients = clientsOf("writers", tagsOf(2), trial).map((plan) => ({
      partition: plan.partition,
      client: new Client(plan, port, nowMs),
    }));
  }

  of(partition: number): readonly Client[] {
    return this.clients
      .filter((one) => one.partition === partition || one.partition === null)
      .map(({ client }) => client);
  }

  /** Everybody was acknowledged something that was asked from now on. */
  async flows(what: string): Promise<void> {
    const before = this.clients.map(({ client }) => client.lastAckMs);
    const fresh = (): boolean =>
      this.clients.every(({ client }, at) => client.lastAckMs > (before[at] ?? 0) + STALLED_MS);
    await until(what, fresh);
  }

  /** Nobody of that partition is answered any more: what they sent lies on the wire. */
  async stalls(partition: number): Promise<void> {
    await until("the partition is silent", () =>
      this.of(partition).every(({ lastAckMs }) => nowMs() - lastAckMs > STALLED_MS),
    );
  }

  end(): Promise<ClientResult[]> {
    return Promise.all(this.clients.map(({ client }) => client.end()));
  }
}

/** "here counter UNCERTAIN" and the like, once each. */
function errorsOf(results: readonly ClientResult[], partition: number): Set<string> {
  const isHere = (of: number | null): boolean => of === partition || of === null;
  return new Set(
    results.flatMap(({ plan, errors }) =>
      Object.keys(errors).map(
        (word) => `${isHere(plan.partition) ? "here" : "elsewhere"} ${plan.exam} ${word}`,
      ),
    ),
  );
}

function faultsOf(results: readonly ClientResult[], what: "lost" | "doubled" | "ahead"): number {
  return results.reduce((sum, { faults }) => sum + faults[what], 0);
}

const EXPECTED = {
  reads: [
    "here counter UNCERTAIN",
    "here probe UNCERTAIN",
    "here register UNCERTAIN",
    "here values UNCERTAIN",
  ],
  // A counter must not be counted twice.
  idempotent: ["here counter UNCERTAIN"],
} as const;

describe.skipIf(isMissing("redis-server")).each(["reads", "idempotent"] as const)(
  "clients of a router with retry-unknown %s",
  (policy) => {
    let cluster: FaultCluster;

    beforeAll(async () => {
      cluster = await FaultCluster.create(`${NODES}retry-unknown ${policy}\n`);
      await cluster.start();
    });

    afterAll(async () => {
      await cluster.remove();
    });

    test("a killed master: what was on the wire is repeated or UNCERTAIN, nothing is done twice, other partitions see nothing", async () => {
      const load = new Load(cluster.port("r1"), 1);
      await load.flows("everybody writes");
      const { master } = await cluster.partition(0);
      await cluster.pause(master ?? "");
      await load.stalls(0);
      await cluster.kill(master ?? "");
      await load.flows("everybody writes again");
      await cluster.launch(master ?? "");
      await cluster.viewWhere("OK again", ({ state }) => state === "OK");
      const results = await load.end();
      const seen = errorsOf(results, 0);
      // By chance it was an MSET over both partitions that lay on the wire, or an MGET, which is repeated.
      if (policy === "reads") seen.delete("here wide PARTIAL");
      expect([...seen].toSorted()).toEqual(EXPECTED[policy]);
      expect(faultsOf(results, "doubled")).toBe(0);
      // The other policy prefers a value from behind a read's place to an error.
      if (policy === "reads") expect(faultsOf(results, "ahead")).toBe(0);
    });

    test("a planned handover: no error at all, nothing lost", async () => {
      const load = new Load(cluster.port("r1"), 2);
      await load.flows("everybody writes");
      const [replica = ""] = (await cluster.partition(0)).replicas;
      const ran = await runTool("runtime", "twine-failover", cluster.config.file, replica);
      expect(ran).toMatchObject({ code: 0, err: "" });
      await load.flows("everybody writes still");
      const results = await load.end();
      expect([...errorsOf(results, 0)]).toEqual([]);
      for (const what of ["lost", "doubled", "ahead"] as const) {
        expect([what, faultsOf(results, what)]).toEqual([what, 0]);
      }
    });
  },
);
