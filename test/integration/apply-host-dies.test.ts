// apply-host-dies.test.ts: twine-apply on three hosts, of which one dies in the middle of a restart, or whose twine-apply is
// stopped (SIGSTOP) for longer than its lock lasts. Never two nodes of a partition are away at once because of it.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CUT_HOSTS,
  CutNetwork,
  isWithoutNamespaces,
  type CutHost,
} from "../support/cut-network.ts";
import { until } from "../support/redis-server.ts";
import type { Ran } from "../support/run-tool.ts";

const CONF = CUT_HOSTS.flatMap((host, index) => [
  `a${index + 1}=data 0 ${host} 7001 0`,
  `b${((index + 1) % 3) + 1}=data 1 ${host} 7002 0`,
  `s${index + 1}=status ${host} 7003 0`,
  `m${index + 1}=monitor ${host} 7004`,
  `r${index + 1}=router ${host} 7005`,
]).join("\n");
const SETTINGS = "cluster dying\nredis tcp-backlog 300\n";
const WITHIN_MS = 400_000;

const portOf = (node: string): number => (node.startsWith("a") ? 7001 : 7002);

/** Partition -> its nodes, with their hosts. */
const PARTITIONS: readonly (readonly (readonly [CutHost, string])[])[] = [
  [
    ["h1", "a1"],
    ["h2", "a2"],
    ["h3", "a3"],
  ],
  [
    ["h3", "b1"],
    ["h1", "b2"],
    ["h2", "b3"],
  ],
];

describe.skipIf(await isWithoutNamespaces())(
  "twine-apply on three hosts",
  { timeout: WITHIN_MS },
  () => {
    let network: CutNetwork;
    let backlog = 300;

    beforeAll(async () => {
      network = await CutNetwork.start(`${CONF}\n${SETTINGS}`);
    }, WITHIN_MS);
    afterAll(() => network.remove());

    const apply = (host: CutHost): Promise<Ran> =>
      network.tool(host, "infra", "twine-apply", "--wait", "10s");
    const ok = () => network.viewWhere("h1", "OK", ({ state }) => state === "OK");
    const nodes = PARTITIONS.flat();

    async function restartAll(): Promise<void> {
      backlog += 1;
      await network.edit((text) => text.replace(/tcp-backlog \d+/, `tcp-backlog ${backlog}`));
    }

    /** Looks all the time; the nodes of a partition that were away at once, each pair once. */
    function watch(hosts: readonly CutHost[] = CUT_HOSTS): () => Promise<string[]> {
      const pairs = new Set<string>();
      const ending = new AbortController();
      const looking = (async () => {
        while (!ending.signal.aborted) {
          for (const partition of PARTITIONS) {
            const own = partition.filter(([host]) => hosts.includes(host));
            const pids = await Promise.all(own.map(([host, node]) => network.pid(host, node)));
            const suspects = own.filter((_, at) => pids[at] === 0);
            if (suspects.length < 2) continue;
            // A twine-apply that was stopped before it wrote a pid file down leaves a node that runs without one.
            const running = await Promise.all(
              suspects.map(([host, node]) => network.pidsOf(host, `:${portOf(node)}`)),
            );
            const away = suspects.filter((_, at) => running[at]?.length === 0);
            if (away.length > 1) pairs.add(away.map(([, node]) => node).join());
          }
          await new Promise(setImmediate);
        }
      })();
      return async () => {
        ending.abort();
        await looking;
        return [...pairs];
      };
    }

    /** All restarted, by the same command again on every host. */
    async function finished(): Promise<void> {
      const runs = await Promise.all(CUT_HOSTS.map((host) => apply(host)));
      expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(runs.map(() => [0, ""]));
      await ok();
      for (const host of CUT_HOSTS)
        expect((await network.tool(host, "infra", "twine-apply", "--dry-run")).code).toBe(0);
    }

    test("a host dies while its node restarts: the others take none of that partition, and later all finish", async () => {
      await ok();
      const writer = network.writer("h2", ["h1", "h2"], 7005);
      const before = await Promise.all(nodes.map(([host, node]) => network.pid(host, node)));
      await restartAll();
      const others = [apply("h1"), apply("h2")];
      const dying = apply("h3");
      const h3 = nodes.flatMap(([host, node], at) => (host === "h3" ? [{ node, at }] : []));
      let victim = -1;
      await until(
        "a node of h3 is stopped",
        async () => {
          const pids = await Promise.all(h3.map(({ node }) => network.pid("h3", node)));
          victim = pids.findIndex((pid, index) => pid !== before[h3[index]?.at ?? 0]);
          return victim >= 0;
        },
        120_000,
      );
      await network.kill("h3");
      const stop = watch(["h1", "h2"]);
      await dying;
      for (const { code } of await Promise.all(others)) expect(code).not.toBe(1);
      expect(await stop()).toEqual([]);
      const isUp = await Promise.all(
        nodes.map(async ([host, node]) => host === "h3" || (await network.pid(host, node)) > 0),
      );
      expect(isUp).toEqual(nodes.map(() => true));

      // The host is back: it starts what does not run.
      await finished();
      expect(await writer.stop()).toMatchObject({ lost: 0, unread: 0, staleReads: 0 });
    });

    const FREEZES: readonly (readonly [string, (pids: ReadonlyMap<string, number>) => boolean])[] =
      [
        ["no node of its own is restarted yet", (now) => changed(now, "h1", "h3")],
        ["its own node is stopped", (now) => isAway(now, "h2")],
        ["its own node runs again", (now) => changed(now, "h2") && !isAway(now, "h2")],
      ];

    let began = new Map<string, number>();
    const nodesOn = (...hosts: readonly CutHost[]): string[] =>
      nodes.flatMap(([host, node]) => (hosts.includes(host) ? [node] : []));
    const changed = (now: ReadonlyMap<string, number>, ...hosts: readonly CutHost[]): boolean =>
      nodesOn(...hosts).some((node) => now.get(node) !== began.get(node));
    const isAway = (now: ReadonlyMap<string, number>, host: CutHost): boolean =>
      nodesOn(host).some((node) => now.get(node) === 0);
    const pidsNow = async (): Promise<Map<string, number>> =>
      new Map(
        await Promise.all(
          nodes.map(async ([host, node]) => [node, await network.pid(host, node)] as const),
        ),
      );

    test.each(FREEZES)(
      "twine-apply is stopped when %s, for longer than its lock lasts, and goes on",
      async (_, isNow) => {
        await ok();
        began = await pidsNow();
        await restartAll();
        const stop = watch();
        const others = [apply("h1"), apply("h3")];
        const frozen = apply("h2");
        await until("it is stopped then", async () => isNow(await pidsNow()), 120_000);
        const pids = await network.pidsOf("h2", "twine-apply");
        for (const pid of pids) process.kill(pid, "SIGSTOP");
        // They wait for its announcement, its lock and at last for its node, and end.
        for (const { code } of await Promise.all(others)) expect(code).not.toBe(1);
        for (const pid of pids) process.kill(pid, "SIGCONT");
        expect((await frozen).code).not.toBe(1);
        expect(await stop()).toEqual([]);
        await finished();
      },
    );
  },
);
