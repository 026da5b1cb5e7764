// router-stats.test.ts: the router's second port: twemproxy's statistics, as nutcracker itself says them, and Prometheus.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { readExposition, type ReadFamily } from "../support/exposition-grammar.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";
import { RouterProcess } from "../support/router-process.ts";

type Tree = Readonly<Record<string, unknown>>;

/** What a TCP port says to who says nothing, as `nc host port` shows it. */
function listenTo(port: number, says = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port });
    if (says === "end") socket.end();
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => {
      resolve(text);
    });
  });
}

/** A tree with every number as 0, to compare names and types alone. */
function shapeOf(tree: unknown): unknown {
  if (typeof tree === "number") return 0;
  if (typeof tree === "string") return "";
  const entries = Object.entries(tree as Tree).map(([name, value]) => [name, shapeOf(value)]);
  return Object.fromEntries(entries) as unknown;
}

function sample(family: ReadFamily | undefined, labels: Readonly<Record<string, string>>): number {
  const fits = family?.samples.filter((one) =>
    Object.entries(labels).every(([name, value]) => one.labels[name] === value),
  );
  return fits?.[0]?.value ?? Number.NaN;
}

async function metrics(router: RouterProcess): Promise<Map<string, ReadFamily>> {
  const answer = await router.fetch("/metrics");
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return readExposition(await answer.text());
}

async function stats(router: RouterProcess): Promise<Record<string, Record<string, number>>> {
  const text = await listenTo(router.statsPort);
  const { twine } = JSON.parse(text) as { twine: Record<string, Record<string, number>> };
  return twine;
}

