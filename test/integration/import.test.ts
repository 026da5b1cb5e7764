// import.test.ts: twine-import on the real things: keys written through nutcracker, masters that Sentinel moved, a Redis
// Cluster's own list, passwords, and every refusal.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import {
  askForeign,
  startNutcracker,
  startSentinelProgram,
  type ForeignProgram,
} from "../support/foreign-stack.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const PASSWORD = "old-secret";

describe.skipIf(isMissing("nutcracker", "redis-server"))("twine-import", () => {
  const cleanUp = cleanUpAfterAll();
  let folder = "";
  let masters: TestRedis[] = [];
  let replicas: TestRedis[] = [];
  let proxy: ForeignProgram;
  let sentinel: ForeignProgram;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-import-"));
    cleanUp(() => rm(folder, { recursive: true, force: true }));
    masters = [await startRedis([], cleanUp), await startRedis([], cleanUp)];
    replicas = await Promise.all(
      masters.map(({ port }) => startRedis([`replicaof 127.0.0.1 ${port}`], cleanUp)),
    );
    for (const server of [...replicas, ...masters]) {
      const own = await server.link();
      await own.call("CONFIG", "SET", "masterauth", PASSWORD);
      await own.call("CONFIG", "SET", "requirepass", PASSWORD);
    }
    proxy = await startNutcracker(
      [
        ...["hash: fnv1a_64", "distribution: ketama", 'hash_tag: "{}"', "redis: true"],
        ...[`redis_auth: ${PASSWORD}`, "auto_eject_hosts: true", "servers:"],
        ...masters.map(({ port }, index) => `- 127.0.0.1:${port}:${index + 1} shard-${index}`),
      ],
      cleanUp,
    );
    sentinel = await startSentinelProgram(
      masters.map(({ port }, index) => ({ name: `shard-${index}`, port, password: PASSWORD })),
      cleanUp,
    );
    const keys = Array.from({ length: 500 }, (_, at) =>
      at % 3 === 0 ? `user:{${at}}:name` : `item:${at}`,
    );
    await askForeign(proxy.port, [["AUTH", PASSWORD], ...keys.map((key) => ["SET", key, "1"])]);
  });

  function link(port: number): Promise<RedisLink> {
    return openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 2000 }).then(
      async (opened) => {
        await opened.call("AUTH", PASSWORD);
        return opened;
      },
    );
  }

  function importTool(
    args: readonly string[],
    more: { cwd?: string; input?: string; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Ran> {
    return runCommand(process.execPath, [binPath("twine-import", "runtime"), ...args], more);
  }

  function file(name: string, text: string, mode?: number): Promise<string> {
    const path = join(folder, name);
    return writeFile(path, text, mode === undefined ? {} : { mode }).then(() => path);
  }

  test("the pool's keys are found by the twine.conf that it writes, and proved on the live servers", async () => {
    await until("the Sentinel knows the replicas", async () => {
      const text = await readFile(sentinel.file, "utf8");
      return text.split("known-replica").length === 3;
    });
    const out = join(folder, "twine.conf");
    const ran = await importTool([
      ...[proxy.file, sentinel.file, "--port-offset", "20", "--output", out],
    ]);
    expect(ran.stderr).toContain("proved: every sampled key stays where it is");
    expect(ran.stderr).toContain("ejects servers that fail");
    expect(ran.code).toBe(0);
    const text = await readFile(out, "utf8");
    expect(text).not.toContain(PASSWORD);
    const { config } = parseConf(text, out);
    expect(config?.nodes.map(({ kind, port }) => [kind, port])).toEqual([
      ["data", (masters[0]?.port ?? 0) + 20],
      ["data", (replicas[0]?.port ?? 0) + 20],
      ["data", (masters[1]?.port ?? 0) + 20],
      ["data", (replicas[1]?.port ?? 0) + 20],
      ["router", proxy.port + 20],
    ]);
    if (config === undefined) throw new Error("it parses");
    const partitioner = await loadPartitioner(config);
    for (const [partition, server] of masters.entries()) {
      const own = await link(server.port);
      const keys = (await own.call("KEYS", "*")) as string[];
      own.close();
      expect(keys.length).toBeGreaterThan(20);
      for (const key of keys) expect(partitioner.partitionOf(Buffer.from(key))).toBe(partition);
    }
    await partitioner.close();
    // Twice to the same file: what is there is kept.
    const again = await importTool([proxy.file, "--output", out]);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("name a file that does not exist yet");
  });

  test("every command of docs/import.md does what the page says", async () => {
    const page = await readFile(new URL("../../docs/import.md", import.meta.url), "utf8");
    const place = await mkdtemp(join(folder, "page-"));
    for (const [name, from] of [
      ["nutcracker.yml", proxy.file],
      ["sentinel.conf", sentinel.file],
    ] as const) {
      await writeFile(join(place, name), await readFile(from, "utf8"));
    }
    const line = `${"a".repeat(40)} 127.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\n`;
    await writeFile(join(place, "nodes.txt"), line);
    const commands = [...page.matchAll(/^\$ twine-import (.*)$/gm)].map(([, args = ""]) => args);
    expect(commands.length).toBeGreaterThan(3);
    for (const args of commands) {
      const ran = await importTool(args.split(" "), { cwd: place });
      expect(`${args}: ${ran.code} ${ran.code === 0 ? "" : ran.stderr}`).toBe(`${args}: 0 `);
    }
    expect(
      parseConf(await readFile(join(place, "twine.conf"), "utf8"), "twine.conf").errors,
    ).toEqual([]);
    const { stdout } = await importTool(["--help"]);
    const options = [...page.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, option = ""]) => option);
    expect(options.length).toBeGreaterThan(8);
    for (const option of options) expect(stdout).toContain(option);
  });

  test("misplaced keys, as ejected servers leave them, are named with what to do", async () => {
    const [first, second] = [await link(masters[0]?.port ?? 0), await link(masters[1]?.port ?? 0)];
    try {
      const [key = ""] = (await first.call("KEYS", "item:*")) as string[];
      await second.call("SET", key, "late");
      const ran = await importTool([proxy.file]);
      expect(ran.code).toBe(10);
      expect(ran.stderr).toContain(
        `"${key}" lies on 127.0.0.1:${masters[1]?.port} and belongs on 127.0.0.1:${masters[0]?.port}`,
      );
      expect(ran.stderr).toContain("MIGRATE");
      // The conf is written all the same.
      expect(parseConf(ran.stdout, "twine.conf").errors).toEqual([]);
      const json = JSON.parse((await importTool([proxy.file, "--json"])).stdout) as {
        proof: { misplaced: { key: string }[] };
      };
      expect(json.proof.misplaced.map((found) => found.key)).toEqual([key]);
      await second.call("DEL", key);
    } finally {
      first.close();
      second.close();
    }
  });

  test("another hash than the pool's is noticed", async () => {
    const text = (await readFile(proxy.file, "utf8")).replace("fnv1a_64", "md5");
    const ran = await importTool([await file("other.yml", text)]);
    expect(ran.code).toBe(10);
    expect(ran.stderr).toContain("if every key is wrong, correct hash");
  });

  test("a key that is no text is hashed by its bytes", async () => {
    const socket = await link(masters[0]?.port ?? 0);
    await socket.call("EVAL", "return redis.call('SET', '\\255\\254bytes', '1')", 0);
    const ran = await importTool([proxy.file, "--json"]);
    const { proof } = JSON.parse(ran.stdout) as { proof: { misplaced: { key: string }[] } };
    // Where it lies was chosen by this test; if it is misplaced it is shown without losing a byte.
    for (const { key } of proof.misplaced) expect(key).toBe("\\xff\\xfebytes");
    await socket.call("EVAL", "return redis.call('DEL', '\\255\\254bytes')", 0);
    socket.close();
  });

  test("a Sentinel's set of one master needs no hash; of two it does", async () => {
    const two = await importTool([sentinel.file, "--offline"]);
    expect(two.code).toBe(1);
    expect(two.stderr).toContain("does not say which keys lie where");
    const known = await importTool([sentinel.file, "--offline", "--hash", "crc16"]);
    expect(known.stdout).toContain("hash crc16\n");
    const conf = await readFile(sentinel.file, "utf8");
    const lines = conf.split("\n").filter((line) => !line.includes("shard-1"));
    const one = await importTool([await file("one.conf", lines.join("\n")), "--offline"]);
    expect(one.code).toBe(0);
    expect(one.stdout).toContain("partitions 1\nhash crc32\n");
  });

  test("the passwords of files that the environment names win", async () => {
    const text = (await readFile(proxy.file, "utf8")).replace(/ +redis_auth.*\n/, "");
    const yml = await file("no-auth.yml", text);
    const denied = await importTool([yml]);
    expect(denied.code).toBe(1);
    expect(denied.stderr).toContain("TWINE_SOURCE_PASSWORD_FILE");
    expect(denied.stderr.match(/can't be sampled/g)).toHaveLength(2);
    const secret = await file("secret", `${PASSWORD}\n`, 0o600);
    const ran = await importTool([yml], { env: { TWINE_SOURCE_PASSWORD_FILE: secret } });
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("proved") as string]);
  });

  test("the Sentinels' truth wins when a failover has made the file old", async () => {
    const ctl = await openRedisLink(
      { host: "127.0.0.1", port: sentinel.port },
      { connectTimeoutMs: 2000 },
    );
    await until("the Sentinel fails over", async () => {
      const reply = await ctl.call("SENTINEL", "FAILOVER", "shard-0").catch(String);
      return reply === "OK";
    });
    await until("the replica is master", async () => {
      const [, port] = (await ctl.call(
        "SENTINEL",
        "GET-MASTER-ADDR-BY-NAME",
        "shard-0",
      )) as string[];
      return Number(port) === replicas[0]?.port;
    });
    ctl.close();
    await until("the old master follows", async () => {
      const ran = await importTool([proxy.file, "--sentinel", `127.0.0.1:${sentinel.port}`]);
      return ran.code === 0 && ran.stderr.includes("the Sentinels know");
    });
    // Without asking, the file's server is a replica now, and refuses to be the proof.
    await until("the old master is a replica", async () => {
      const stale = await importTool([proxy.file]);
      return stale.code === 1 && stale.stderr.includes("is no master");
    });
  });

  test("Sentinels that disagree are named, both", async () => {
    const other = await startSentinelProgram(
      [
        { name: "shard-0", port: masters[1]?.port ?? 0, password: PASSWORD },
        { name: "shard-1", port: masters[1]?.port ?? 0, password: PASSWORD },
      ],
      cleanUp,
    );
    const ran = await importTool([
      proxy.file,
      sentinel.file,
      "--sentinel",
      `127.0.0.1:${other.port}`,
    ]);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("the Sentinels disagree about shard-0");
    expect(ran.stderr).toContain(`127.0.0.1:${other.port}`);
    await other.kill();
  });

  test("redis-cli cluster nodes: every key of a real cluster's node is proved", async () => {
    const server = await startRedis(["cluster-enabled yes", "cluster-node-timeout 1000"], cleanUp);
    const own = await server.link();
    await own.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383);
    await until("the cluster is well", async () =>
      ((await own.call("CLUSTER", "INFO")) as string).includes("cluster_state:ok"),
    );
    for (let at = 0; at < 50; at += 1) await own.call("SET", `k{${at}}`, "1");
    const nodes = (await own.call("CLUSTER", "NODES")) as string;
    const ran = await importTool(["-"], { input: nodes });
    expect([ran.code, ran.stderr]).toEqual([
      0,
      expect.stringContaining("50 of 50 keys sampled") as string,
    ]);
    expect(ran.stdout).toContain("hash crc16 slots 0-16383\nhash-tag {}\n");
  });
});
