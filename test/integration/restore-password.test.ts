// restore-password.test.ts: backup and restore of a cluster with a password: the tools are the user monitor, the nodes show
// the restore the password of replicas, and nobody else is served.
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { ClusterFolder } from "../support/cluster-folder.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const PASSWORD = "not-a-secret";

describe.skipIf(isMissing("redis-server"))("a cluster with a password", () => {
  test("is backed up and restored with it, and not without", async () => {
    const lines = ["cluster locked", "backup-dir backups", "redis appendonly yes"];
    const shape = { partitions: 2, nodesPerPartition: 2, nameOf: byLetter, statusNodes: 1 };
    const cluster = await ClusterFolder.create(
      clusterConf({ ...shape, monitors: 1, routers: 0, lines }),
    );
    const secret = join(cluster.folder, "password");
    await writeFile(secret, `${PASSWORD}\n`, { mode: 0o600 });
    const tool = (
      room: "infra" | "runtime",
      name: string,
      args: readonly string[] = [],
      password = secret,
    ): Promise<Ran> =>
      runCommand(process.execPath, [binPath(name, room), ...args, "--conf", cluster.file], {
        cwd: cluster.folder,
        env: { TWINE_PASSWORD_FILE: password },
      });
    onTestFinished(async () => {
      await tool("infra", "twine-stop");
      await cluster.end();
    });
    expect(await tool("infra", "twine-up", ["--wait", "60"])).toMatchObject({ code: 0 });
    const ask = async (words: readonly [string, ...string[]]): Promise<unknown> => {
      const credentials = credentialsOf("app", PASSWORD);
      const { out } = await statusJson(tool);
      const master = out.partitions[0]?.master ?? "";
      const address = { host: "127.0.0.1", port: cluster.port(master), db: 0 };
      const link = await openRedisLink(address, { credentials, connectTimeoutMs: 5000 });
      try {
        return await link.call(...words);
      } finally {
        link.close();
      }
    };
    await ask(["SET", "k", "saved"]);
    const listed = () => tool("runtime", "twine-backup", ["--list"]);
    await until("the alpha has backed up by itself", async () =>
      (await listed()).stdout.includes(" old "),
    );
    const backup = await tool("runtime", "twine-backup");
    expect([backup.code, backup.stderr]).toEqual([0, expect.not.stringContaining("error")]);
    await ask(["SET", "k", "later"]);

    const locked = await tool("runtime", "twine-restore", ["latest", "--yes"], "");
    expect(locked.code).toBe(1);
    expect(locked.stderr).toMatch(/TWINE_PASSWORD_FILE/);
    expect(await ask(["GET", "k"])).toBe("later");

    const restored = await tool("runtime", "twine-restore", ["latest", "--yes"]);
    expect([restored.code, restored.stderr]).toEqual([0, expect.not.stringContaining("error")]);
    expect(restored.stdout).toContain("were restored on 4 nodes");
    expect(await ask(["GET", "k"])).toBe("saved");
    await until("all is well again", async () => (await statusJson(tool)).out.state === "OK");
    // The nodes still let nobody in without a name and a password.
    expect(await withoutPassword(cluster.port("a1"))).toContain("NOAUTH");
    const log = await readFile(cluster.path("a1", "redis.log"), "utf8");
    expect(log).not.toContain(PASSWORD);
  }, 240_000);
});

type Tool = (room: "runtime", name: string, args: readonly string[]) => Promise<Ran>;

async function statusJson(tool: Tool) {
  const { stdout } = await tool("runtime", "twine-status", ["json"]);
  return {
    out: JSON.parse(stdout) as {
      readonly state: string;
      readonly partitions: readonly { readonly master: string | null }[];
    },
  };
}

function withoutPassword(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once("error", reject);
    socket.write("GET k\r\n");
  });
}
