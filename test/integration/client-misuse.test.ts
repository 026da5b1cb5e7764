// client-misuse.test.ts: what TwineClient answers to things that can't be meant: nobody is left waiting, and the others go on.
import { describe, expect, onTestFinished, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { clientOf, clusterAndClient, outcomeOf } from "../support/twine-clients.ts";

describe.skipIf(isMissing("redis-server"))("TwineClient, misused", () => {
  test("CLIENT REPLY is refused by name, and the commands after it and quit() are answered", async () => {
    const { client } = await clusterAndClient();
    for (const way of ["OFF", "SKIP", "ON"]) {
      const refused = client.call("CLIENT", "REPLY", way);
      await expect(refused).rejects.toThrow(/^'client reply' is not supported: /);
      expect(await outcomeOf(refused)).toBe("NOT_SUPPORTED");
    }
    const piped = await client.pipeline().client("REPLY", "OFF").set("a", "1").exec();
    expect(piped?.map(([error, value]) => error?.name ?? value)).toEqual(["ReplyError", "OK"]);
    expect(await client.get("a")).toBe("1");
    expect(await client.quit()).toBe("OK");
  });

  test("what a listener throws is its program's affair, as with ioredis: the commands go on, and quit() ends", async () => {
    // Method: a listener of the program's own throws when a command begins to wait.
    const { cluster, client } = await clusterAndClient({ partitions: 1 });
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    const thrown = new Promise<Error>((resolve) => process.once("uncaughtException", resolve));
    onTestFinished(() => {
      for (const listener of others) process.on("uncaughtException", listener);
    });
    client.once("held", () => {
      throw new Error("the program's own");
    });
    const gone = new Promise((resolve) => client.once("view", resolve));
    await cluster.show([null]);
    await gone;
    const held = [client.set("a", "1"), client.set("b", "2")];
    expect((await thrown).message).toBe("the program's own");
    await cluster.show([1]);
    expect(await Promise.all(held)).toEqual(["OK", "OK"]);
    expect(await client.quit()).toBe("OK");
  });

  test("told of status nodes alone, it says at the first view that ackReplicas can't be had", async () => {
    const { cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const statusNodes = [`127.0.0.1:${cluster.status.servers[0]?.port ?? 0}`];
    const client = clientOf({ statusNodes, ackReplicas: 2 });
    const told = new Promise<Error>((resolve) => client.once("error", resolve));
    await client.ready();
    expect(await told).toMatchObject({ code: "CONF_ACK_REPLICAS" });
  });

  test("held is told once for a partition's outage, whoever waits, and again at the next one", async () => {
    // Method: plain, isolated and waiting commands wait for one master, over connections of their own.
    const { cluster, client } = await clusterAndClient({ partitions: 1 });
    const held: string[] = [];
    client.on("held", ({ why }: { why: string }) => held.push(why));
    const outage = async (): Promise<void> => {
      const seen = new Promise((resolve) => client.once("view", resolve));
      await cluster.show([null]);
      await seen;
    };
    await client.set("a", "1");
    for (const round of [1, 2]) {
      await outage();
      const commands = Promise.all([
        client.set("a", "1"),
        client.isolated("a", (one) => one.set("a", "1")),
        client.isolated("a", (one) => one.get("a")),
        client.get("a"),
        client.blpop("none", 0.01),
      ]);
      await until("it is told", () => held.length >= round);
      await cluster.show([1]);
      await commands;
      expect(held).toHaveLength(round);
    }
  });

  test("ready() after quit() rejects, and the error has its remedy", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    await client.quit();
    const error = await client.ready().catch((why: unknown) => why);
    expect(error).toMatchObject({ code: "CLIENT_CLOSED", message: "Connection is closed." });
  });
});
