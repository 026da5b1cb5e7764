// client-end.test.ts: TwineClient as the user that the plan gives it, and a program that ends by itself when it has quit.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataUsers, statusUsers, type AclUser } from "../../infra/plan/acl.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { isMissing } from "../support/programs.ts";
import { PublishedCluster } from "../support/published-cluster.ts";
import type { TestRedis } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";
import { clientOf, outcomeOf, untilBlocked } from "../support/twine-clients.ts";

const PASSWORD = "correct horse";

async function giveUsers(server: TestRedis | undefined, users: readonly AclUser[]): Promise<void> {
  const link = await server?.link();
  for (const { name, rules } of users) {
    const secret = credentialsOf(name, PASSWORD)?.password ?? "";
    const hash = createHash("sha256").update(secret).digest("hex");
    await link?.call("ACL", "SETUSER", name, "on", `#${hash}`, ...rules.split(/ (?![^(]*\))/));
  }
}

const PROGRAM = `
import { TwineClient } from "./runtime/client/twine-client.ts";
const client = new TwineClient({ conf: process.argv[1] });
await client.subscribe("ch");
await client.psubscribe("p*");
client.on("message", (channel, message) => console.log(channel, message));
const waiting = client.blpop("none", 0).catch((error) => error.code);
await client.rpush("q", "1");
console.log(await client.blpop("q", 5));
console.log(await client.isolated("a", async (one) => {
  await one.watch("a");
  return one.multi().set("a", "1").get("a").exec();
}));
await client.publish("ch", "hello");
await client[process.argv[2]]();
console.log(await waiting);
`;

/** What the program prints, and how it ends: by itself, or it would never. */
function run(
  conf: string,
  way: "quit" | "disconnect",
): Promise<{ code: number | null; out: string }> {
  const args = ["--input-type=module-typescript", "-e", PROGRAM, conf, way];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: join(ROOT) });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, out });
    });
  });
}

describe.skipIf(isMissing("redis-server"))("TwineClient's end", () => {
  test("a program that waited, listened and watched ends by itself after quit, and after disconnect", async () => {
    const cluster = await PublishedCluster.start({ partitions: 1 });
    const quit = await run(cluster.confFile, "quit");
    expect(quit).toEqual({
      code: 0,
      out: expect.stringMatching(
        /\[ 'q', '1' \]\n\[ \[ null, 'OK' \], \[ null, '1' \] \]\n(ch hello\n)?CLIENT_CLOSED\n/,
      ) as string,
    });
    const cut = await run(cluster.confFile, "disconnect");
    expect(cut).toEqual({ code: 0, out: expect.stringMatching(/UNCERTAIN\n$/) as string });
  });

  test("the user that it comes as may do all of it, and take its waiting callers from their nodes", async () => {
    const cluster = await PublishedCluster.start({ partitions: 2 });
    await giveUsers(cluster.status.servers[0], statusUsers("twine", 7));
    for (const [server] of cluster.servers) await giveUsers(server, dataUsers(7));
    const client = clientOf({ conf: cluster.confFile, password: PASSWORD });
    const heard = new Promise((resolve) => {
      client.on("pmessage", (_pattern, channel) => {
        resolve(channel);
      });
    });
    expect(await client.psubscribe("c*")).toBe(1);
    expect(await client.subscribe("d")).toBe(2);
    expect(await client.publish("ch", "1")).toBe(1);
    expect(await heard).toBe("ch");
    expect(await client.wait(0, 100)).toBe(0);
    const done = await client.isolated("a", async (one) => {
      await one.watch("a");
      return one.multi().set("a", "1").exec();
    });
    expect(done).toEqual([[null, "OK"]]);
    const waiting = outcomeOf(client.blpop("q", 0));
    const links = await Promise.all([0, 1].map((partition) => cluster.server(partition, 1).link()));
    const blocked = await Promise.race(
      links.map(async (link) => {
        await untilBlocked(link, 1);
        return "blocked";
      }),
    );
    expect(blocked).toBe("blocked");
    expect(await client.quit()).toBe("OK");
    expect(await waiting).toBe("CLIENT_CLOSED");
  });
});
