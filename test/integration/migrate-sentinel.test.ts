// migrate-sentinel.test.ts: from a plain Sentinel set, without twemproxy, with a password: import, a failover of the old system
// in the middle, over, and back with Sentinel watching as before.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import type { View } from "../../runtime/core/view.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign, startSentinelProgram, type ForeignProgram } from "../support/foreign-stack.ts";
import { MovingWriter } from "../support/moving-writer.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const PASSWORD = "old-secret";
const LOGIN = ["AUTH", PASSWORD];
const cleanUp = cleanUpAfterAll();

async function oldServer(master?: TestRedis): Promise<TestRedis> {
  const lines = ["appendonly yes", "repl-diskless-sync-delay 0", `masterauth ${PASSWORD}`];
  const follows = master === undefined ? [] : [`replicaof 127.0.0.1 ${master.port}`];
  const server = await startRedis([...lines, ...follows], cleanUp);
  const link = await server.link();
  await link.call("CONFIG", "SET", "requirepass", PASSWORD);
  return server;
}

function sentinelFor(master: TestRedis, name: string): Promise<ForeignProgram> {
  return startSentinelProgram([{ name, port: master.port, password: PASSWORD }], cleanUp);
}

async function fieldsAt(port: number, ...command: string[]): Promise<Map<string, string>> {
  const args = ["-p", String(port), ...command];
  const words = (await runCommand("redis-cli", args, {})).stdout.trim().split("\n");
  return new Map(words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1] ?? ""]] : [])));
}

function knows(port: number, replicas: number, others: number): Promise<boolean> {
  return fieldsAt(port, "SENTINEL", "MASTER", "main").then(
    (fields) =>
      fields.get("num-slaves") === String(replicas) &&
      fields.get("num-other-sentinels") === String(others),
  );
}

