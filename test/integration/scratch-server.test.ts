// A redis-server of our own in a private folder: what it loads, and that nothing of it is left whatever ends us.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import {
  AOF_SETTINGS,
  aofPath,
  openScratchServer,
} from "../../runtime/replication/scratch-server.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { textOf } from "../../runtime/resp/value.ts";
import { until } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";

const clock = systemClock;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("it loads an append only file, answers many calls in order, and leaves nothing behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-scratch-"));
  const commands = [["SELECT", "2"], ...[1, 2, 3].map((n) => ["SET", `k${n}`, `v${n}`])];
  writeFileSync(aofPath(folder), Buffer.concat(commands.map((words) => encodeCommand(words))));
  const settings = AOF_SETTINGS;
  const server = await openScratchServer({ folder, loads: "the test's file", clock, settings });
  expect([server.dbs, server.keyCount]).toEqual([[2], 3]);
  expect(statSync(server.path).mode & 0o777).toBe(0o700);
  const replies = await Promise.all([
    server.call("SELECT", "2"),
    ...[3, 1, 2].map((n) => server.call("GET", `k${n}`)),
  ]);
  expect(replies.map(textOf)).toEqual(["OK", "v3", "v1", "v2"]);
  await expect(server.call("GET")).rejects.toMatchObject({ kind: "refused" });
  const info = textOf(await server.call("INFO", "server")) ?? "";
  const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  expect(isRunning(pid)).toBe(true);
  await server.close();
  expect([isRunning(pid), existsSync(folder)]).toEqual([false, false]);
});

test("a file that can't be loaded is an error that names it and says why; the folder is gone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-scratch-"));
  writeFileSync(aofPath(folder), "*1\r\n$9\r\nnonsense\r\n");
  const settings = AOF_SETTINGS;
  const opened = openScratchServer({ folder, loads: "the test's file", clock, settings });
  await expect(opened).rejects.toMatchObject({ code: "SCRATCH_FAILED" });
  await expect(opened).rejects.toThrow(/the test's file: .*(Bad file format|append only)/s);
  expect(existsSync(folder)).toBe(false);
});

test("a program that is not there is an error", async () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-scratch-"));
  const opened = openScratchServer({ folder, loads: "it", clock, program: "/no/such/program" });
  await expect(opened).rejects.toThrow(/\/no\/such\/program/);
  expect(existsSync(folder)).toBe(false);
});

test("aborting it ends the server, and calls reject", async () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-scratch-"));
  const abort = new AbortController();
  const { signal } = abort;
  const server = await openScratchServer({ folder, loads: "nothing", clock, signal });
  abort.abort(new Error("enough"));
  await expect(server.call("PING")).rejects.toMatchObject({ kind: "aborted", message: "enough" });
  await until("its folder is gone", () => !existsSync(folder));
  await server.close();
});

test("kill -9 of the process that opened it ends the server and removes its folder", async () => {
  // Method: another process opens one and tells its pid; then it is killed.
  const folder = mkdtempSync(join(tmpdir(), "twine-scratch-"));
  const program = `
    import { openScratchServer } from "${ROOT}/runtime/replication/scratch-server.ts";
    import { systemClock } from "${ROOT}/runtime/ports/clock.ts";
    const server = await openScratchServer({ folder: "${folder}", loads: "it", clock: systemClock });
    const info = await server.call("INFO", "server");
    console.log(/process_id:(\\d+)/.exec(info.bytes.toString())[1]);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const pid = await new Promise<number>((resolve) => {
    child.stdout.once("data", (data: Buffer) => {
      resolve(Number(data.toString()));
    });
  });
  expect([isRunning(pid), readdirSync(folder)]).toEqual([true, expect.arrayContaining(["s"])]);
  child.kill("SIGKILL");
  await until("the server is gone", () => !isRunning(pid));
  await until("its folder is gone", () => !existsSync(folder));
});