/** nutcracker over the same servers, under the same names. */
async function startNutcracker(router: RouterProcess): Promise<number> {
  const [port, statsPort] = [await freePort(), await freePort()];
  const { cluster } = router;
  const lines = cluster.servers.map(([server], index) => {
    return `    - 127.0.0.1:${server?.port ?? 0}:1 p${index}-1`;
  });
  const file = join(cluster.folder, "nutcracker.yml");
  const pool = `twine:\n  listen: 127.0.0.1:${port}\n  redis: true\n  servers:\n`;
  await writeFile(file, `${pool}${lines.join("\n")}\n`);
  const args = ["-c", file, "-s", String(statsPort), "-a", "127.0.0.1"];
  const child = spawn("nutcracker", args, { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGTERM"));
  await until("nutcracker says its statistics", async () => {
    return (await listenTo(statsPort).catch(() => "")) !== "";
  });
  return statsPort;
}

describe.skipIf(isMissing("redis-server"))("a router's statistics", () => {
  test.skipIf(isMissing("nutcracker"))(
    "who only connects gets JSON with exactly the names that twemproxy's own port gives",
    async () => {
      const router = await RouterProcess.start();
      const theirs = await listenTo(await startNutcracker(router));
      const ours = await listenTo(router.statsPort);
      expect(shapeOf(JSON.parse(ours))).toEqual(shapeOf(JSON.parse(theirs)));
      expect([ours.endsWith("}\n"), ours.split("\n").length]).toEqual([true, 2]);
      // Also who says at once that it will say nothing, and who asks in HTTP.
      expect(shapeOf(JSON.parse(await listenTo(router.statsPort, "end")))).toEqual(
        shapeOf(JSON.parse(theirs)),
      );
      const answer = await router.fetch("/stats.json");
      expect(shapeOf(await answer.json())).toEqual(shapeOf(JSON.parse(theirs)));
    },
  );

  test("commands are counted by name with their errors, and every reply stands in one bucket", async () => {
    const router = await RouterProcess.start();
    const client = await router.client();
    // What comes before the first data node has reported its commands has no name.
    let asked = 0;
    const named = async (): Promise<number> => {
      const total = (await metrics(router)).get("twine_router_commands_total");
      return sample(total, { command: "dbsize" }) || 0;
    };
    await until("a data node has reported its commands", async () => {
      await client.call("DBSIZE");
      asked++;
      return (await named()) > 0;
    });
    const nameless = asked - (await named());
    const fragments = sample((await metrics(router)).get("twine_router_fragments_total"), {});
    for (let number = 0; number < 10; number++) await client.call(`SET k${number} v`);
    for (let number = 0; number < 20; number++) client.send(encodeCommand(["GET", `k${number}`]));
    for (let number = 0; number < 20; number++) await client.reply();
    await client.call("LPUSH k1 a");
    await client.call("MGET k0 k1 k2 k3 k4 k5 k6 k7");
    await client.call("PING");
    await client.call("MULTI");
    await client.call("INCR counter");
    await client.call("EXEC");
    await client.call("MADEUP");
    const families = await metrics(router);
    const count = (command: string): number[] =>
      ["commands_total", "command_errors_total"].map((name) =>
        sample(families.get(`twine_router_${name}`), { command }),
      );
    expect(count("set")).toEqual([10, 0]);
    expect(count("get")).toEqual([20, 0]);
    expect(count("lpush")).toEqual([1, 1]);
    expect([count("mget"), count("ping"), count("incr"), count("exec")]).toEqual(
      Array.from({ length: 4 }, () => [1, 0]),
    );
    expect(count("other")).toEqual([nameless + 1, 1]);
    const names = families
      .get("twine_router_commands_total")
      ?.samples.map(({ labels }) => labels["command"]);
    expect(names?.sort()).toEqual(
      "dbsize exec get incr lpush mget multi other ping set".split(" "),
    );
    const seconds = families.get("twine_router_command_seconds");
    const get = seconds?.samples.filter(({ labels }) => labels["command"] === "get") ?? [];
    const buckets = get.filter(({ name }) => name.endsWith("_bucket")).map(({ value }) => value);
    expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
    expect(buckets.at(-1)).toBe(20);
    expect(get.find(({ name }) => name.endsWith("_count"))?.value).toBe(20);
    expect(get.find(({ name }) => name.endsWith("_sum"))?.value).toBeGreaterThan(0);
    expect(sample(families.get("twine_router_fragments_total"), {})).toBe(fragments + 2);
  });

  test("requests, replies and bytes are counted per data node, clients and theirs at the front", async () => {
    const router = await RouterProcess.start({ partitions: 1 });
    const client = await router.client();
    const other = await router.client();
    await other.call("PING");
    for (let number = 0; number < 50; number++) await client.call("SET a 12345");
    const request = encodeCommand(["SET", "a", "12345"]).length;
    const twine = await stats(router);
    expect(twine).toMatchObject({ client_connections: 2, client_eof: 0, forward_error: 0 });
    expect(twine["p0-1"]).toMatchObject({
      ...{ requests: 50, request_bytes: 50 * request, responses: 50, response_bytes: 50 * 5 },
      ...{ server_connections: 1, in_queue: 0, out_queue: 0 },
    });
    other.socket.end();
    await until("a client that left is counted", async () => {
      return ((await stats(router))["client_eof"] as unknown) === 1;
    });
    const families = await metrics(router);
    expect(sample(families.get("twine_router_clients"), {})).toBe(1);
    expect(sample(families.get("twine_router_clients_accepted_total"), {})).toBe(2);
    const ping = encodeCommand(["PING"]).length;
    expect(sample(families.get("twine_router_received_bytes_total"), {})).toBe(50 * request + ping);
    expect(sample(families.get("twine_router_sent_bytes_total"), {})).toBe(50 * 5 + 7);
  });

  test("held requests, those on the wire and those that no node answered are shown where they are", async () => {
    const router = await RouterProcess.start({ partitions: 1, settings: ["hold-for 10s"] });
    const client = await router.client();
    await client.call("SET a 1");
    const server = router.cluster.server(0, 1);
    server.signal("SIGSTOP");
    for (let number = 0; number < 3; number++) client.send(encodeCommand(["INCR", "a"]));
    const queue = async (name: string): Promise<number> =>
      sample((await metrics(router)).get(`twine_router_partition_${name}`), { partition: "0" });
    await until("three are on the wire", async () => (await queue("out_queue")) === 3);
    expect((await stats(router))["p0-1"]).toMatchObject({
      out_queue: 3,
      out_queue_bytes: 3 * encodeCommand(["INCR", "a"]).length,
    });
    server.signal("SIGCONT");
    for (let number = 0; number < 3; number++) await client.reply();
    expect([await queue("out_queue"), await queue("held")]).toEqual([0, 0]);
    await router.cluster.show([null]);
    await until("the router knows", async () => {
      return ((await stats(router))["p0-1"]?.["server_ejected_at"] ?? 0) > 0;
    });
    client.send(encodeCommand(["INCR", "a"]));
    client.send(encodeCommand(["GET", "a"]));
    await until("two are held", async () => (await queue("held")) === 2);
    expect(await queue("in_queue")).toBe(2);
    const held = (await metrics(router)).get("twine_router_held_bytes");
    expect(sample(held, {})).toBe(
      encodeCommand(["INCR", "a"]).length + encodeCommand(["GET", "a"]).length,
    );
    expect([await client.reply(), await client.reply()].join()).toMatch(/TWINEDOWN.*TWINEDOWN/s);
    const families = await metrics(router);
    const unserved = families.get("twine_router_unserved_total");
    expect(sample(unserved, { error: "TWINEDOWN" })).toBe(2);
    expect(await stats(router)).toMatchObject({ forward_error: 2, server_ejects: 1 });
    const ejectedAtS = ((await stats(router))["p0-1"]?.["server_ejected_at"] ?? 0) / 1e6;
    expect(Math.abs(ejectedAtS - Date.now() / 1000)).toBeLessThan(60);
  });

  test("a connection that the node closes is counted as such, one that is refused as an error", async () => {
    const router = await RouterProcess.start({ partitions: 1 });
    const client = await router.client();
    await client.call("SET a 1");
    const server = router.cluster.server(0, 1);
    await (await server.link()).call("CLIENT", "KILL", "TYPE", "normal");
    await until("the end is counted", async () => {
      return (await stats(router))["p0-1"]?.["server_eof"] === 1;
    });
    await server.kill();
    client.send(encodeCommand(["GET", "a"]));
    await until("a refused connection is counted", async () => {
      return ((await stats(router))["p0-1"]?.["server_err"] ?? 0) > 0;
    });
    expect((await stats(router))["p0-1"]).toMatchObject({ server_connections: 0 });
  });

  test("healthz is 503 while nobody confirms the view, other paths and methods are refused by name", async () => {
    const router = await RouterProcess.start();
    await until("the view is confirmed", async () => (await router.fetch("/healthz")).ok);
    const healthy = await router.fetch("/healthz");
    expect([healthy.status, await healthy.json()]).toEqual([
      200,
      { ok: true, workers: 1, wanted: 1, confirmed: 1 },
    ]);
    const [missing, posted] = [await router.fetch("/nope"), await router.fetch("/metrics", "POST")];
    expect([missing.status, posted.status]).toEqual([404, 405]);
    expect(await missing.text()).toContain("/stats.json");
    await router.cluster.status.servers[0]?.kill();
    await until("nobody confirms", async () => (await router.fetch("/healthz")).status === 503);
  });
});