test.skipIf(isMissing("redis-server", "redis-cli"))(
  "a plain Sentinel set: imported, followed over a failover of its own, left, and taken back",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "twine-plain-"));
    cleanUp(() => rm(folder, { recursive: true, force: true }));
    const secret = join(folder, "old-password");
    await writeFile(secret, `${PASSWORD}\n`, { mode: 0o600 });
    const env = { TWINE_SOURCE_PASSWORD_FILE: secret };
    const tool = (bin: string, ...args: string[]): Promise<Ran> =>
      runCommand(process.execPath, [binPath(bin, "runtime"), ...args], { env, cwd: folder });

    const master = await oldServer();
    const replica = await oldServer(master);
    const sentinels = [await sentinelFor(master, "main"), await sentinelFor(master, "main")];
    const [first, second] = sentinels;
    if (first === undefined || second === undefined) throw new Error("there are two");
    const ports = [first.port, second.port];
    await until("the Sentinels know all", async () =>
      (await Promise.all(ports.map((port) => knows(port, 1, 1)))).every(Boolean),
    );
    const writer = new MovingWriter(master.port, LOGIN);
    cleanUp(() => writer.stop());
    await until("the writer writes", () => writer.acknowledged.length > 100);

    // A set that one of the two does not know is refused, whichever is asked.
    const extra = await oldServer();
    await runCommand(
      "redis-cli",
      [
        "-p",
        String(second.port),
        "SENTINEL",
        "MONITOR",
        "extra",
        "127.0.0.1",
        String(extra.port),
        "1",
      ],
      {},
    );
    const refused = await tool("twine-import", first.file);
    expect(refused.code, refused.stdout).toBe(1);
    expect(refused.stderr).toMatch(/does not know extra/);
    await runCommand("redis-cli", ["-p", String(second.port), "SENTINEL", "REMOVE", "extra"], {});

    const imported = join(folder, "imported.conf");
    const ran = await tool("twine-import", first.file, "--port-offset", "9", "--output", imported);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stderr).toContain("proved");
    const text = await readFile(imported, "utf8");
    expect(text).toContain(`p0a=data 0 127.0.0.1 ${master.port + 9} 0`);
    expect(text).toContain(`p0b=data 0 127.0.0.1 ${replica.port + 9} 0`);
    expect(text).not.toContain(PASSWORD);

    // The same on ports that are free here, with monitors and a router.
    const cluster = await FaultCluster.create(
      text.replace(/^(p0[ab])=data 0 127\.0\.0\.1 \d+/gm, "$1=data 0 {$1}") +
        "s1=status {s1} 0\nm1=monitor {m1}\nr1=router {r1}\n",
    );
    cleanUp(() => cluster.remove());
    await cluster.start();
    const conf = ["--conf", join(cluster.folder, "twine.conf")];
    const must = async (...args: string[]): Promise<string> => {
      const done = await tool("twine-follow", ...args, ...conf);
      expect(`${args.join(" ")} ${done.code} ${done.stderr}`).toBe(`${args.join(" ")} 0 `);
      return done.stdout;
    };
    const copies = ({ nodes, partitions }: View): boolean =>
      partitions[0]?.following?.phase === "copying" &&
      nodes.every(({ kind, inSync }) => kind !== "data" || inSync);
    await must("0", `redis://127.0.0.1:${master.port}`);
    await cluster.viewWhere("both copy", copies);

    // The old system fails over while ours copy: Sentinel never promotes one of ours.
    const [failover = ""] = await askForeign(first.port, [["SENTINEL", "FAILOVER", "main"]]);
    expect(failover).toBe("OK");
    await until("its replica is master", async () => {
      const [, info = ""] = await askForeign(replica.port, [LOGIN, ["INFO", "replication"]]);
      return info.includes("role:master");
    });
    writer.moveTo(replica.port, LOGIN);
    const before = writer.acknowledged.length;
    await until("the writer writes there", () => writer.acknowledged.length > before + 50);
    await until("both Sentinels say so", async () => {
      const masters = await Promise.all(
        ports.map((port) => fieldsAt(port, "SENTINEL", "MASTER", "main")),
      );
      return masters.every((fields) => fields.get("port") === String(replica.port));
    });
    // A failover of Sentinel loses what its replica has not received; that is theirs, not ours.
    const lostByThem = await writer.missingAt(replica.port, LOGIN);
    await must("0", `redis://127.0.0.1:${replica.port}`);
    await cluster.viewWhere("both copy from the new master", copies);

    // Over.
    const out = await must("--switch", "--sentinel", `127.0.0.1:${first.port}`);
    writer.moveTo(cluster.port("r1"));
    await cluster.viewWhere("it serves", ({ partitions }) => partitions[0]?.master !== null);
    const moved = writer.acknowledged.length;
    await until("the writer writes here", () => writer.acknowledged.length > moved + 50);
    for (const port of ports) {
      expect((await fieldsAt(port, "SENTINEL", "MASTER", "main")).get("port")).toBeUndefined();
    }

    // And back, with what the switch printed.
    await must("--back");
    writer.moveTo(replica.port, LOGIN);
    const commands = out.split("\n").filter((line) => line.trim().startsWith("redis-cli "));
    expect(commands).toHaveLength(4);
    for (const command of commands) {
      const words = command.trim().replace("PASSWORD", PASSWORD).split(" ").slice(1);
      expect((await runCommand("redis-cli", words, {})).stdout.trim(), command).toBe("OK");
    }
    for (const port of ports) {
      await until("the Sentinel watches as before", async () => {
        const fields = await fieldsAt(port, "SENTINEL", "MASTER", "main");
        return (
          fields.get("flags") === "master" &&
          fields.get("down-after-milliseconds") === "1000" &&
          fields.get("port") === String(replica.port)
        );
      });
    }
    const back = writer.acknowledged.length;
    await until("the writer writes there again", () => writer.acknowledged.length > back + 50);
    await writer.stop();
    expect(await writer.missingAt(replica.port, LOGIN)).toEqual(lostByThem);
  },
  400_000,
);
