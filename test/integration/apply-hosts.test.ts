// apply-hosts.test.ts: twine-apply on three hosts, each a network namespace, started on all of them at the same time under
// checked writers through two routers: no error, nothing lost, also when an apply is killed or a host is cut off.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CUT_HOSTS,
  CutNetwork,
  isWithoutNamespaces,
  type CutHost,
} from "../support/cut-network.ts";
import type { Ran } from "../support/run-tool.ts";
import type { View } from "../../runtime/core/view.ts";

const CONF = CUT_HOSTS.flatMap((host, index) => [
  `a${index + 1}=data 0 ${host} 7001 0`,
  `b${((index + 1) % 3) + 1}=data 1 ${host} 7002 0`,
  `s${index + 1}=status ${host} 7003 0`,
  `m${index + 1}=monitor ${host} 7004`,
  `r${index + 1}=router ${host} 7005`,
]).join("\n");
const SETTINGS = "cluster hosts\nack-replicas 1\n";
const WITHIN_MS = 300_000;
const ROUTER = 7005;

interface Report {
  readonly done: readonly { readonly node: string; readonly what: string }[];
  readonly handovers: number;
}

describe.skipIf(await isWithoutNamespaces())(
  "twine-apply on three hosts",
  { timeout: WITHIN_MS },
  () => {
    let network: CutNetwork;

    beforeAll(async () => {
      network = await CutNetwork.start(`${CONF}\n${SETTINGS}`);
    }, WITHIN_MS);
    afterAll(() => network.remove());

    const apply = (host: CutHost, ...args: string[]): Promise<Ran> =>
      network.tool(host, "infra", "twine-apply", "--json", ...args);

    /** On all hosts at the same time; each must end well. */
    async function everywhere(): Promise<readonly Report[]> {
      const runs = await Promise.all(CUT_HOSTS.map((host) => apply(host)));
      for (const { code, stdout, stderr } of runs)
        expect([code, stdout, stderr]).toEqual([0, stdout, ""]);
      return runs.map(({ stdout }) => JSON.parse(stdout) as Report);
    }

    const nodesOf = (reports: readonly Report[], what: RegExp): string[] =>
      reports
        .flatMap(({ done }) => done.filter((one) => what.test(one.what)).map(({ node }) => node))
        .sort();

    const handovers = (reports: readonly Report[]): number =>
      reports.reduce((sum, report) => sum + report.handovers, 0);

    const ok = (): Promise<View> => network.viewWhere("h1", "OK", ({ state }) => state === "OK");

    test("each change in turn, on all hosts at once", async () => {
      const writer = network.writer("h2", ["h2", "h3"], ROUTER);
      const all = ["a1", "a2", "a3", "b1", "b2", "b3"];

      await network.edit((text) => `${text}redis maxmemory 300mb\n`);
      expect(nodesOf(await everywhere(), /set while it runs/)).toEqual(all);

      await network.edit((text) => `${text}redis tcp-backlog 300\n`);
      const restarted = await everywhere();
      expect(nodesOf(restarted, /restarted, in sync/)).toEqual(all);
      expect(handovers(restarted)).toBe(2);

      await network.edit((text) => `${text}redis appendonly yes\n`);
      expect(nodesOf(await everywhere(), /append only file is on/)).toEqual(all);

      await network.edit((text) =>
        text.replace(/^b3=.*$/m, (line) => line.replace(" 7002 ", " 7009 ")),
      );
      expect(nodesOf(await everywhere(), /its address or port changed/)).toEqual(["b3"]);

      // To another host: it leaves the one, and is copied anew on the other.
      const from = (await ok()).nodes.find(({ name }) => name === "a3");
      await network.edit((text) =>
        text.replace(/^a3=data 0 \S+ 7001/m, `a3=data 0 ${network.address("h1")} 7011`),
      );
      const moved = await everywhere();
      expect(nodesOf(moved, /^started$/)).toEqual(["a3"]);
      expect(nodesOf(moved, /it has left the cluster/)).toEqual(["a3"]);
      const view = await ok();
      const to = view.nodes.find(({ name }) => name === "a3");
      expect([from?.host, to?.host]).toEqual([network.address("h3"), network.address("h1")]);

      await network.edit((text) => `${text}r4=router ${network.address("h3")} 7015\n`);
      expect(nodesOf(await everywhere(), /^started$/)).toEqual(["r4"]);

      const seen = await writer.stop();
      expect(seen).toMatchObject({ lost: 0, unread: 0, staleReads: 0, errors: {} });
      expect(seen.acknowledged).toBeGreaterThan(1000);
    });

    test("a host that is cut off: the others wait and take no node of its partitions; then all finish", async () => {
      await ok();
      const before = await network.view("h1");
      await network.cut("h3");
      await network.viewWhere("h1", "h3 missed", ({ nodes }) =>
        nodes.some(({ name, role }) => name === "b1" && role === "dead"),
      );
      await network.edit((text) => text.replace("tcp-backlog 300", "tcp-backlog 301"));
      const [one, two] = await Promise.all([
        apply("h1", "--wait", "3s"),
        apply("h2", "--wait", "3s"),
      ]);
      for (const { code, stdout } of [one, two]) {
        expect(code).toBe(3);
        const restarted = nodesOf([JSON.parse(stdout) as Report], /restarted/);
        expect(restarted.filter((name) => name.startsWith("b"))).toEqual([]);
      }
      await network.mend("h3");
      await ok();
      const reports = await everywhere();
      const restarted = nodesOf(reports, /restarted, in sync/);
      expect(restarted.filter((name) => name.startsWith("b"))).toEqual(["b1", "b2", "b3"]);
      expect(before?.partitions).toHaveLength(2);
      expect((await ok()).state).toBe("OK");
    });

    test("a host that has left twine.conf: what ran there is stopped, and the others go on", async () => {
      const address = network.address("h3");
      await network.edit((text) =>
        text
          .split("\n")
          .filter((line) => !line.includes(` ${address} `))
          .join("\n"),
      );
      await everywhere();
      const view = await ok();
      expect(view.nodes.filter(({ host }) => host === address)).toEqual([]);
      expect(view.partitions.map(({ master }) => master)).not.toContain(null);
      expect(await network.redis("h2", "h2", ROUTER, ["SET k v", "GET k"])).toEqual(["OK", "v"]);
      const { stdout } = await network.tool("h3", "infra", "twine-apply", "--json");
      expect(stdout).toBe("");
    });
  },
);
