// monitor-descriptors.test.ts: a monitor that may open few files: clients of its ports can't take those with which it
// reaches its nodes.
import { describe, expect, onTestFinished, test } from "vitest";
import { clusterConf } from "../support/cluster-conf.ts";
import { ClusterFolder } from "../support/cluster-folder.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RegisterView } from "../support/register-view.ts";
import { RawClient } from "../support/router-cluster.ts";
import { TwineProcess } from "../support/twine-process.ts";

/** More than the monitor may have open. */
const CLIENTS = 400;

describe.skipIf(isMissing("redis-server"))("a monitor under ulimit -n 256", () => {
  test("replaces a lost master while clients hold every connection that its ports give", async () => {
    const shape = { nodesPerPartition: 3, secondPorts: true };
    const folder = await ClusterFolder.create(clusterConf(shape));
    onTestFinished(() => folder.end());
    const servers = await folder.startServers({ data: "dead" });
    const monitor = new TwineProcess("twined", "m1", folder.file, 256);
    onTestFinished(async () => {
      await monitor.end("SIGKILL");
    });
    const register = new RegisterView(folder.config);
    onTestFinished(() => {
      register.close();
    });
    const before = await register.where("it is OK", ({ state }) => state === "OK");
    const master = before.partitions[0]?.master ?? "";

    const open = (name: string): Promise<RawClient[]> =>
      Promise.all(Array.from({ length: CLIENTS }, () => RawClient.open(folder.port(name))));
    const held = [...(await open("m1")), ...(await open("m1-2"))];
    onTestFinished(() => {
      for (const { socket } of held) socket.destroy();
    });
    await until("the ports take no more", () => {
      const taken = held.filter(({ socket }) => !socket.destroyed).length;
      return taken > 0 && taken < 256 / 2;
    });
    await servers.get(master)?.kill();
    await register.where("another master", ({ partitions }) => {
      const now = partitions[0]?.master ?? null;
      return now !== null && now !== master;
    });
    // Those that it took are served.
    const [client] = held.slice(CLIENTS).filter(({ socket }) => !socket.destroyed);
    expect(await client?.call("PING")).toBe("+PONG\r\n");
    expect(monitor.errors).toBe("");
  });
});
