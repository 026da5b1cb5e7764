// migrate-password.test.ts: docs/migrate.md with a password on either side: the old one is shown while copying, ours
// afterwards, and the old master shows ours for the way back.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { clusterConf } from "../support/cluster-conf.ts";
import { ClusterFolder } from "../support/cluster-folder.ts";
import { askForeign } from "../support/foreign-stack.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const OLD_PASSWORD = "old-secret";

test("passwords on both sides: forward, back, and forward again", async () => {
  const old = await startRedis(["repl-diskless-sync-delay 0"]);
  const link = await old.link();
  await link.call("SET", "kept", "1");
  await link.call("CONFIG", "SET", "requirepass", OLD_PASSWORD);
  const cluster = await ClusterFolder.create(
    clusterConf({ nodesPerPartition: 2, statusNodes: 1, monitors: 1, routers: 1 }),
  );
  onTestFinished(() => cluster.end());
  const secret = async (name: string, text: string): Promise<string> => {
    await writeFile(join(cluster.folder, name), `${text}\n`, { mode: 0o600 });
    return join(cluster.folder, name);
  };
  const env = {
    TWINE_PASSWORD_FILE: await secret("ours", "our-secret"),
    TWINE_SOURCE_PASSWORD_FILE: await secret("theirs", OLD_PASSWORD),
  };
  const run = (room: "infra" | "runtime", bin: string, ...args: string[]): Promise<Ran> =>
    runCommand(process.execPath, [binPath(bin, room), ...args], { cwd: cluster.folder, env });
  const must = async (
    room: "infra" | "runtime",
    bin: string,
    ...args: string[]
  ): Promise<string> => {
    const { code, stdout, stderr } = await run(room, bin, ...args);
    expect(`${bin} ${code} ${code === 0 ? "" : stderr}`).toBe(`${bin} 0 `);
    return stdout.trim();
  };
  onTestFinished(async () => void (await run("infra", "twine-stop")));
  const oldInfo = async (): Promise<string> => {
    const words = [
      ["AUTH", OLD_PASSWORD],
      ["INFO", "replication"],
    ];
    return (await askForeign(old.port, words))[1] ?? "";
  };
  const isOk = async (): Promise<boolean> => (await run("runtime", "twine-status")).code === 0;

  await must("infra", "twine-up");
  await must("runtime", "twine-follow", "0", `redis://127.0.0.1:${old.port}`);
  await until("both copy", async () => (await oldInfo()).includes("connected_slaves:2"));
  await must("runtime", "twine-follow", "--switch");
  await until("the cluster is OK", isOk);
  expect(await must("runtime", "twine", "get", "kept")).toBe("1");
  await must("runtime", "twine", "set", "later", "2");
  await until("the old one follows ours", async () =>
    (await oldInfo()).includes("master_link_status:up"),
  );
  await must("runtime", "twine-follow", "--back");
  await until("ours copy again", async () => (await oldInfo()).includes("connected_slaves:2"));
  const [, later] = await askForeign(old.port, [
    ["AUTH", OLD_PASSWORD],
    ["GET", "later"],
  ]);
  expect(later).toBe("2");
  await must("runtime", "twine-follow", "--switch");
  await until("the cluster is OK again", isOk);
  expect(await must("runtime", "twine", "get", "later")).toBe("2");
});
