// client-chains.test.ts: pipelines and transactions as programs that know ioredis write them: given as lists, and with the
// scripts of defineCommand; and quit() where it would wait for itself.
import { Redis, type ChainableCommander } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { clusterAndClient, outcomeOf } from "../support/twine-clients.ts";

interface WithScript {
  addTo(key: string, count: number): ChainableCommander;
}

describe.skipIf(isMissing("redis-server"))("TwineClient's chains", () => {
  test("a pipeline and a transaction take their commands as lists, and more by methods", async () => {
    const { client } = await clusterAndClient({ settings: ["hash-tag {}"] });
    const piped = await client
      .pipeline([
        ["set", "a", "1"],
        ["hset", "h", { f: 1 }],
        ["hgetall", "h"],
        ["getBuffer", "a"],
      ])
      .incr("a")
      .exec();
    const outcomes = piped?.map(([error, value]) => error?.name ?? value);
    expect(outcomes).toEqual(["OK", 1, { f: "1" }, Buffer.from("1"), 2]);
    const commands = [
      ["set", "{u}a", "1"],
      ["incr", "{u}a"],
    ];
    for (const chain of [client.multi(commands), client.multi(commands)]) {
      const done = await chain.get("{u}a").exec();
      expect(done?.map(([, value]) => value)).toEqual(["OK", 2, "2"]);
    }
    const inside = await client.isolated("{u}a", (one) => one.multi(commands).exec());
    expect(inside?.map(([, value]) => value)).toEqual(["OK", 2]);
  });

  test("a second exec() sends a chain again and gives the first replies, and no command is a TypeError: as ioredis has both", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const plain = new Redis(cluster.server(0, 1).port);
    onTestFinished(() => {
      plain.disconnect();
    });
    const outcomes = await Promise.all(
      [client, plain].map(async (one, number) => {
        const [pipeline, multi] = [
          one.pipeline().incr(`n${number}`),
          one.multi().incr(`m${number}`),
        ];
        const replies = [await pipeline.exec(), await pipeline.exec()];
        replies.push(await multi.exec(), await multi.exec());
        expect(() => one.pipeline([[]] as never)).toThrow(TypeError);
        expect(() => one.pipeline([["nosuch", "a"]])).toThrow(TypeError);
        return [...replies, await one.get(`n${number}`), await one.get(`m${number}`)];
      }),
    );
    expect(outcomes[0]).toEqual(outcomes[1]);
    expect(outcomes[0]?.slice(-2)).toEqual(["2", "2"]);
  });

  test("a transaction sent piece by piece is refused where callers share the client, and works on a duplicate", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    expect(await outcomeOf(client.multi({ pipeline: false }))).toBe("NOT_SUPPORTED");
    const one = client.duplicate();
    expect(await one.multi({ pipeline: false })).toBe("OK");
    expect(await one.set("a", "1")).toBe("QUEUED");
    expect(await client.get("a")).toBeNull();
    expect(await one.exec()).toEqual([[null, "OK"]]);
    expect(await one.get("a")).toBe("1");
    await one.quit();
  });

  test("scripts of defineCommand run in pipelines, transactions and isolated functions, also after SCRIPT FLUSH", async () => {
    const { client, cluster } = await clusterAndClient({ settings: ["hash-tag {}"] });
    const lua = "return redis.call('incrby', KEYS[1], ARGV[1])";
    client.defineCommand("addTo", { numberOfKeys: 1, lua });
    const scripted = (chain: unknown): WithScript => chain as WithScript;
    for (const round of [1, 2]) {
      const pipeline = client.pipeline([["addTo", "e", 1]]);
      for (const key of ["a", "b", "c", "d"]) scripted(pipeline).addTo(key, 1);
      const piped = await pipeline.exec();
      expect(piped).toEqual(Array.from({ length: 5 }, () => [null, round]));
      const chain = client.multi().set("{u}", "0");
      scripted(chain).addTo("{u}", 5);
      scripted(chain).addTo("{u}", 5);
      expect((await chain.exec())?.map(([, value]) => value)).toEqual(["OK", 5, 10]);
      const alone = await client.isolated("i", (one) =>
        (one as unknown as { addTo(key: string, count: number): Promise<number> }).addTo("i", 1),
      );
      expect(alone).toBe(round);
      for (const [server] of cluster.servers) await (await server?.link())?.call("SCRIPT", "FLUSH");
    }
  });

  test("quit() inside of isolated() rejects and changes nothing; after it, it ends", async () => {
    const { client } = await clusterAndClient();
    const after = await client.isolated("a", async (one) => {
      expect(await outcomeOf(client.quit())).toBe("ISOLATION_OPEN");
      await one.set("a", "1");
      return { quit: () => client.quit() };
    });
    expect(await client.get("a")).toBe("1");
    expect(await after.quit()).toBe("OK");
  });
});
