// A log that can't be written stops nobody: lines are dropped and counted, the process serves and ends as it should.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { logFile } from "../../runtime/ports/log-file.ts";
import { binPath } from "../support/bins.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";
import { isWithoutMounts, smallDisk } from "../support/small-disk.ts";

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "twine-log-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A bin of ours whose standard output is `output`. */
async function start(bin: string, name: string, output: string, ports: number[]) {
  const dir = await folder();
  const [monitor = 0, router = 0, stats = 0] = ports;
  const [data, status] = [await freePort(), await freePort()];
  const lines = [
    `a1=data 0 localhost ${data} 0`,
    `s1=status localhost ${status} 0`,
    `m1=monitor localhost ${monitor}`,
    `r1=router localhost ${router} ${stats}`,
  ];
  await writeFile(join(dir, "twine.conf"), `${lines.join("\n")}\n`);
  const fd = openSync(output, "a");
  const args = [binPath(bin, "runtime"), name];
  const child = spawn(process.execPath, args, { cwd: dir, stdio: ["ignore", fd, "ignore"] });
  closeSync(fd);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

async function textAt(url: string): Promise<string> {
  try {
    return await (await fetch(url)).text();
  } catch {
    return "";
  }
}

async function endOf(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null) return child.exitCode;
  const [code] = (await once(child, "exit")) as unknown[];
  return code;
}

test("a monitor whose log has no room serves, counts what it dropped, and ends at SIGTERM", async () => {
  const port = await freePort();
  const child = await start("twined", "m1", "/dev/full", [
    port,
    await freePort(),
    await freePort(),
  ]);
  const dropped = /twine_log_lines_dropped_total [1-9]/;
  await until("lines are dropped", async () =>
    dropped.test(await textAt(`http://127.0.0.1:${port}/metrics?only=twine`)),
  );
  child.kill("SIGTERM");
  expect(await endOf(child)).toBe(0);
});

test("a monitor opens its log anew at SIGHUP", async () => {
  const dir = await folder();
  const port = await freePort();
  const log = join(dir, "m1.log");
  const child = await start("twined", "m1", log, [port, await freePort(), await freePort()]);
  const has = async (file: string, event: string): Promise<boolean> =>
    (await readFile(file, "utf8").catch(() => "")).includes(`"msg":"${event}"`);
  await until("it has started", () => has(log, "+start"));
  await rename(log, `${log}.1`);
  child.kill("SIGHUP");
  await until("it writes to the new file", () => has(log, "+read"));
  child.kill("SIGTERM");
  expect(await endOf(child)).toBe(0);
  expect(await has(log, "+stop")).toBe(true);
  expect(await has(`${log}.1`, "+stop")).toBe(false);
});

test.skipIf(isWithoutMounts())(
  "a router whose disk for logs is full serves, counts what it dropped, and opens its log anew at SIGHUP",
  async () => {
    const dir = await folder();
    smallDisk(dir, 64);
    const log = join(dir, "r1.log");
    const [port, stats] = [await freePort(), await freePort()];
    await writeFile(log, "");
    await writeFile(join(dir, "filler"), Buffer.alloc(1024 * 1024)).catch(() => undefined);
    const child = await start("twine-router", "r1", log, [await freePort(), port, stats]);
    const dropped = /log_lines_dropped_total\S* [1-9]/;
    await until("lines are dropped", async () =>
      dropped.test(await textAt(`http://127.0.0.1:${stats}/metrics`)),
    );
    const client = await RawClient.open(port);
    expect(await client.call("PING")).toBe("+PONG\r\n");
    client.socket.destroy();
    expect(await readFile(log, "utf8")).toBe("");

    await rm(join(dir, "filler"));
    await rename(log, `${log}.1`);
    child.kill("SIGHUP");
    const text = (): Promise<string> => readFile(log, "utf8").catch(() => "");
    await until("the new file says how many lines are missing", async () =>
      /dropped/.test(await text()),
    );
    child.kill("SIGTERM");
    expect(await endOf(child)).toBe(0);
    expect(await text()).toContain('"msg":"stopped"');
  },
);

test("lines that found no room are counted, and the log says so once there is room again", async () => {
  const dir = await folder();
  const path = join(dir, "x.log");
  const full = openSync("/dev/full", "a");
  const lost = logFile(full, (count) => `lost ${count}\n`);
  lost.write("one\n");
  lost.write("two\n");
  expect(lost.droppedCount()).toBe(2);
  closeSync(full);
  // The same number now stands for a file with room.
  const room = openSync(path, "a");
  expect(room).toBe(full);
  lost.write("three\n");
  closeSync(room);
  expect(await readFile(path, "utf8")).toBe("lost 2\nthree\n");
  expect(lost.droppedCount()).toBe(2);
});
