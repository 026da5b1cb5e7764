// client-chains.test.ts: pipelines and transactions as programs that know ioredis write them: given as lists, and with the
// scripts of defineCommand; and quit() where it would wait for itself.
import { describe, expect, test } from "vitest";
import type { CommandChain } from "../../runtime/client/command-chain.ts";
import { isMissing } from "../support/programs.ts";
import { clusterAndClient, outcomeOf } from "../support/twine-clients.ts";

interface WithScript {
  addTo(key: string, count: number): CommandChain;
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
        ["exec"],
      ])
      .incr("a")
      .exec();
    const outcomes = piped?.map(([error, value]) => error?.name ?? value);
    expect(outcomes).toEqual(["OK", 1, { f: "1" }, Buffer.from("1"), "TwineError", 2]);
    const commands = [
      ["set", "{u}a", "1"],
      ["incr", "{u}a"],
    ];
    for (const chain of [client.multi(commands), client.multi(commands, { pipeline: true })]) {
      const done = await chain.get("{u}a").exec();
      expect(done?.map(([, value]) => value)).toEqual(["OK", 2, "2"]);
    }
    const inside = await client.isolated("{u}a", (one) => one.multi(commands).exec());
    expect(inside?.map(([, value]) => value)).toEqual(["OK", 2]);
  });

  test("what is no list of commands, and a transaction sent piece by piece, are refused", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    expect(() => client.pipeline([[]])).toThrow(
      expect.objectContaining({ code: "CHAIN_COMMAND_BAD" }),
    );
    expect(() => client.multi({ pipeline: false })).toThrow(
      expect.objectContaining({ code: "NOT_SUPPORTED" }),
    );
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
