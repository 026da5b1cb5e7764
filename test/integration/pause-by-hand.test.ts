// pause-by-hand.test.ts: CLIENT PAUSE that somebody set on a serving master outlives a change of alpha.
import { describe, expect, test } from "vitest";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

const CONF = onePartition({ dataNodes: 2, monitors: 2 }, "cluster paused", "down-after 2s");

describe.skipIf(isMissing("redis-server"))("a pause of writes that was set by hand", () => {
  test("stands when another monitor becomes alpha and reaches the node", async () => {
    const cluster = await startedCluster(CONF);
    const { alpha = "", epoch = 0 } = (await cluster.view()) ?? {};
    const open = () =>
      openRedisLink(
        { host: "127.0.0.1", port: cluster.port("a1"), db: 0 },
        { connectTimeoutMs: 5000 },
      );
    const [link, writer] = [await open(), await open()];
    await link.call("CLIENT", "PAUSE", 600_000, "WRITE");
    let isWritten = false;
    const written = writer.call("SET", "k", "1").then(() => (isWritten = true));
    await cluster.kill(alpha);
    const other = alpha === "m1" ? "m2" : "m1";
    await cluster.viewWhere(
      "the other leads",
      (view) => view.epoch > epoch && view.alpha === other,
    );
    // Its connection is a second old: whatever it sends first has been answered.
    await until("it has reached a1", async () => {
      const list = await link.call("CLIENT", "LIST", "TYPE", "normal");
      return (typeof list === "string" ? list : "")
        .split("\n")
        .some((line) => new RegExp(` name=twined:${other}:${epoch + 1} age=[1-9]`).test(line));
    });
    expect(isWritten).toBe(false);
    await link.call("CLIENT", "UNPAUSE");
    await written;
    link.close();
    writer.close();
  });
});
