// router-commands-compared.test.ts: every command that a router sends on or answers, beside one redis-server that gets the
// same: the replies are the same bytes, one command after the other and pipelined in any pieces.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { parseCommandTable, type CommandSpec } from "../../runtime/route/commands/command-table.ts";
import { ruleOf } from "../../runtime/route/commands/policy.ts";
import { argsOf, COMPARED, NOT_COMPARED, UNORDERED } from "../cases/compared-commands.ts";
import { isMissing } from "../support/programs.ts";
import { routerBesideRedis, type RouterBesideRedis } from "../support/router-beside-redis.ts";
import { RawClient } from "../support/router-cluster.ts";
import { seededRandom } from "../support/seeded-random.ts";

const QUIET = ["slowlog-log-slower-than -1"];

/** Lines of what has no order are sorted. */
function shown(line: string, reply: string): unknown {
  return UNORDERED.test(line) ? reply.split("\r\n").sort() : reply;
}

/** An empty one of each, in that protocol. */
async function both(
  beside: RouterBesideRedis,
  protocol: number,
): Promise<readonly [RawClient, RawClient]> {
  const clients = await beside.both();
  for (const client of clients) {
    for (const command of ["FLUSHALL", "FUNCTION FLUSH", "SCRIPT FLUSH"])
      await client.call(command);
    await client.call(`HELLO ${protocol}`);
  }
  return clients;
}

describe.skipIf(isMissing("redis-server"))("a router beside one redis-server", () => {
  const beside = routerBesideRedis({ redis: QUIET });

  for (const protocol of [2, 3]) {
    for (const [subject, lines] of Object.entries(COMPARED)) {
      test(`answers the commands of ${subject} the same in RESP${protocol}`, async () => {
        const [router, redis] = await both(beside, protocol);
        for (const line of lines) {
          const args = argsOf(line);
          const [ours, theirs] = [await router.callArgs(args), await redis.callArgs(args)];
          expect([line, shown(line, ours)]).toEqual([line, shown(line, theirs)]);
        }
        redis.socket.destroy();
      });
    }
  }

  test("answers them the same when they come pipelined and in pieces of any size", async () => {
    const seeded = seededRandom(5);
    for (const lines of Object.values(COMPARED)) {
      // RESET changes the protocol, and scripts that are loaded on one connection are known on the other at once there.
      const commands = lines.filter((line) => line !== "RESET");
      const bytes = Buffer.concat(commands.map((line) => encodeCommand(argsOf(line))));
      const [router, redis] = await both(beside, 3);
      for (let at = 0; at < bytes.length;) {
        const end = at + 1 + seeded.below(at % 3 === 0 ? 4 : 300);
        router.send(bytes.subarray(at, end));
        at = end;
        if (seeded.isOnceIn(4)) await new Promise((resolve) => setImmediate(resolve));
      }
      redis.send(bytes);
      for (const line of commands) {
        const [ours, theirs] = [await router.reply(), await redis.reply()];
        expect([line, shown(line, ours)]).toEqual([line, shown(line, theirs)]);
      }
      redis.socket.destroy();
    }
  });

  test("answers inline commands the same, with quotes, spaces and empty lines among them", async () => {
    const [router, redis] = await both(beside, 2);
    const lines = [
      "SET a 1",
      "  get   a ",
      "",
      'SET "a b" "x\\x41\\n\\"y"',
      "GET 'a b'",
      "MSET a 1 'b c' 2",
      "mget a 'b c' none",
      "*0",
      "*-1",
      "EXISTS a a",
      "NOSUCHCOMMAND a",
      "ECHO ''",
    ];
    for (const client of [router, redis]) client.send(`${lines.join("\r\n")}\r\n`);
    const isAnswered = (line: string): boolean => line !== "" && !line.startsWith("*");
    for (const line of lines.filter(isAnswered)) {
      const [ours, theirs] = [await router.reply(), await redis.reply()];
      expect([line, ours]).toEqual([line, theirs]);
    }
    redis.socket.destroy();
  });

  test("leaves out no command of the running server that it sends on or answers", async () => {
    const redis = await RawClient.open(beside.plain.port);
    const reply = Buffer.from(await redis.call("COMMAND"), "latin1");
    redis.socket.destroy();
    const specs = [...parseCommandTable(decodeReply(reply)).values()].flatMap(withSubcommands);
    const compared = new Set(Object.values(COMPARED).flat().map(nameOf));
    const left = specs.filter((spec) => {
      const isHere = compared.has(spec.name) || spec.name in NOT_COMPARED;
      return !isHere && !ELSEWHERE.has(ruleOf(spec).kind);
    });
    expect(left.map(({ name }) => name)).toEqual([]);
  });
});

/** Refused, or of a connection: tried elsewhere. */
const ELSEWHERE: ReadonlySet<string> = new Set(["refuse", "session", "own", "blocking", "channel"]);

function withSubcommands(spec: CommandSpec): CommandSpec[] {
  return spec.subcommands.size === 0 ? [spec] : [...spec.subcommands.values(), spec];
}

const table = parseCommandTable(
  decodeReply(
    gunzipSync(readFileSync(new URL("../cases/command-7.0.15.resp.gz", import.meta.url))),
  ),
);

/** As the server's table has it: "xgroup|create". */
function nameOf(line: string): string {
  const [name = "", sub = ""] = line.toLowerCase().split(" ");
  return table.get(name)?.subcommands.get(sub)?.name ?? name;
}
