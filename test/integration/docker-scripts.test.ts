// docker-scripts.test.ts: what runs inside a data node's container, on real redis-servers: the entrypoint that claims
// the volume and turns a stop into a request for a handover, and the health check that asks for role and sync.
// Method: the planned files, their folders moved from /etc/twine and /data to temporary ones, run by /bin/sh.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { planCluster } from "../../infra/plan/plan-cluster.ts";
import { renderFile } from "../../infra/render/render-file.ts";
import { credentialsOf, type RedisUser } from "../../runtime/core/credentials.ts";
import { configOf, TEMPLATES } from "../golden/render-cases.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";

const PASSWORD = "correct-horse";

interface Running {
  readonly process: ChildProcess;
  log: string;
}

/** Waits; a failure shows what for. */
function reach(isTrue: () => boolean, withinMs?: number): Promise<void> {
  return until(isTrue.toString(), isTrue, withinMs);
}

let folder = "";
let ports: Readonly<Record<string, number>> = {};
let running: Running[] = [];

/** Writes all planned files into the folder, as if each node's container had them. */
function lay(more = ""): void {
  const { a1, a2, s1, m1 } = ports;
  const config = configOf(
    `cluster here\na1=data 0 127.0.0.1 ${a1} 0\na2=data 0 127.0.0.1 ${a2} 0\n` +
      `s1=status 127.0.0.1 ${s1} 0\nm1=monitor 127.0.0.1 ${m1}\n${more}`,
  );
  const plan = planCluster(config, { confPath: "", hasPassword: true, placement: "containers" });
  for (const file of plan.hosts.flatMap((host) => host.files)) {
    const [node = ""] = file.path.split("/");
    const at = { files: join(folder, node), data: join(folder, node, "data") };
    mkdirSync(at.data, { recursive: true });
    const values = {
      ...file.values,
      ...at,
      paths: { data: at.data, log: "", acl: join(at.files, "users.acl") },
    };
    writeFileSync(join(folder, file.path), renderFile({ ...file, values }, TEMPLATES, PASSWORD));
  }
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "twine-scripts-"));
  const [a1, a2, s1, m1] = [await freePort(), await freePort(), await freePort(), await freePort()];
  ports = { a1, a2, s1, m1 };
  running = [];
  lay();
});

afterEach(async () => {
  for (const { process } of running) process.kill("SIGTERM");
  await reach(() => running.every(({ process }) => process.exitCode !== null), 40_000);
  rmSync(folder, { recursive: true, force: true });
});

