// twine-cli.test.ts: `twine` and `twine-router` by their bins, over real redis-servers and a real register,
// without monitors: the test chooses the view itself.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { binPath } from "../support/bins.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { HandKeptView, RawClient } from "../support/router-cluster.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let folder = "";
let conf = "";
let servers: TestRedis[] = [];
const statusNodes: TestRedis[] = [];
let routerPort = 0;

/** `twine --conf FILE args`, with `input` on standard input. TMPDIR is ours, to see what is left in it. */
function twine(
  args: readonly string[],
  input = "",
  env: Record<string, string> = {},
): Promise<Ran> {
  return run("twine", ["--conf", conf, ...args], input, env);
}

function run(
  bin: string,
  args: readonly string[],
  input = "",
  env: Record<string, string> = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: folder, env: { ...process.env, TMPDIR: folder, ...env } };
    const path = binPath(bin, "runtime");
    const child = execFile(process.execPath, [path, ...args], options, (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out, err });
    });
    child.stdin?.end(input);
  });
}

describe.skipIf(isMissing("redis-server", "redis-cli"))("twine", () => {
  const cleanUp = cleanUpAfterAll();
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-cli-"));
    cleanUp(() => rm(folder, { recursive: true, force: true }));
    for (let count = 0; count < 3; count++) statusNodes.push(await startRedis([], cleanUp));
    servers = [await startRedis([], cleanUp), await startRedis([], cleanUp)];
    routerPort = await freePort();
    conf = join(folder, "twine.conf");
    const data = servers.map(
      ({ port }, index) => `n${port}=data ${index} localhost ${port} ${index}`,
    );
    const nodes = statusNodes.map(({ port }, index) => `s${index + 1}=status localhost ${port} 0`);
    const rest = ["m1=monitor localhost 7600", `r1=router localhost ${routerPort}`];
    const text = `${[...data, ...nodes, ...rest].join("\n")}\n`;
    await writeFile(conf, text);
    const { config } = parseConf(text, conf);
    if (config === undefined) throw new Error("the conf of this test does not parse");
    const view = new HandKeptView();
    const numbered = servers.map(({ port }, partition) => ({ port, partition }));
    view.show(
      numbered,
      servers.map(({ port }) => port),
    );
    const ports = { clock: systemClock, random: systemRandom };
    const open = { config, password: undefined, openLink: openRedisLink, clock: systemClock };
    const register = openAcceptors({ ...open, user: "monitor" });
    const { cluster } = config.settings;
    const proposer = createProposer({
      name: "m1",
      cluster,
      acceptors: register.acceptors,
      ...ports,
    });
    await until(
      "the register is prepared",
      async () => (await proposer.prepare()).kind === "prepared",
    );
    const body = JSON.stringify({ ...view.current(), cluster });
    const chosen = await proposer.write({ body, epoch: 1, revision: 1 });
    expect(chosen.kind).toBe("chosen");
    // A follower learns at the next accept that this body was chosen.
    await proposer.beat();
    register.close();
  });

  test("runs one command on the whole cluster and passes on redis-cli's exit code", async () => {
    expect(await twine(["set", "foo", "bar"])).toEqual({ code: 0, out: "OK\n", err: "" });
    expect((await twine(["get", "foo"])).out).toBe("bar\n");
    expect((await twine(["--json", "mget", "foo", "none"])).out).toBe('["bar",null]\n');
    expect(await twine(["-e", "debug", "sleep", "0"])).toMatchObject({ code: 1 });
    expect((await twine(["debug", "sleep", "0"])).out).toMatch(/'debug' is not supported/);
  });

  test("the password is for the nodes: redis-cli is asked for none, and says nothing of it", async () => {
    const all = [...servers, ...statusNodes];
    const links = await Promise.all(all.map((server) => server.link()));
    const passwordFile = join(folder, "password");
    const secret = credentialsOf("router", "pw")?.password ?? "";
    try {
      for (const link of links) {
        await link.call("ACL", "SETUSER", "router", "on", `>${secret}`, "~*", "&*", "+@all");
      }
      expect(await twine(["-a", "pw", "set", "foo", "baz"])).toEqual({
        ...{ code: 0, out: "OK\n", err: "" },
      });
      await writeFile(passwordFile, "pw\n", { mode: 0o600 });
      const env = { TWINE_PASSWORD_FILE: passwordFile, REDISCLI_AUTH: "of another server" };
      expect(await twine(["get", "foo"], "", env)).toEqual({ code: 0, out: "baz\n", err: "" });
    } finally {
      await rm(passwordFile, { force: true });
      for (const link of links) await link.call("ACL", "DELUSER", "router");
    }
  });

  test("commands come through a pipe, line by line", async () => {
    const input = 'set a 1\nincr a\nget "a"\nget "x\\x4\nping\n';
    const { out } = await twine([], input);
    expect(out.split("\n").slice(0, 3)).toEqual(["OK", "2", "2"]);
    expect(out).toMatch(/PONG/);
  });

  test("--pipe writes 1,000 keys, each into the partition that the hash names; --scan shows them", async () => {
    await twine(["flushall"]);
    const names = Array.from({ length: 1000 }, (_, index) => `key${index}`);
    const commands = names.map((name) =>
      encodeCommand(["SET", name, `value of ${name}`]).toString(),
    );
    const { out } = await twine(["--pipe"], commands.join(""));
    expect(out).toMatch(/errors: 0, replies: 1000/);
    const hash = builtinPartition("crc32", 2);
    for (const [partition, server] of servers.entries()) {
      const link = await server.link();
      await link.call("SELECT", partition);
      const expected = names.filter((name) => hash(Buffer.from(name)) === partition);
      expect(((await link.call("KEYS", "*")) as string[]).sort()).toEqual(expected.sort());
    }
    expect((await twine(["dbsize"])).out).toBe("1000\n");
    const scanned = (await twine(["--scan", "--pattern", "key99*"])).out.trim().split("\n");
    expect(scanned.sort()).toEqual(names.filter((name) => name.startsWith("key99")).sort());
    expect((await twine(["--bigkeys"])).out).toMatch(/Sampled 1000 keys in the keyspace/);
  });

  test("leaves no socket behind, and says no to another server", async () => {
    await twine(["ping"]);
    expect(readdirSync(folder)).toEqual(["twine.conf"]);
    const refused = await twine(["-p", "6379", "ping"]);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toMatch(/does not take redis-cli's option -p/);
  });

  test("help shows twine's own examples, and Roma's when called so", async () => {
    const { code, out } = await run("twine", ["--help"]);
    expect(code).toBe(0);
    expect(out).toMatch(/\$ twine set foo bar/);
  });

  test("without redis-cli it names twine-install", async () => {
    const { code, err } = await twine(["ping"], "", { PATH: folder });
    expect(code).toBe(1);
    expect(err).toMatch(/twine-install/);
  });

  test("without status nodes it ends soon with their names", async () => {
    const lonely = join(folder, "lonely.conf");
    const text = await readFile(conf, "utf8");
    const [one, two, three] = [await freePort(), await freePort(), await freePort()];
    const free = [one, two, three].values();
    const moved = text.replace(/^(s\d=status localhost) \d+/gm, (_, line: string) => {
      return `${line} ${String(free.next().value)}`;
    });
    await writeFile(lonely, moved);
    const ran = await run("twine", ["--conf", lonely, "ping"]);
    await rm(lonely);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/only 0 of 3 status nodes .* answered; s1: /);
    expect(ran.err).toMatch(/remedy: /);
  });

  test("twine-router serves the port of twine.conf until SIGTERM, and a taken port is a clear error", async () => {
    const path = binPath("twine-router", "runtime");
    const child = spawn(process.execPath, [path, "r1", "--conf", conf], { stdio: "ignore" });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    cleanUp(() => {
      child.kill("SIGKILL");
      return Promise.resolve();
    });
    let client: RawClient | undefined;
    await until("the router listens", async () => {
      client = await RawClient.open(routerPort).catch(() => undefined);
      return client !== undefined;
    });
    expect(await client?.call("SET a 1")).toBe("+OK\r\n");
    const second = await run("twine-router", ["r1", "--conf", conf]);
    expect(second.code).toBe(1);
    expect(second.err).toMatch(
      new RegExp(`router can.t listen on 127.0.0.1:${routerPort}: another process listens there`),
    );
    client?.socket.on("end", () => client?.socket.end());
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    const stranger = await run("twine-router", ["r9", "--conf", conf]);
    expect(stranger).toMatchObject({ code: 2 });
    expect(stranger.err).toMatch(/name one of its routers: r1/);
  });
});
