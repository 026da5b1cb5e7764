// router-commands-session.test.ts: what a router says itself of its clients, beside one redis-server where that has the same.
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import { pipelined, RawClient } from "../support/router-cluster.ts";

describe.skipIf(isMissing("redis-server"))("the session of a router's client", () => {
  const beside = routerBesideRedis({ settings: [] });

  const REPLY_SEQUENCES: readonly (readonly string[])[] = [
    ["CLIENT REPLY SKIP", "SET a 1", "GET a", "PING"],
    ["CLIENT REPLY SKIP", "MGET a b c d", "PING x"],
    ["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "PING a", "PING b"],
    ["CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING"],
    ["CLIENT REPLY SKIP", "NOSUCHCOMMAND", "PING"],
    ["CLIENT REPLY SKIP", "SET a 2", "HELLO 3", "GET a"],
    [
      "CLIENT REPLY OFF",
      "SET a 3",
      "GET a",
      "CLIENT REPLY SKIP",
      "PING",
      "CLIENT REPLY ON",
      "GET a",
    ],
    ["CLIENT REPLY OFF", "MSET a 4 b 5 c 6", "KEYS *", "PING", "CLIENT REPLY ON", "MGET a b c"],
    ["CLIENT REPLY OFF", "CLIENT REPLY nonsense", "GET", "RESET", "PING"],
    ["GET a", "CLIENT REPLY OFF", "GET a", "CLIENT REPLY ON", "GET b"],
    ["CLIENT REPLY SKIP", "SUBSCRIBE c", "UNSUBSCRIBE c", "PING"],
    ["CLIENT REPLY OFF", "PSUBSCRIBE c*", "PUNSUBSCRIBE c*", "PING", "CLIENT REPLY ON", "PING"],
  ];

  test.each(REPLY_SEQUENCES.map((commands) => [commands.join("; "), commands] as const))(
    "%s: the same replies are left out as by one redis-server",
    async (_, commands) => {
      const clients = await beside.both();
      const bytes = Buffer.concat(
        [...commands, "ECHO end"].map((one) => encodeCommand(one.split(" "))),
      );
      const heard = await Promise.all(
        clients.map(async (client) => {
          await client.call("FLUSHALL");
          client.send(bytes);
          const replies: string[] = [];
          while (replies.at(-1) !== "$3\r\nend\r\n") replies.push(await client.reply());
          return replies;
        }),
      );
      clients[1].socket.destroy();
      const shown = (replies: readonly string[] | undefined) =>
        replies?.filter((reply) => !/^[%*]\d+\r\n\$6\r\nserver/.test(reply));
      expect(shown(heard[0])).toEqual(shown(heard[1]));
    },
  );

  test("a client that wants no replies is not stopped by 5,000 of them", async () => {
    const client = await beside.cluster.client();
    const sets = Array.from({ length: 5000 }, (_, index) =>
      encodeCommand(["SET", `k${index % 50}`, String(index)]),
    );
    client.send(Buffer.concat([encodeCommand(["CLIENT", "REPLY", "OFF"]), ...sets]));
    client.send(encodeCommand(["CLIENT", "REPLY", "ON"]));
    expect(await client.reply()).toBe("+OK\r\n");
    expect(await client.call("GET k49")).toBe("$4\r\n4999\r\n");
  });

  test("CLIENT LIST and INFO show this router's clients in the fields of a redis-server", async () => {
    const [one, other] = [await beside.cluster.client(), await beside.cluster.client()];
    await one.call("CLIENT SETNAME one");
    await other.call("HELLO 3 SETNAME other");
    const redis = await RawClient.open(beside.plain.port);
    const fieldsOf = (line: string): string[] => [...line.matchAll(/ ?([a-z-]+)=/g)].map(String);
    const fields = fieldsOf((await redis.call("CLIENT INFO")).split("\r\n")[1] ?? "");
    redis.socket.destroy();
    const list = await one.call("CLIENT LIST");
    const own = list.split("\n").find((line) => line.includes(" name=one ")) ?? "";
    expect(fieldsOf(own)).toEqual(expect.arrayContaining(fields));
    expect(list).toMatch(/ name=other .* resp=3 /);
    expect(await one.call("CLIENT INFO")).toContain(` laddr=127.0.0.1:${beside.cluster.port} `);
    const id = /^:(\d+)/.exec(await other.call("CLIENT ID"))?.[1] ?? "";
    expect(await one.call(`CLIENT LIST ID ${id}`)).toMatch(
      /^\$\d+\r\nid=\d+ .* name=other .*\n\r\n$/,
    );
    expect(await other.call("CLIENT LIST TYPE normal")).toMatch(/^=\d+\r\ntxt:id=/);
  });

  test("HELLO changes the protocol only for what follows it", async () => {
    const client = await beside.cluster.client();
    await client.call("HSET h f v");
    const commands = ["HGETALL h", "HELLO 3", "HGETALL h", "GET none", "HELLO 2", "HGETALL h"];
    client.send(pipelined(commands));
    const replies = await client.replies(commands.length);
    expect(replies.map((reply) => reply.split("\r\n")[0])).toEqual([
      "*2",
      "%7",
      "%1",
      "_",
      "*14",
      "*2",
    ]);
  });
});
