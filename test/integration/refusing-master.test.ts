// A master that answers and yet takes no writes hands over to a replica that does: on real processes and a real small disk.
import { cp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { isWithoutMounts, smallDisk } from "../support/small-disk.ts";

const WITHIN_MS = 180_000;
const TWO = { dataNodes: 2, monitors: 3 };
const noRedis = isMissing("redis-server");

function troublesOf(view: View, name: string): string {
  const node = view.nodes.find((each) => each.name === name);
  return (node?.troubles ?? []).map(({ code, text }) => `${code} ${text}`).join("; ");
}

/** `name` is shown with `text`, and another node has become master. */
async function handedOver(cluster: FaultCluster, name: string, text: string): Promise<void> {
  await cluster.viewWhere(`${name} is shown, and another is master`, (view) => {
    const { master = null } = view.partitions[0] ?? {};
    return master !== null && master !== name && troublesOf(view, name).includes(text);
  });
}

/** So many idle clients of a port; one that is refused tries again, so that no connection that ends leaves room for long. */
function keepFull(port: number, count: number): void {
  let isOver = false;
  const sockets = new Set<Socket>();
  const open = (): void => {
    if (isOver) return;
    const socket = connect(port, "127.0.0.1");
    sockets.add(socket);
    socket.resume().on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      setTimeout(open, 20);
    });
  };
  for (let index = 0; index < count; index++) open();
  onTestFinished(() => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  });
}

test.skipIf(noRedis || isWithoutMounts())(
  "the disk under its AOF is full: what was acknowledged is on the next master",
  { timeout: WITHIN_MS },
  async () => {
    const cluster = await startedCluster(onePartition(TWO, "redis appendonly yes"));
    const small = (await cluster.partition(0)).replicas[0] ?? "";
    await cluster.kill(small);
    const data = cluster.path(small, "data");
    const copy = join(tmpdir(), `twine-small-${process.pid}`);
    onTestFinished(() => rm(copy, { recursive: true, force: true }));
    await cp(data, copy, { recursive: true });
    smallDisk(data, 8 * 1024);
    await cp(copy, data, { recursive: true });
    await cluster.launch(small);
    await cluster.viewWhere("OK again", ({ state, nodes }) => {
      const node = nodes.find(({ name }) => name === small);
      return state === "OK" && node?.inSync === true;
    });
    const writer = await startedWriter(cluster);
    await until(`${small} is master`, async () => {
      await runTool("runtime", "twine-failover", cluster.config.file, small);
      return (await cluster.partition(0)).master === small;
    });
    await handedOver(cluster, small, "its last write to the AOF failed");
    const count = writer.acknowledged.length;
    await until("keys are acknowledged", () => writer.acknowledged.length > count + 500);
    expect(await writer.stop()).toEqual([]);
  },
);

test.skipIf(noRedis)(
  "idle clients have taken all its connections: the alpha hands over on those that it has",
  { timeout: WITHIN_MS },
  async () => {
    const cluster = await startedCluster(onePartition(TWO));
    const master = (await cluster.partition(0)).master ?? "";
    await cluster.ask(master, "CONFIG", "SET", "maxclients", "40");
    keepFull(cluster.port(master), 60);
    await handedOver(cluster, master, "maxclients (40) is reached");
  },
);

test.skipIf(noRedis)(
  "status nodes put back from old copies: the old master is not promoted over a node that holds more",
  { timeout: WITHIN_MS },
  async () => {
    const cluster = await startedCluster(onePartition(TWO, "redis appendonly yes"));
    const { master, replicas } = await cluster.partition(0);
    const [old, other] = [master ?? "", replicas[0] ?? ""];
    const first = await startedWriter(cluster);
    await until("keys", () => first.acknowledged.length > 500);
    expect(await first.stop()).toEqual([]);
    const stream = async (name: string): Promise<string> => {
      const [, offset = ""] =
        /master_repl_offset:(\d+)/.exec(
          (await cluster.ask(name, "INFO", "replication")) as string,
        ) ?? [];
      return offset;
    };
    await until("both hold them", async () => (await stream(old)) === (await stream(other)));
    const status = cluster.config.nodes.filter(({ kind }) => kind === "status");
    const copies = join(tmpdir(), `twine-status-${process.pid}`);
    onTestFinished(() => rm(copies, { recursive: true, force: true }));
    for (const { name } of status) {
      await cp(cluster.path(name, "data"), join(copies, name), { recursive: true });
    }
    await cluster.kill(old);
    await cluster.viewWhere(`${other} serves`, ({ partitions }) => partitions[0]?.master === other);
    const second = await startedWriter(cluster);
    await until("more keys", () => second.acknowledged.length > 2000);
    expect(await second.stop()).toEqual([]);

    await cluster.stop();
    for (const { name } of status) {
      await rm(cluster.path(name, "data"), { recursive: true, force: true });
      await cp(join(copies, name), cluster.path(name, "data"), { recursive: true });
    }
    await cluster.heal().catch(() => undefined);
    const view = await cluster.viewWhere("a decision is asked for", ({ partitions }) =>
      (partitions[0]?.needs ?? "").includes(`--accept-loss ${other}`),
    );
    expect(view.partitions[0]?.master).toBeNull();
    expect(view.partitions[0]?.needs).toMatch(new RegExp(`${other} holds \\d+`));
  },
);