function start(node: string): Running {
  const child = spawn("/bin/sh", [join(folder, node, "entrypoint.sh")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const one = { process: child, log: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (one.log += chunk.toString()));
  }
  running.push(one);
  return one;
}

function health(node: string): { code: number | null; text: string } {
  const result = spawnSync("/bin/sh", [join(folder, node, "health.sh")], { encoding: "utf8" });
  return { code: result.status, text: result.stdout.trim() };
}

function ask(node: string, user: RedisUser, ...command: string[]): string {
  const secret = credentialsOf(user, PASSWORD)?.password ?? "";
  const port = String(ports[node]);
  return spawnSync("redis-cli", ["--user", user, "--no-auth-warning", "-p", port, ...command], {
    encoding: "utf8",
    env: { ...process.env, REDISCLI_AUTH: secret },
  }).stdout.trim();
}

/** a1 master, a2 its replica and in sync, s1 up. */
async function startPartition(): Promise<Running> {
  const a1 = start("a1");
  start("a2");
  start("s1");
  await reach(() => ["a1", "a2"].every((node) => ask(node, "monitor", "ROLE").startsWith("slave")));
  ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
  ask("a2", "monitor", "REPLICAOF", "127.0.0.1", String(ports["a1"]));
  await reach(() => health("a2").code === 0);
  return a1;
}

describe("the health check", () => {
  test("a dead node is not healthy, a master is, and a replica once it is in sync", async () => {
    start("a1");
    start("a2");
    await reach(() => health("a1").text === "dead: waits for its role");
    ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
    expect(health("a1")).toEqual({ code: 0, text: "master" });
    await reach(() => health("a2").text === "dead: waits for its role");
    ask("a2", "monitor", "REPLICAOF", "127.0.0.1", String(ports["a1"]));
    await reach(() => health("a2").code === 0);
    expect(health("a2").text).toMatch(/^replica in sync, at the master's offset \d+$/);
  });

  test("a dead node waits no longer once only nodes that are not there can become master", async () => {
    start("a1");
    await reach(() => health("a1").code === 0, 30_000);
    expect(health("a1").text).toBe(`dead: its partition waits for 127.0.0.1:${ports["a2"]}`);
  });

  test("a status node is healthy when it answers", async () => {
    expect(health("s1").code).toBe(1);
    start("s1");
    await reach(() => health("s1").code === 0);
  });
});

describe("the entrypoint", () => {
  test("an empty volume is stamped, and taken again later", async () => {
    const stamp = join(folder, "s1/data/twine-stamp");
    const first = start("s1");
    await reach(() => health("s1").code === 0);
    expect(readFileSync(stamp, "utf8")).toBe("cluster here\n");
    first.process.kill("SIGTERM");
    await reach(() => first.process.exitCode !== null);
    expect(first.process.exitCode).toBe(0);
    start("s1");
    await reach(() => health("s1").code === 0);
  });

  test("another cluster's volume is refused and left as it is", async () => {
    writeFileSync(join(folder, "a1/data/twine-stamp"), "cluster other\n");
    const { process, log } = await ended(start("a1"));
    expect(process.exitCode).toBe(1);
    expect(log).toMatch(/belongs to 'cluster other', not to 'cluster here'/);
  });

  test("a volume with data and without a stamp is refused", async () => {
    writeFileSync(join(folder, "a1/data/dump.rdb"), "somebody's");
    const { process, log } = await ended(start("a1"));
    expect(process.exitCode).toBe(1);
    expect(log).toMatch(/dump\.rdb and no stamp/);
  });

  test("appendonly yes on a volume that holds dump.rdb alone: its data is loaded, and kept after a kill", async () => {
    const data = join(folder, "a1/data");
    await fillDump();
    lay("redis appendonly yes\n");
    const first = start("a1");
    await reach(() => ask("a1", "monitor", "ROLE").startsWith("slave"));
    expect(first.log).toMatch(/its data is in dump\.rdb; loading it/);
    ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
    expect(ask("a1", "app", "GET", "foo")).toBe("bar");
    expect(readdirSync(data).sort()).toEqual(["appendonlydir", "dump.rdb", "twine-stamp"]);
    rmSync(join(data, "dump.rdb"));
    first.process.kill("SIGTERM");
    await ended(first);
    start("a1");
    await reach(() => ask("a1", "monitor", "ROLE").startsWith("slave"));
    ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
    expect(ask("a1", "app", "GET", "foo")).toBe("bar");
  });

  test("an append only file that can't be written from dump.rdb stops the node, and dump.rdb stays", async () => {
    const data = join(folder, "a1/data");
    await fillDump();
    lay("redis appendonly yes\n");
    const before = readFileSync(join(data, "dump.rdb"));
    // No folder can be made of that name.
    writeFileSync(join(data, "appendonlydir"), "");
    const { process, log } = await ended(start("a1"));
    expect(process.exitCode).toBe(1);
    expect(log).toMatch(/could not be written[^]*dump\.rdb is as it was/);
    expect(readFileSync(join(data, "dump.rdb"))).toEqual(before);
  });

  test("appendonly no on a volume with an append only file is refused, with the way out", async () => {
    lay("redis appendonly yes\n");
    const first = start("a1");
    await reach(() => ask("a1", "monitor", "ROLE").startsWith("slave"));
    ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
    ask("a1", "app", "SET", "foo", "bar");
    first.process.kill("SIGTERM");
    await ended(first);
    lay();
    const { process, log } = await ended(start("a1"));
    expect(process.exitCode).toBe(1);
    expect(log).toMatch(/data is in an append only file[^]*redis appendonly yes/);
  });

  test("a master with a replica that is told to stop asks for a handover and awaits the answer", async () => {
    const a1 = await startPartition();
    ask("a1", "app", "SET", "foo", "bar");
    a1.process.kill("SIGTERM");
    const asked = (): string => ask("s1", "monitor", "HVALS", "here:request");
    await reach(() => asked().includes('"kind":"handover"'));
    const request = JSON.parse(asked()) as { id: string; state: string; body: { node: string } };
    expect(request).toMatchObject({ state: "asked", body: { node: "a1" } });
    // What the alpha does, as far as the node can see it.
    const answer = JSON.stringify({ ...request, state: "done" });
    ask("s1", "monitor", "HSET", "here:request", request.id, answer);
    const { process, log } = await ended(a1);
    expect(process.exitCode).toBe(0);
    expect(log).toMatch(/was handed over/);
  });

  test("a node that is no master any more goes on until the answer: the new one may still read from it", async () => {
    const a1 = await startPartition();
    a1.process.kill("SIGTERM");
    const asked = (): string => ask("s1", "monitor", "HVALS", "here:request");
    await reach(() => asked().includes('"kind":"handover"'));
    // Half way through a handover: replica of nowhere, its own replicas still in its stream.
    ask("a1", "monitor", "REPLICAOF", "127.0.0.1", "1");
    await reach(() => ask("a1", "monitor", "ROLE").startsWith("slave"));
    const request = JSON.parse(asked()) as { id: string; state: string };
    expect(request.state).toBe("asked");
    // It has looked for the answer twice since: it waits on.
    const looked = (): number =>
      Number(/cmdstat_hget:calls=(\d+)/.exec(ask("s1", "monitor", "INFO", "commandstats"))?.[1]);
    const before = looked();
    await reach(() => looked() >= before + 2);
    expect(ask("a1", "monitor", "ROLE")).toMatch(/^slave/);
    const answer = JSON.stringify({ ...request, state: "done" });
    ask("s1", "monitor", "HSET", "here:request", request.id, answer);
    const { log } = await ended(a1);
    expect(log).toMatch(/was handed over/);
  });

  test("nobody answers: the node stops all the same, and takes its request back", async () => {
    const a1 = await startPartition();
    a1.process.kill("SIGTERM");
    const { log } = await ended(a1);
    expect(log).toMatch(/no alpha answered; stopping/);
    expect(ask("s1", "monitor", "HVALS", "here:request")).toMatch(/"state":"refused"/);
  });
});

/** Leaves a1 stopped, with its data in dump.rdb alone. */
async function fillDump(): Promise<void> {
  const a1 = start("a1");
  await reach(() => ask("a1", "monitor", "ROLE").startsWith("slave"));
  ask("a1", "monitor", "REPLICAOF", "NO", "ONE");
  ask("a1", "app", "SET", "foo", "bar");
  a1.process.kill("SIGTERM");
  await ended(a1);
  expect(readdirSync(join(folder, "a1/data")).sort()).toEqual(["dump.rdb", "twine-stamp"]);
}

async function ended(one: Running): Promise<Running> {
  await reach(() => one.process.exitCode !== null, 40_000);
  return one;
}
