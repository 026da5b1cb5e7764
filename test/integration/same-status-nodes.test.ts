// Two clusters of real processes, both named twine as most are, on the same status nodes: the second one keeps out, says
// so everywhere in the same words, and leaves the first alone, even when the first has no monitor left.
import { readFile, writeFile } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { setup, start } from "../../infra/local/commands.ts";
import { silentProgress } from "../../infra/local/progress.ts";
import { TwineClient } from "../../runtime/client/twine-client.ts";
import { twineHome } from "../support/bins.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import type { View } from "../../runtime/core/view.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const OWN = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
m1=monitor localhost {m1}
m2=monitor localhost {m2}
m3=monitor localhost {m3}
r1=router localhost {r1}
partitions 1
`;
const NAMES = ["a1", "a2", "m1", "m2", "m3", "r1"];
const MONITORS = ["m1", "m2", "m3"];
const WORDS = 'these status nodes belong to another cluster that is named "twine" too';

const places = (view: View | null): string[] =>
  (view?.nodes ?? []).map(({ name, port }) => `${name} ${port}`);

interface Health {
  readonly ok: boolean;
  readonly why: string;
  readonly isAlpha: boolean;
}

async function health(cluster: FaultCluster, name: string): Promise<Health | undefined> {
  const url = `http://127.0.0.1:${cluster.port(name)}/healthz`;
  const answer = await fetch(url).catch(() => undefined);
  if (answer === undefined) return undefined;
  const health = (await answer.json()) as Health;
  expect(answer.status).toBe(health.ok ? 200 : 503);
  return health;
}

async function secondBeside(first: FaultCluster): Promise<FaultCluster> {
  const second = await FaultCluster.create(`${OWN}s1=status localhost ${first.port("s1")} 0\n`);
  onTestFinished(() => second.remove());
  const { config } = second;
  const request = { config, home: twineHome(), progress: silentProgress, nodes: NAMES };
  await setup(request);
  await start(request);
  return second;
}

test("a second cluster of the same name on the same status nodes keeps out and says why", async () => {
  const first = await FaultCluster.create(`${OWN}s1=status localhost {s1} 0\n`);
  onTestFinished(() => first.remove());
  await first.start();
  expect(await first.ask("r1", "SET", "whose", "the first's")).toBe("OK");
  const before = places(await first.view());

  const second = await secondBeside(first);
  for (const name of MONITORS) {
    await until(`the second ${name} keeps out`, async () => {
      const { ok, why } = (await health(second, name)) ?? { ok: true, why: "" };
      return !ok && why.startsWith(WORDS) && why.includes("give it a name");
    });
  }

  // Its tools, its router and its clients refuse in the same words.
  const { file } = second.config;
  for (const args of [[], ["json"]]) {
    const { code, err } = await runTool("runtime", "twine-status", file, ...args);
    expect([code, err]).toEqual([1, expect.stringContaining(WORDS)]);
  }
  for (const args of [["a2"], ["--what-if", "a1"], ["--accept-loss", "a1"]]) {
    const { code, err } = await runTool("runtime", "twine-failover", file, ...args);
    expect([code, err]).toEqual([1, expect.stringContaining(WORDS)]);
  }
  await expect(second.ask("r1", "GET", "whose")).rejects.toThrow(WORDS);
  const client = new TwineClient({ conf: file });
  client.on("error", () => undefined);
  const refused = await client.ready().catch((error: unknown) => error);
  client.disconnect();
  expect(refused instanceof TwineError ? refused.code : refused).toBe("CLUSTER_DIFFERS");
  const page = await fetch(`http://127.0.0.1:${second.port("m1")}/status.json`);
  expect(page.status).toBe(503);
  expect(await page.json()).toMatchObject({
    state: "HALT",
    problems: [{ code: "CLUSTER_DIFFERS" }],
  });

  // Without a monitor of its own the first cluster has no alpha, and gets none of the second's.
  expect((await first.view())?.state).toBe("OK");
  await first.kill(...MONITORS);
  const epoch = (await first.view())?.epoch;
  for (let look = 0; look < 200; look++) {
    expect((await first.view())?.epoch).toBe(epoch);
    expect((await health(second, "m1"))?.isAlpha).toBe(false);
  }
  await first.heal();
  const healed = await first.viewWhere("OK again", (view) => {
    return view.state === "OK" && view.epoch > (epoch ?? 0);
  });
  expect(places(healed)).toEqual(before);
  expect(await first.ask("r1", "GET", "whose")).toBe("the first's");

  // Said once by each monitor, as an error (pino: 50).
  for (const name of MONITORS) {
    const said = (await second.log(name)).filter(({ msg }) => msg === "-member");
    expect(said).toHaveLength(1);
    expect(said[0]).toMatchObject({
      level: 50,
      why: expect.stringContaining(WORDS) as string,
    });
  }
});

test("a monitor started twice under one name at two addresses counts once, and the second takes over from the first", async () => {
  const first = await FaultCluster.create(`${OWN}s1=status localhost {s1} 0\n`);
  onTestFinished(() => first.remove());
  await first.start();
  // The same cluster by another file, in which m1 stands elsewhere: nobody has adopted it.
  const moved = await FaultCluster.create(
    "m1=monitor localhost {m1}\ns1=status localhost {s1} 0\na1=data 0 localhost {a1} 0\n",
  );
  onTestFinished(() => moved.remove());
  const text = await readFile(first.config.file, "utf8");
  const line = `m1=monitor localhost ${moved.port("m1")}`;
  await writeFile(moved.config.file, text.replace(/^m1=.*$/m, line));
  const { config } = moved;
  const nodes = config.nodes.filter(({ name }) => name === "m1").map(({ name }) => name);
  const request = { config, home: twineHome(), progress: silentProgress, nodes };
  await setup(request);
  await start(request);
  await until("the second m1 keeps out", async () => {
    const why = (await health(moved, "m1"))?.why ?? "";
    return why.includes(`the cluster has its m1 at 127.0.0.1:${first.port("m1")}, which is alive`);
  });
  await first.kill("m1");
  await until("the second m1 takes part", async () => (await health(moved, "m1"))?.ok === true);
  await first.viewWhere("m1 is up", ({ state }) => state === "OK");
});

test("with another name the stamp tells: /healthz and twine-status name the other cluster, and the remedy", async () => {
  const first = await FaultCluster.create(`${OWN}s1=status localhost {s1} 0\n`);
  onTestFinished(() => first.remove());
  await first.start();
  const line = `s1=status localhost ${first.port("s1")} 0\ncluster other\n`;
  const second = await FaultCluster.create(`${OWN}${line}`);
  onTestFinished(() => second.remove());
  const { config } = second;
  const nodes = ["m1", "m2", "m3"];
  const request = { config, home: twineHome(), progress: silentProgress, nodes };
  await setup(request);
  await start(request);
  const remedy = "correct the status lines of twine.conf, or its cluster line";
  await until("the cause is told", async () => {
    const why = (await health(second, "m1"))?.why ?? "";
    return why.includes('s1 belongs to cluster "twine", not to "other"') && why.includes(remedy);
  });
  for (const tool of ["twine-status", "twine-failover"] as const) {
    const args = tool === "twine-failover" ? ["a1"] : [];
    const { code, err } = await runTool("runtime", tool, config.file, ...args);
    expect(code).toBe(1);
    expect(err).toContain('belongs to cluster "twine", not to "other"');
    expect(err).toContain(`remedy: ${remedy}`);
    expect(err).not.toContain("twine-start");
  }
});
