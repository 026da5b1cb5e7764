// migrate-refused.test.ts: what twine-follow must not do: follow its own nodes, a Sentinel or one master twice; forget how the
// Sentinels watched; stay here while an old master takes writes.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../../runtime/cli/package-root.ts";
import { bodyOf } from "../../runtime/move/follow/switch-over.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { askAlpha } from "../../runtime/register/ask-alpha.ts";
import { openSharedHashes } from "../../runtime/register/shared-hashes.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign, startSentinelProgram, type ForeignProgram } from "../support/foreign-stack.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

describe.skipIf(isMissing("redis-server", "redis-cli"))("twine-follow", () => {
  const cleanUp = cleanUpAfterAll();
  let cluster: FaultCluster;
  let olds: TestRedis[] = [];
  let sentinel: ForeignProgram;

  /** On a busy machine a server may take longer than the tool waits for it: tried again, with all that was said. */
  async function follow(...args: string[]): Promise<Ran> {
    const file = join(cluster.folder, "twine.conf");
    const command = [binPath("twine-follow", "runtime"), ...args, "--conf", file];
    let [stdout, stderr] = ["", ""];
    for (let tries = 1; ; tries++) {
      const ran = await runCommand(process.execPath, command, {});
      stdout += ran.stdout;
      stderr += ran.stderr;
      const isLate = /of 1 status nodes|can't be asked|does not say what|no alpha answered/.test(
        ran.stderr,
      );
      if (ran.code === 0 || !isLate || tries === 10) return { code: ran.code, stdout, stderr };
    }
  }

  /** It may be told to ask again, while a partition gets its master. */
  async function must(...args: string[]): Promise<string> {
    let ran = await follow(...args);
    await until(
      `${args.join(" ")} succeeds`,
      async () => {
        if (ran.code === 0) return true;
        ran = await follow(...args);
        return ran.code === 0;
      },
      120_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${ran.stderr}`);
    });
    return ran.stdout;
  }

  async function refused(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await follow(...args);
    expect(code, stdout + stderr).not.toBe(0);
    return stderr;
  }

  const port = (index: number): number => olds[index]?.port ?? 0;
  const url = (at: number, host = "127.0.0.1"): string => `redis://${host}:${at}`;
  const phases = async (): Promise<(string | undefined)[]> =>
    ((await cluster.view())?.partitions ?? []).map(({ following }) => following?.phase);
  const watched = async (): Promise<string> => {
    const args = ["-p", String(sentinel.port), "SENTINEL", "MASTERS"];
    return (await runCommand("redis-cli", args, {})).stdout;
  };
  const isMaster = async (index: number): Promise<boolean> => {
    const [info = ""] = await askForeign(port(index), [["INFO", "replication"]]);
    return info.includes("role:master");
  };

  beforeAll(async () => {
    const lines = ["repl-diskless-sync-delay 0"];
    olds = [await startRedis(lines, cleanUp), await startRedis(lines, cleanUp)];
    sentinel = await startSentinelProgram(
      olds.map((old, index) => ({ name: `shard-${index}`, port: old.port })),
      cleanUp,
    );
    const shape = { partitions: 2, nodesPerPartition: 1, nameOf: byLetter };
    cluster = await FaultCluster.create(clusterConf({ ...shape, lines: ["partitions 2"] }));
    cleanUp(() => cluster.remove());
    await cluster.start();
  });

  test("what is no master of another system is refused, and nothing is changed", async () => {
    expect(await refused("0", url(cluster.port("a1")))).toContain("is a1, a node of this cluster");
    expect(await refused("1", url(cluster.port("a1"), "localhost"))).toContain("is a1, a node");
    expect(await refused("0", url(sentinel.port))).toContain("is a Sentinel, no server with data");
    const line = ["cluster-enabled yes"];
    const member = await startRedis(line, cleanUp);
    expect(await refused("0", url(member.port))).toMatch(/Redis Cluster.*twine-load/s);
    expect(await refused("2", url(port(0)))).toContain("name one from 0 to 1");
    expect(await refused("--stay")).toContain("no --back was broken off");
    expect(await must("--finish")).toContain("nothing to finish");
    expect(await phases()).toEqual([undefined, undefined]);
    expect((await cluster.view())?.state).toBe("OK");
  }, 600_000);

  test("one master is followed by one partition, whatever its address is called", async () => {
    await must("0", url(port(0)));
    expect(await refused("1", url(port(0)))).toContain("partition 0 follows");
    expect(await refused("1", url(port(0), "localhost"))).toContain("partition 0 follows");
    // Nothing was taken over yet: --back would not end it.
    expect(await refused("--stay")).toMatch(/has not taken over.*twine-follow --switch/s);
    await must("1", url(port(1), "localhost"));
  }, 600_000);

  test("a switch that fails behind the Sentinels says how they watch again; they know no 'localhost'", async () => {
    const before = await watched();
    // In any order.
    for (const name of ["shard-0", "shard-1"]) expect(before).toContain(name);
    await until(
      "both are in sync",
      async () => {
        const view = await cluster.view();
        return view?.nodes.every(({ kind, inSync }) => kind !== "data" || inSync) === true;
      },
      120_000,
    );
    // One that looks like another Sentinel: the switch is refused when ours have let go.
    const other = await olds[1]?.link();
    await other?.call("CLIENT", "SETNAME", "sentinel-0123abcd-cmd");
    const { code, stdout, stderr } = await follow(
      "--switch",
      "--sentinel",
      `127.0.0.1:${sentinel.port}`,
    );
    expect(code, stderr).toBe(1);
    expect(stderr).toContain(`a Sentinel watches localhost:${port(1)}`);
    expect(await watched()).not.toContain("shard-");
    for (const text of [stdout, stderr]) {
      expect(text).toContain(`SENTINEL MONITOR shard-0 127.0.0.1 ${port(0)} 1`);
      expect(text).toContain(`SENTINEL MONITOR shard-1 127.0.0.1 ${port(1)} 1`);
    }
    expect(stderr).toContain("the Sentinels do not watch the old masters any more");
    expect(await isMaster(0)).toBe(true);
    await other?.call("CLIENT", "SETNAME", "");
    await must("--switch");
    expect(await isMaster(1)).toBe(false);
  }, 600_000);

  test("nobody stays here while an old master takes writes", async () => {
    // As when a --back was killed just behind the first old master's promotion.
    const ports = { config: cluster.config, password: undefined, clock: systemClock };
    const board = openSharedHashes({ ...ports, openLink: openRedisLink, user: "monitor" });
    cleanUp(() => board.close());
    const one = { partition: 0, following: { host: "127.0.0.1", port: port(0) } };
    const body = bodyOf("back", one, { by: "a test" });
    const ask = (): Promise<boolean> =>
      askAlpha(board, body, { clock: systemClock, id: randomUUID(), withinMs: 30_000 }).then(
        () => true,
        () => false,
      );
    await until("the alpha takes it", ask, 120_000);
    await until("nobody writes here", async () => (await phases())[0] === "fenced", 120_000);
    const [promoted = ""] = await askForeign(port(0), [["REPLICAOF", "NO", "ONE"]]);
    expect(promoted).toBe("OK");
    const stayed = await refused("--stay");
    expect(stayed).toContain(`127.0.0.1:${port(0)} already is master again`);
    expect(stayed).toContain("run twine-follow --back again");
    expect((await phases())[0]).toBe("fenced");
    await must("--back");
    expect(await phases()).toEqual(["copying", "copying"]);
    expect([await isMaster(0), await isMaster(1)]).toEqual([true, true]);
    // Complete now, so it is another command that takes over.
    expect(await refused("--stay")).toMatch(/already is master again.*twine-follow --switch/s);
  }, 600_000);
});
