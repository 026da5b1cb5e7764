// password-nodes-only.test.ts: twine-password --nodes-only, as a program that renders the files itself uses it (containers): the
// running nodes accept exactly the passwords of the file, no file of theirs is written, and a node that is down is counted.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { ClusterFolder } from "../support/cluster-folder.ts";
import { onePartition } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const WITHIN_MS = 180_000;
const [OLD, NEW] = ["first-password", "second-password"];

describe.skipIf(isMissing("redis-server"))(
  "twine-password --nodes-only",
  { timeout: WITHIN_MS },
  () => {
    let cluster: ClusterFolder;
    let file: string;

    const tool = (room: "infra" | "runtime", bin: string, ...args: string[]): Promise<Ran> =>
      runCommand(process.execPath, [binPath(bin, room), ...args], {
        cwd: cluster.folder,
        env: { TWINE_PASSWORD_FILE: file },
      });
    const nodesOnly = async (...passwords: string[]): Promise<unknown> => {
      await writeFile(file, passwords.map((each) => `${each}\n`).join(""), { mode: 0o600 });
      const { code, stdout, stderr } = await tool(
        "infra",
        "twine-password",
        "--nodes-only",
        "--json",
      );
      expect([code, stderr]).toEqual([0, ""]);
      const { changed, down } = JSON.parse(stdout) as Record<string, string[]>;
      return { changed: changed?.toSorted(), down };
    };
    const letsIn = async (name: string, password: string): Promise<boolean> => {
      const redis = new Redis({
        ...{ host: "127.0.0.1", port: cluster.port(name), lazyConnect: true },
        ...{ maxRetriesPerRequest: 0, retryStrategy: () => null, enableReadyCheck: false },
        ...credentialsOf("app", password),
      });
      redis.on("error", () => undefined);
      return redis
        .connect()
        .then(
          () => true,
          () => false,
        )
        .finally(() => {
          redis.disconnect();
        });
    };
    const logins = (): Promise<boolean[][]> =>
      Promise.all(
        ["a1", "a2"].map((name) => Promise.all([OLD, NEW].map((each) => letsIn(name, each)))),
      );

    beforeAll(async () => {
      cluster = await ClusterFolder.create(
        onePartition({ dataNodes: 2, monitors: 1 }, "cluster nodesonly"),
      );
      file = join(cluster.folder, "password");
      await writeFile(file, `${OLD}\n`, { mode: 0o600 });
      for (const bin of ["twine-setup", "twine-start"]) {
        const ran = await tool("infra", bin);
        expect([ran.code, ran.stderr]).toEqual([0, ""]);
      }
      await until(
        "it is OK",
        async () => (await tool("runtime", "twine-status")).code === 0,
        WITHIN_MS,
      );
    }, WITHIN_MS);
    afterAll(() => cluster.end());

    test("the nodes accept both, then the new one alone; their files stay, and the link to the master holds", async () => {
      const files = ["redis.conf", "users.acl"].map((name) => cluster.path("a2", name));
      const before = await Promise.all(files.map((path) => readFile(path, "utf8")));
      expect(await logins()).toEqual([
        [true, false],
        [true, false],
      ]);
      expect(await nodesOnly(OLD, NEW)).toEqual({ changed: ["a1", "a2", "s1"], down: [] });
      expect(await logins()).toEqual([
        [true, true],
        [true, true],
      ]);
      expect(await nodesOnly(NEW, OLD)).toEqual({ changed: [], down: [] });
      expect(await nodesOnly(NEW)).toEqual({ changed: ["a1", "a2", "s1"], down: [] });
      expect(await logins()).toEqual([
        [false, true],
        [false, true],
      ]);
      expect(await Promise.all(files.map((path) => readFile(path, "utf8")))).toEqual(before);
      await until(
        "it is OK with the new password",
        async () => (await tool("runtime", "twine-status")).code === 0,
        60_000,
      );
    });

    test("a node that does not run is counted, and the others are changed", async () => {
      process.kill(await cluster.pid("a2"), "SIGKILL");
      await until("it is gone", async () => !(await cluster.isRunning("a2")));
      expect(await nodesOnly(NEW, OLD)).toEqual({ changed: ["a1", "s1"], down: ["a2"] });
      const { stdout } = await tool("infra", "twine-password", "--nodes-only");
      expect(stdout).toBe("0 nodes changed, 1 do not run\n");
    });
  },
);
