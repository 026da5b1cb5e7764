// router-workers.test.ts: one router of several processes: they share its port, one's death is nobody else's, and their
// figures are one router's.
import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { readExposition } from "../support/exposition-grammar.ts";
import { until } from "../support/redis-server.ts";
import type { RawClient } from "../support/router-cluster.ts";
import { RouterProcess } from "../support/router-process.ts";

/** Four processes have to start, on machines that are busy with other tests. */
const SLOW = { timeout: 180_000 };
const WORKERS = { settings: ["workers 3"] };

/** Which worker a client is with: CLIENT ID counts per worker. */
async function workerOf(client: RawClient): Promise<number> {
  const id = Number((await client.call("CLIENT ID")).slice(1));
  return Math.floor(id / 2 ** 32);
}

/** Clients of two workers at least; the system spreads them at random. */
async function clientsOfSeveral(router: RouterProcess): Promise<Map<RawClient, number>> {
  const clients = new Map<RawClient, number>();
  await until("clients of two workers", async () => {
    const client = await router.client();
    clients.set(client, await workerOf(client));
    return clients.size >= 12 && new Set(clients.values()).size > 1;
  });
  return clients;
}

async function metric(router: RouterProcess, name: string, command?: string): Promise<number> {
  const families = readExposition(await (await router.fetch("/metrics")).text());
  const samples = families.get(name)?.samples ?? [];
  return samples.find(({ labels }) => labels["command"] === command)?.value ?? 0;
}

/** Sends INCRs of its own key without a pause until it is told to stop; fails at any reply that is not the next number. */
class SteadyWriter {
  count = 0;
  wrong: string | undefined;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(client: RawClient, key: string) {
    this.#done = this.#run(client, key);
  }

  async #run(client: RawClient, key: string): Promise<void> {
    while (!this.#isStopped && this.wrong === undefined) {
      const batch = Array.from({ length: 20 }, () => encodeCommand(["INCR", key]));
      client.send(Buffer.concat(batch));
      for (let number = 0; number < batch.length; number++) {
        const reply = await client.reply();
        if (reply === `:${this.count + 1}\r\n`) this.count++;
        else this.wrong ??= reply;
        if (reply === "closed") return;
      }
    }
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.#done;
  }
}

