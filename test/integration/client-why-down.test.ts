// client-why-down.test.ts: a cluster that TwineClient can't reach by its own fault is no cluster that is down: the errors say
// what is wrong, and what helps.
import { describe, expect, test } from "vitest";
import { RedCluster } from "../../runtime/client/red/red-cluster.ts";
import type { TwineClientOptions } from "../../runtime/client/twine-client.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis } from "../support/redis-server.ts";
import { startStatusNodes } from "../support/status-nodes.ts";
import { clientOf, clusterAndClient } from "../support/twine-clients.ts";

/** The first event "error", and what became of a command that waited for the first view. */
async function errorsOf(options: TwineClientOptions): Promise<readonly [Error, unknown]> {
  const client = clientOf({ holdForMs: 2500, ...options });
  const told = new Promise<Error>((resolve) => client.once("error", resolve));
  const command = client.set("a", "1").catch((error: unknown) => error);
  return [await told, await command];
}

describe.skipIf(isMissing("redis-server"))("TwineClient says why it reaches nothing", () => {
  test("a wrong password and a missing one: the node's own words, and that the password helps", async () => {
    const status = await startStatusNodes(1);
    const [server] = status.servers;
    const link = await server?.link();
    await link?.call("CONFIG", "SET", "requirepass", "right");
    const statusNodes = [`127.0.0.1:${server?.port ?? 0}`];
    const said = [
      { options: { statusNodes, password: "wrong" }, word: "WRONGPASS" },
      { options: { statusNodes }, word: "NOAUTH" },
    ];
    for (const { options, word } of said) {
      const [told, command] = await errorsOf(options);
      const message = expect.stringMatching(
        new RegExp(`${word}[^]*remedy: give the cluster's password`),
      ) as string;
      expect(told).toMatchObject({ code: "STATUS_UNREACHABLE", message });
      expect(command).toMatchObject({ code: "TWINEDOWN", message });
    }
  });

  test("another cluster's name: ready() rejects and so do the commands, at once, naming both", async () => {
    const { cluster } = await clusterAndClient({ partitions: 1 });
    const statusNodes = [`127.0.0.1:${cluster.status.servers[0]?.port ?? 0}`];
    const client = clientOf({ statusNodes, cluster: "other" });
    const command = client.set("a", "1").catch((error: unknown) => error);
    const differs = {
      code: "CLUSTER_DIFFERS",
      message: expect.stringContaining('belongs to cluster "twine", not to "other"') as string,
    };
    await expect(client.ready()).rejects.toMatchObject(differs);
    expect(await command).toMatchObject(differs);
  });

  test("TLS spoken to nodes that speak none: that this may be why", async () => {
    const { cluster } = await clusterAndClient({ partitions: 1 });
    const [told, command] = await errorsOf({ conf: cluster.confFile, tls: {}, holdForMs: 6000 });
    const message = expect.stringMatching(/s1: [^]*both sides speak TLS or neither/) as string;
    expect(told).toMatchObject({ code: "STATUS_UNREACHABLE", message });
    expect(command).toMatchObject({ code: "TWINEDOWN", message });
  });

  test("RedCluster's node that nobody listens at", async () => {
    const set = { master: { host: "127.0.0.1", port: await freePort() } };
    const red = new RedCluster([set], { holdForMs: 500 });
    const message = expect.stringMatching(/ECONNREFUSED[^]*remedy: start the node/) as string;
    await expect(red.set("a", "1")).rejects.toMatchObject({ code: "TWINEDOWN", message });
    red.disconnect();
  });

  test("RedCluster's wrong password", async () => {
    const server = await startRedis();
    const link = await server.link();
    await link.call("CONFIG", "SET", "requirepass", "right");
    const set = { master: { host: "127.0.0.1", port: server.port } };
    const red = new RedCluster([set], { password: "wrong", holdForMs: 500 });
    const message = expect.stringMatching(/WRONGPASS[^]*remedy: give the right password/) as string;
    await expect(red.set("a", "1")).rejects.toMatchObject({ code: "TWINEDOWN", message });
    red.disconnect();
  });
});
