// router-own-random.test.ts: random conversations with transactions, subscriptions and commands that wait, in random
// pieces: the router with one partition's keys must say to one client what a bare Redis says.
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import { pipelined, type RawClient } from "../support/router-cluster.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";

/** {k} is one of few keys, all in one partition. */
const VOCABULARY: readonly string[] = [
  ...["MULTI", "MULTI", "MULTI", "EXEC", "EXEC", "EXEC", "DISCARD", "WATCH {k}", "WATCH {k} {k}"],
  ...["UNWATCH", "SET {k} 1", "INCR {k}", "GET {k}", "APPEND {k} 5", "MGET {k} {k}", "DEL {k} {k}"],
  ...["PING", "ECHO hi", "TYPE {k}", "EXISTS {k}", "NOPE {k}", "GET", "SELECT 0", "RPUSH {k} a b"],
  ...["LPOP {k}", "BLPOP {k} 0.001", "BLMOVE {k} {k} LEFT RIGHT 0.001", "HSET {k} f v"],
  ...[
    "EVAL return{KEYS[1],ARGV[1]} 1 {k} x",
    "RENAME {k} {k}",
    "RESET",
    "SUBSCRIBE {k}",
    "UNSUBSCRIBE {k}",
  ],
  ...["PSUBSCRIBE zz*", "PUNSUBSCRIBE zz*", "PUBLISH other{t} m", "WAIT 0 1", "UNSUBSCRIBE none"],
];

/** How many replies the commands before, and this one, bring: subscriptions answer once for each name. */
function conversation(random: SeededRandom): string[] {
  const commands: string[] = [];
  let isInside = false;
  while (commands.length < 40) {
    const key = (): string => `{t}${random.below(4)}`;
    const command = random.pick(VOCABULARY).replaceAll("{k}", key);
    const [name = ""] = command.split(" ");
    // The router refuses these inside a transaction.
    const isRefused = /^(P?(UN)?SUBSCRIBE|WAIT)$/.test(name);
    if (isInside && isRefused) continue;

    if (name === "MULTI") isInside = true;
    if (["EXEC", "DISCARD", "RESET"].includes(name)) isInside = false;
    commands.push(command);
  }
  return commands;
}

async function repliesTo(
  client: RawClient,
  bytes: Buffer,
  count: number,
  random: SeededRandom,
): Promise<string[]> {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(at + 1 + random.below(200), bytes.length);
    client.send(bytes.subarray(at, end));
    if (random.isOnceIn(3)) await new Promise((resolve) => setImmediate(resolve));
    at = end;
  }
  const replies: string[] = [];
  while (replies.length < count) replies.push(await client.reply());
  return replies;
}

describe.skipIf(isMissing("redis-server"))("random conversations", () => {
  const beside = routerBesideRedis();

  for (const protocol of ["2", "3"]) {
    test(`the router says what a bare Redis says, with RESP${protocol}`, async () => {
      for (let seed = 1; seed <= 40; seed++) {
        const random = seededRandom(seed);
        const [router, redis] = await beside.both();
        for (const client of [router, redis]) {
          await client.call("FLUSHALL");
          await client.call(`HELLO ${protocol}`);
        }
        const commands = conversation(random);
        const bytes = pipelined(commands);
        // One reply to each, since every subscription here names one thing.
        const [ours, theirs] = await Promise.all([
          repliesTo(router, bytes, commands.length, random),
          repliesTo(redis, bytes, commands.length, random),
        ]);
        const shown = commands.map((command, index) => `${command} -> ${theirs[index] ?? ""}`);
        const told = commands.map((command, index) => `${command} -> ${ours[index] ?? ""}`);
        expect(told, `seed ${seed}`).toEqual(shown);
        router.socket.destroy();
        redis.socket.destroy();
      }
    });
  }
});