describe.skipIf(isMissing("redis-server") || process.platform !== "linux")("workers", SLOW, () => {
  test("kill -9 of one worker under load: its clients reconnect, the clients of the others see nothing", async () => {
    const router = await RouterProcess.start(WORKERS);
    const before = await router.workers();
    expect(before).toHaveLength(3);
    const clients = [...(await clientsOfSeveral(router))];
    const writers = clients.map(([client, worker], index) => ({
      worker,
      writer: new SteadyWriter(client, `k${index}`),
    }));
    await until("all are writing", () => writers.every(({ writer }) => writer.count > 100));
    // Workers are numbered in the order of their start, and so are their processes.
    const doomed = clients[0]?.[1] ?? 0;
    process.kill(before[doomed - 1] ?? 0, "SIGKILL");
    const [lost, kept] = [true, false].map((isLost) =>
      writers.filter(({ worker }) => (worker === doomed) === isLost),
    );
    await until("its clients are closed", () =>
      (lost ?? []).every((one) => one.writer.wrong !== undefined),
    );
    const counts = (kept ?? []).map(({ writer }) => writer.count);
    await until("the others go on", () =>
      (kept ?? []).every(({ writer }, at) => writer.count > (counts[at] ?? 0) + 100),
    );
    expect((kept ?? []).map(({ writer }) => writer.wrong)).toEqual(counts.map(() => undefined));
    expect((lost ?? []).map(({ writer }) => writer.wrong)).toEqual(lost?.map(() => "closed"));
    // They may come again at once, whether or not the new worker is there.
    for (const [index] of (lost ?? []).entries()) {
      const again = await router.client();
      expect(await again.call(`SET again${index} 1`)).toBe("+OK\r\n");
    }
    await until("there are three again", async () => {
      const now = await router.workers();
      return now.length === 3 && (await router.fetch("/healthz")).ok;
    });
    for (const { writer } of writers) await writer.stop();
    expect(await metric(router, "twine_router_worker_restarts_total")).toBe(1);
    expect(await metric(router, "twine_router_workers")).toBe(3);
    expect(router.log).toContain('"signal":"SIGKILL"');
  });

  test("figures of all workers are one sum, which never falls when a worker dies", async () => {
    const router = await RouterProcess.start(WORKERS);
    const clients = [...(await clientsOfSeveral(router)).keys()];
    await Promise.all(
      clients.map(async (client, index) => {
        for (let count = 0; count < 10; count++) await client.call(`SET k${index} ${count}`);
      }),
    );
    const sets = (): Promise<number> => metric(router, "twine_router_commands_total", "set");
    await until("all are counted", async () => (await sets()) === clients.length * 10);
    expect(await metric(router, "twine_router_clients")).toBe(clients.length);
    const [doomed = 0] = await router.workers();
    process.kill(doomed, "SIGKILL");
    await until("it is replaced", async () => {
      expect(await sets()).toBe(clients.length * 10);
      const isReplaced = !(await router.workers()).includes(doomed);
      return isReplaced && (await metric(router, "twine_router_workers")) === 3;
    });
    expect(await sets()).toBe(clients.length * 10);
    expect(await metric(router, "twine_router_clients")).toBeLessThan(clients.length);
    for (const client of clients) client.socket.destroy();
    await until("nobody is left", async () => (await metric(router, "twine_router_clients")) === 0);
  });

  test("a worker that hangs delays nobody's statistics for long, and what it said last still counts", async () => {
    const router = await RouterProcess.start(WORKERS);
    const client = await router.client();
    for (let count = 0; count < 5; count++) await client.call("SET a 1");
    const sets = (): Promise<number> => metric(router, "twine_router_commands_total", "set");
    await until("they are counted", async () => (await sets()) > 0);
    const before = await sets();
    const [hanging = 0] = await router.workers();
    process.kill(hanging, "SIGSTOP");
    try {
      expect(await sets()).toBe(before);
    } finally {
      process.kill(hanging, "SIGCONT");
    }
  });

  test("SIGTERM drains all workers, the parent ends last with 0, and the port is free again", async () => {
    const router = await RouterProcess.start(WORKERS);
    const workers = await router.workers();
    const clients = [...(await clientsOfSeveral(router)).keys()];
    const replies = clients.map((client) => client.call("SET a 1"));
    expect(await Promise.all(replies)).toEqual(clients.map(() => "+OK\r\n"));
    const ends = clients.map((client) => client.reply());
    expect(await router.end("SIGTERM")).toBe(0);
    expect(await Promise.all(ends)).toEqual(clients.map(() => "closed"));
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await expect(router.client()).rejects.toThrow("ECONNREFUSED");
  });

  test("SIGHUP reaches every worker, and a file that can't be used leaves them all as they were", async () => {
    const router = await RouterProcess.start(WORKERS);
    const { confFile, conf } = router.cluster;
    // Each says every error of the file in a line of its own.
    const said = (what: string): number => {
      const lines = router.log.split("\n").filter((line) => line.includes(what));
      return new Set(lines.map((line) => /"pid":(\d+)/.exec(line)?.[1])).size;
    };
    await writeFile(confFile, `${conf}max-clients 7\n`);
    router.child.kill("SIGHUP");
    await until("three have read it", () => said("twine.conf is read anew") === 3);
    await writeFile(confFile, "nonsense\n");
    router.child.kill("SIGHUP");
    await until("three have refused it", () => said("twine.conf is not taken") === 3);
    expect(await (await router.client()).call("SET a 1")).toBe("+OK\r\n");
  });

  test("a worker that can't start ends the parent with its error and its exit code", async () => {
    const users = { settings: ["workers 2", "users-file missing.users"] };
    const router = await RouterProcess.launch(users);
    expect(await router.exitCode()).toBe(1);
    expect(router.errors).toContain("missing.users");
  });

  test("a second router on the port of one with workers is told that it is taken, and so is its twin", async () => {
    const router = await RouterProcess.start(WORKERS);
    const twin = router.twin();
    expect(await twin.exitCode()).toBe(1);
    expect(twin.errors).toContain(`127.0.0.1:${router.port}: another process listens there`);
    expect(await (await router.client()).call("SET a 1")).toBe("+OK\r\n");
  });

  test("workers end when their parent is killed, so that its successor finds the port free", async () => {
    const router = await RouterProcess.start(WORKERS);
    const workers = await router.workers();
    await router.end("SIGKILL");
    const isGone = (pid: number): boolean => {
      try {
        return !process.kill(pid, 0);
      } catch {
        return true;
      }
    };
    await until("the workers are gone", () => workers.every(isGone));
    const successor = router.twin();
    await until("the successor is started", () => successor.says("started"));
  });
});
