// http-token.test.ts: with http-token the pages of a real monitor and a real router ask for the token, and what watches
// processes does not need it.
import { connect } from "node:net";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MonitoredCluster } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RouterProcess } from "../support/router-process.ts";

const TOKEN = "a-token-of-enough-characters";

async function writeToken(folder: string, token: string): Promise<void> {
  const file = join(folder, "http-token");
  await writeFile(file, `${token}\n`);
  await chmod(file, 0o600);
}

async function statusOf(url: string, token?: string): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const { status } = await fetch(url, { headers });
  return status;
}

describe.skipIf(isMissing("redis-server"))("http-token", () => {
  test("a monitor answers who shows it, anybody on /healthz, and a changed token at once", async () => {
    const cluster = await MonitoredCluster.create({
      partitions: 1,
      nodesPerPartition: 1,
      dataSettings: [],
    });
    const folder = join(cluster.confFile, "..");
    await writeToken(folder, TOKEN);
    await cluster.writeConf(`${cluster.conf}http-token http-token\n`);
    cluster.startMonitors();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const url = (await cluster.fetch("m1", "/healthz")).url.replace("/healthz", "");
    for (const path of ["/status.json", "/status.html", "/metrics", "/nothing"]) {
      expect([path, await statusOf(url + path)]).toEqual([path, 401]);
      expect([path, await statusOf(url + path, `${TOKEN}x`)]).toEqual([path, 401]);
      expect(await statusOf(url + path, TOKEN)).toBe(path === "/nothing" ? 404 : 200);
    }
    expect(await statusOf(`${url}/healthz`)).toBe(200);
    await writeToken(folder, "another-token-of-enough");
    expect(await statusOf(`${url}/metrics`, TOKEN)).toBe(401);
    expect(await statusOf(`${url}/metrics`, "another-token-of-enough")).toBe(200);
    // What can't be read lets nobody in.
    await writeToken(folder, "short");
    expect(await statusOf(`${url}/metrics`, "short")).toBe(500);
  });

  test("a router's statistics likewise, and who asks nothing gets nothing; without the file it does not start", async () => {
    const router = await RouterProcess.launch({
      partitions: 1,
      settings: ["http-token http-token"],
    });
    expect(await router.exitCode()).toBe(1);
    expect(router.errors).toMatch(/http-token: ENOENT[^]*remedy: /);
    await writeToken(router.cluster.folder, TOKEN);
    const again = router.twin();
    await until("the router is started", () => again.says("started"));
    const url = `http://127.0.0.1:${again.statsPort}`;
    expect(await statusOf(`${url}/metrics`)).toBe(401);
    expect(await statusOf(`${url}/metrics`, TOKEN)).toBe(200);
    expect(await statusOf(`${url}/healthz`)).toBe(200);
    const silent = connect(again.statsPort, "127.0.0.1");
    const received: Buffer[] = [];
    silent.on("data", (bytes: Buffer) => received.push(bytes));
    silent.on("error", () => undefined);
    await new Promise((resolve) => silent.once("close", resolve));
    expect(Buffer.concat(received).length).toBe(0);
  });
});
