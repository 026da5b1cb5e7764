// router-keepalive.test.ts: the router asks the system to find out when the machine of a client or a node is gone, and what
// such a client waited for is not given to it later.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { CutNetwork, isWithoutNamespaces } from "../support/cut-network.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

const run = promisify(execFile);

/** The keepalive timers of this process's sockets, in seconds, by `ss`; NaN for a socket without one. */
async function timersOf(filter: string): Promise<number[]> {
  const { stdout } = await run("ss", ["-tnoH", "state", "established", filter]);
  return stdout
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => secondsOf(/timer:\(keepalive,([^,]+),/.exec(line)?.[1] ?? ""));
}

/** As ss writes it: 4min59sec, 59sec, 1.2ms; below ten seconds with thousandths. */
function secondsOf(text: string): number {
  const [, minutes = "0", seconds = "0"] = /^(?:(\d+)min)?(?:([\d.]+?)sec)?$/.exec(text) ?? [];
  return text === "" ? Number.NaN : Number(minutes) * 60 + Number(seconds);
}

/** A plain client, a blocked one, and so shared and dedicated connections to the node. */
async function clientsOf(cluster: RouterCluster): Promise<void> {
  const [plain, blocked] = [await cluster.client(), await cluster.client()];
  expect(await plain.call("SET a 1")).toBe("+OK\r\n");
  blocked.send("BLPOP nothing 0\r\n");
  const link = await cluster.servers[0]?.link();
  await until(
    "it is blocked",
    async () =>
      ((await link?.call("INFO", "clients")) as string | undefined)?.includes(
        "blocked_clients:1",
      ) === true,
  );
}

describe.skipIf(isMissing("redis-server", "ss"))("keepalive of a router's sockets", () => {
  test.each([
    ["300 s unless set otherwise", [], 300],
    ["as tcp-keepalive says", ["tcp-keepalive 70s"], 70],
  ])("is %s, at clients' and at nodes' sockets", async (_, settings: string[], seconds) => {
    const cluster = await startRouterCluster({ partitions: 1, settings });
    await clientsOf(cluster);
    const fits = (timer: number): boolean => timer > seconds - 30 && timer <= seconds;
    // While bytes are not acknowledged yet ss shows another timer in its place.
    let ofClients: number[] = [];
    let ofNode: number[] = [];
    const allFit = async (): Promise<boolean> => {
      ofClients = await timersOf(`sport = :${cluster.port}`);
      ofNode = await timersOf(`dport = :${cluster.servers[0]?.port ?? 0}`);
      // One of those to the node is this test's own link.
      return ofClients.filter(fits).length === 2 && ofNode.filter(fits).length === 2;
    };
    await until("every socket has it", allFit, 20_000).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify({ ofClients, ofNode })}`, {
        cause: error,
      });
    });
    expect(ofNode.length).toBe(3);
  });

  test("is off with tcp-keepalive 0s", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["tcp-keepalive 0s"] });
    await clientsOf(cluster);
    expect(await timersOf(`sport = :${cluster.port}`)).toEqual([Number.NaN, Number.NaN]);
  });
});

const CONF = `
a1=data 0 h1 7001 0
s1=status h1 7003 0
m1=monitor h1 7004
r1=router h1 7005
r3=router h3 7005
r2=router h2 7005
cluster vanished
tcp-keepalive 2s
`;
const ROUTER = 7005;

describe.skipIf(await isWithoutNamespaces())("a client whose host vanishes", () => {
  test("takes no element from a list later, and its connection is closed", async () => {
    const network = await CutNetwork.start(CONF);
    onTestFinished(() => network.remove());
    const ask = (...commands: string[]): Promise<string[]> =>
      network.redis("h1", "h1", ROUTER, commands);
    const answer = network.redis("h3", "h1", ROUTER, ["CLIENT SETNAME away", "BLPOP queue 0"]);
    await until("it is blocked", async () =>
      (await ask("INFO clients")).some((line) => line.startsWith("blocked_clients:1")),
    );
    const isThere = async (): Promise<boolean> =>
      (await ask("CLIENT LIST")).some((line) => line.includes("name=away"));
    expect(await isThere()).toBe(true);
    // No FIN, no RST: packets are lost.
    await network.cut("h3");
    await until("the router has closed its connection", async () => !(await isThere()));
    expect(await ask("RPUSH queue element", "LLEN queue", "LPOP queue")).toEqual([
      "1",
      "1",
      "element",
    ]);
    await network.mend("h3");
    expect((await answer).join()).not.toContain("element");
  });
});
