// Who may do what at a router: AUTH with one and two arguments, users with hashed passwords, users who only read.
import { execFile } from "node:child_process";
import { truncate } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Redis } from "ioredis";
import { createClient } from "@redis/client";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";
import { routerFolder, sha256, type RouterFolder } from "../support/router-files.ts";

const run = promisify(execFile);

const OK = "+OK\r\n";
const WRONGPASS = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const NOAUTH = "-NOAUTH Authentication required.\r\n";
const USERS = ["users-file users"];

/** A router with the users app (secret), writer (w) and reader (r, who only reads); nodes that ask for passwords. */
async function withUsers(): Promise<{ cluster: RouterCluster; folder: RouterFolder }> {
  const folder = await routerFolder();
  await folder.write("users", `writer ${sha256("w")}\nreader ${sha256("r")} read-only\n`);
  const file = `${folder.path}/twine.conf`;
  const options = { partitions: 2, settings: USERS, password: "secret", file };
  const cluster = await startRouterCluster(options);
  const router = credentialsOf("router", "secret")?.password ?? "";
  for (const server of cluster.servers) {
    const link = await server.link();
    await link.call("ACL", "SETUSER", "router", "on", `>${router}`, "~*", "&*", "+@all");
  }
  return { cluster, folder };
}

describe.skipIf(isMissing("redis-server"))("a router's users", () => {
  test("nothing is answered before AUTH but what Redis answers then", async () => {
    const { cluster } = await withUsers();
    const client = await cluster.client();
    for (const command of ["GET a", "PING", "INFO", "MULTI", "SUBSCRIBE a", "NONSENSE"]) {
      expect(await client.call(command)).toBe(NOAUTH);
    }
    expect(await client.call("HELLO 3")).toMatch(/^-NOAUTH HELLO must be called with the client/);
    expect(await client.call("AUTH secret")).toBe(OK);
    expect(await client.call("SET a 1")).toBe(OK);
    expect(await client.call("RESET")).toBe("+RESET\r\n");
    expect(await client.call("GET a")).toBe(NOAUTH);
  });

  test("one argument is the password of app, two name the user; anything else is WRONGPASS", async () => {
    const { cluster } = await withUsers();
    const client = await cluster.client();
    for (const wrong of ["AUTH w", "AUTH app w", "AUTH writer secret", "AUTH nobody x", "AUTH x"]) {
      expect(await client.call(wrong)).toBe(WRONGPASS);
    }
    expect(await client.call("AUTH a b c")).toBe("-ERR syntax error\r\n");
    for (const right of [
      "AUTH secret",
      "AUTH app secret",
      "AUTH default secret",
      "AUTH writer w",
    ]) {
      expect(await client.call(right)).toBe(OK);
      expect(await client.call("SET a 1")).toBe(OK);
    }
    // A wrong password does not log out.
    expect(await client.call("AUTH writer x")).toBe(WRONGPASS);
    expect(await client.call("ACL WHOAMI")).toBe("$6\r\nwriter\r\n");
    expect(await client.call("GET a")).toBe("$1\r\n1\r\n");
  });

  test("HELLO AUTH logs in and gives the name, for real clients too", async () => {
    const { cluster } = await withUsers();
    const client = await cluster.client();
    expect(await client.call("HELLO 3 AUTH writer x")).toBe(WRONGPASS);
    expect(await client.call("HELLO 3 AUTH writer w SETNAME me")).toMatch(/^%7\r\n/);
    expect(await client.call("CLIENT GETNAME")).toBe("$2\r\nme\r\n");
    const { port } = cluster;
    const redis = new Redis({ port, username: "writer", password: "w" });
    expect(await redis.set("a", "1")).toBe("OK");
    redis.disconnect();
    const node = createClient({ url: `redis://reader:r@127.0.0.1:${port}`, RESP: 3 });
    node.on("error", () => undefined);
    await node.connect();
    expect(await node.get("a")).toBe("1");
    await expect(node.set("a", "2")).rejects.toThrow(/NOPERM/);
    node.destroy();
  });

  test("a user who only reads is refused what writes, in Redis's words, and nothing else", async () => {
    const { cluster } = await withUsers();
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    await writer.call("AUTH writer w");
    await writer.call("MSET a 1 b 2 c 3");
    expect(await reader.call("AUTH reader r")).toBe(OK);
    const refused = (name: string): string =>
      `-NOPERM this user has no permissions to run the '${name}' command\r\n`;
    for (const command of [
      "SET a 2",
      "MSET a 2 b 3",
      "DEL a b",
      "INCR a",
      "GETEX a",
      "FLUSHALL",
      "FLUSHDB",
      "SORT a",
      "PUBLISH news hello",
      "EVALSHA 0000000000000000000000000000000000000000 1 a",
    ]) {
      const name = command.split(" ")[0]?.toLowerCase() ?? "";
      expect(await reader.call(command)).toBe(refused(name));
    }
    expect(await reader.callArgs(["EVAL", "return redis.call('set','a','2')", "1", "a"])).toBe(
      refused("eval"),
    );
    expect(await reader.callArgs(["SCRIPT", "LOAD", "return 1"])).toBe(refused("script|load"));
    expect(await reader.callArgs(["FUNCTION", "FLUSH"])).toBe(refused("function|flush"));
    expect(await reader.call("GET a")).toBe("$1\r\n1\r\n");
    expect(await reader.call("MGET a b c")).toBe("*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    expect(await reader.call("EXISTS a b none")).toBe(":2\r\n");
    expect(await reader.call("DBSIZE")).toBe(":3\r\n");
    expect(await reader.callArgs(["EVAL_RO", "return redis.call('get','a')", "1", "a"])).toBe(
      "$1\r\n1\r\n",
    );
    expect(await reader.call("PING")).toBe("+PONG\r\n");
    expect(await reader.call("NONSENSE a")).toMatch(/^-ERR unknown command/);
    expect(await writer.call("GET a")).toBe("$1\r\n1\r\n");
  });

  test("a refused command spoils a reader's transaction as it does at Redis", async () => {
    const { cluster } = await withUsers();
    const reader = await cluster.client();
    await reader.call("AUTH reader r");
    expect(await reader.call("MULTI")).toBe(OK);
    expect(await reader.call("GET a")).toBe("+QUEUED\r\n");
    expect(await reader.call("SET a 2")).toMatch(/^-NOPERM /);
    expect(await reader.call("EXEC")).toMatch(/^-EXECABORT /);
    expect(await reader.call("GET a")).toBe("$-1\r\n");
  });

  test("a users file alone asks everybody, and app is one of its users or none", async () => {
    const folder = await routerFolder();
    await folder.write("users", `writer ${sha256("w")}\n`);
    const file = `${folder.path}/twine.conf`;
    const cluster = await startRouterCluster({ partitions: 1, settings: USERS, file });
    const client = await cluster.client();
    expect(await client.call("GET a")).toBe(NOAUTH);
    expect(await client.call("AUTH w")).toBe(WRONGPASS);
    expect(await client.call("AUTH writer w")).toBe(OK);
    expect(await client.call("GET a")).toBe("$-1\r\n");
    await folder.write("users", `app ${sha256("a")}\n`);
    await cluster.reload(USERS);
    const other = await cluster.client();
    expect(await other.call("AUTH a")).toBe(OK);
  });

  test("changed users count at once: who is gone leaves, who stays keeps the connection", async () => {
    const { cluster, folder } = await withUsers();
    const [writer, reader, app] = [
      await cluster.client(),
      await cluster.client(),
      await cluster.client(),
    ];
    await writer.call("AUTH writer w");
    await reader.call("AUTH reader r");
    await app.call("AUTH secret");
    await folder.write("users", `reader ${sha256("new")}\n`);
    expect(await cluster.reload(USERS)).toEqual([]);
    await until("the writer's connection is closed", () => writer.socket.destroyed);
    expect(await reader.call("SET a 1")).toBe(OK);
    expect(await app.call("GET a")).toBe("$1\r\n1\r\n");
    const again = await cluster.client();
    expect(await again.call("AUTH reader r")).toBe(WRONGPASS);
    expect(await again.call("AUTH reader new")).toBe(OK);
  });

  test("who waits at a node and is gone from the users gets nothing more; who may write no more has no transaction", async () => {
    const { cluster, folder } = await withUsers();
    const [waiter, changer, app] = [
      await cluster.client(),
      await cluster.client(),
      await cluster.client(),
    ];
    await app.call("AUTH secret");
    await folder.write("users", `writer ${sha256("w")}\nother ${sha256("o")}\n`);
    await cluster.reload(USERS);
    await waiter.call("AUTH writer w");
    await changer.call("AUTH other o");
    waiter.send(Buffer.from("BLPOP q 0\r\n"));
    expect(await changer.call("MULTI")).toBe(OK);
    expect(await changer.call("SET a 1")).toBe("+QUEUED\r\n");
    await folder.write("users", `other ${sha256("o")} read-only\n`);
    await cluster.reload(USERS);
    expect(await waiter.reply()).toBe("closed");
    expect(await app.call("RPUSH q x")).toBe(":1\r\n");
    expect(await app.call("LLEN q")).toBe(":1\r\n");
    expect(await changer.call("EXEC")).toMatch(/^-EXECABORT/);
    expect(await app.call("EXISTS a")).toBe(":0\r\n");
  });

  test("a wrong users file is refused with every error, and the old users stay", async () => {
    const { cluster, folder } = await withUsers();
    await folder.write("users", "writer hunter2\napp x\n");
    await expect(cluster.reload(USERS)).rejects.toThrow(/users:1:8: .*no SHA-256[^]*users:2:1: /);
    await folder.write("users", `writer ${sha256("w")}\n`, 0o644);
    await expect(cluster.reload(USERS)).rejects.toThrow(/has the mode 644[^]*chmod 600/);
    await expect(cluster.reload(["users-file none"])).rejects.toThrow(/users-file: ENOENT/);
    // A FIFO would block for ever, /dev/zero never ends, and neither does a file that long.
    const fifo = `${folder.path}/fifo`;
    await run("mkfifo", ["-m", "600", fifo]);
    const long = await folder.write("long", "");
    await truncate(long, 2 ** 40);
    for (const [place, why] of [
      [fifo, "fifo is not a regular file"],
      ["/dev/zero", "/dev/zero is not a regular file"],
      [long, /long is longer than \d+ bytes/],
    ] as const) {
      for (const directive of ["users-file", "tls-ca"]) {
        await expect(cluster.reload([`${directive} ${place}`])).rejects.toThrow(why);
      }
    }
    const client = await cluster.client();
    expect(await client.call("AUTH reader r")).toBe(OK);
  });
});
