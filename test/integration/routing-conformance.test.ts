// routing-conformance.test.ts: one table of places and splits, by every way into a cluster: the pure route, the engine by
// attach() and by submit(), the router, the client library, `twine`. Where a key lies is read from the redis-servers themselves.
import { spawn } from "node:child_process";
import { describe, expect, onTestFinished, test } from "vitest";
import { RedCluster } from "../../runtime/client/red/red-cluster.ts";
import { TwineClient } from "../../runtime/client/twine-client.ts";
import { binPath } from "../support/bins.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { ClusterEngine } from "../../runtime/engine/cluster-engine.ts";
import type { Engine } from "../../runtime/engine/engine.ts";
import { KeptReply } from "../../runtime/engine/pipelines/reply-sink.ts";
import { streamPair } from "../../runtime/engine/stream-pair.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { followView } from "../../runtime/register/follow.ts";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { itemsOf, textOf, type RespValue } from "../../runtime/resp/value.ts";
import { startRouter } from "../../runtime/router/server.ts";
import { isMissing } from "../support/programs.ts";
import { PublishedCluster } from "../support/published-cluster.ts";
import { freePort } from "../support/port-claims.ts";
import { RawClient } from "../support/router-cluster.ts";
import { PLACE_CASES, PLACES_PARTITIONS, SPLIT_CASES } from "../cases/routing.ts";

/** Runs commands one after the other; the replies' lines together. */
type Way = (commands: readonly string[]) => Promise<string[]>;

async function engineOf(cluster: PublishedCluster): Promise<Engine> {
  const opened = new ClusterEngine({
    ...{ config: configOf(cluster), password: undefined, clock: systemClock, log: silentLog },
    onNoView: () => undefined,
  });
  onTestFinished(() => opened.close());
  const engine = await opened.ready;
  if (engine === undefined) throw new Error("the engine was closed");
  return engine;
}

function attachWay(engine: Engine): Way {
  const { engineEnd, programEnd } = streamPair();
  engine.attach(engineEnd);
  return rawWay(RawClient.over(programEnd));
}

function submitWay(engine: Engine): Way {
  return async (commands) => {
    const lines: string[] = [];
    for (const command of commands) {
      const reply = await new Promise<Buffer>((resolve, reject) => {
        const sink = new KeptReply({ isGone: false }, resolve);
        const isTaken = engine.submit(encodeCommand(command.split(" ")), sink, 0);
        if (!isTaken) reject(new Error(`${command} needs a session`));
      });
      lines.push(...linesOf(decodeReply(reply)));
    }
    return lines;
  };
}

function rawWay(client: RawClient): Way {
  return async (commands) => {
    const lines: string[] = [];
    for (const command of commands) {
      lines.push(...linesOf(decodeReply(Buffer.from(await client.call(command), "latin1"))));
    }
    return lines;
  };
}

function configOf(cluster: PublishedCluster): ClusterConfig {
  const { config } = parseConf(cluster.conf, cluster.confFile);
  if (config === undefined) throw new Error("the conf is wrong");
  return config;
}

async function routerWay(cluster: PublishedCluster): Promise<Way> {
  const config = configOf(cluster);
  const ports = { config, password: undefined, clock: systemClock, log: silentLog };
  const viewSource = followView({ ...ports, openLink: openRedisLink });
  const partitioner = await loadPartitioner(config);
  const listen = { host: "127.0.0.1", port: await freePort() };
  const router = await startRouter({ ...ports, viewSource, partitioner, listen });
  const client = await RawClient.open(listen.port);
  onTestFinished(async () => {
    client.socket.destroy();
    await router.close();
    await viewSource.close();
    await partitioner.close();
  });
  return rawWay(client);
}

function linesOf(value: RespValue): string[] {
  if (value.type === "array") return itemsOf(value).flatMap(linesOf);
  if (value.type === "integer") return [String(value.value)];
  return [textOf(value) ?? ""];
}

/** RedCluster knows crc32 without a tag, and no cluster. */
function redWay(cluster: PublishedCluster): Way {
  const sets = cluster.servers.map(([server], partition) => ({
    master: { host: "127.0.0.1", port: server?.port ?? 0, db: partition },
  }));
  return redisWay(new RedCluster(sets));
}

function redisWay(client: TwineClient | RedCluster): Way {
  onTestFinished(() => {
    client.disconnect();
  });
  return async (commands) => {
    const lines: string[] = [];
    for (const command of commands) {
      const [name = "", ...args] = command.split(" ");
      const reply = await client.call(name, ...args).catch((error: unknown) => error);
      const values = (Array.isArray(reply) ? reply : [reply]) as (string | number | null | Error)[];
      lines.push(...values.map((one) => (one instanceof Error ? one.message : String(one ?? ""))));
    }
    return lines;
  };
}

function twineWay(cluster: PublishedCluster): Way {
  return async (commands) => {
    const bin = binPath("twine", "runtime");
    const child = spawn(process.execPath, [bin, "--conf", cluster.confFile]);
    let out = "";
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.stdin.end(`${commands.join("\n")}\n`);
    await closed;
    return out.replace(/\n$/, "").split("\n");
  };
}

/** By key, the partitions whose servers hold it. */
async function placesOf(
  cluster: PublishedCluster,
  keys: readonly string[],
): Promise<Record<string, number[]>> {
  const places: Record<string, number[]> = {};
  for (const key of keys) places[key] = [];
  for (const [partition, [server]] of cluster.servers.entries()) {
    const link = await server?.link();
    await link?.call("SELECT", partition);
    for (const key of keys) {
      if ((await link?.call("EXISTS", key)) === 1) places[key]?.push(partition);
    }
  }
  return places;
}

test.each(PLACE_CASES)("the pure route puts keys where $hash says, tag $hashTag", (cases) => {
  const { hash, hashTag, places } = cases;
  const partitionOf = builtinPartition(hash, PLACES_PARTITIONS, hashTag);
  const found = Object.keys(places).map((key) => [key, partitionOf(Buffer.from(key))]);
  expect(Object.fromEntries(found)).toEqual(places);
});

describe.skipIf(isMissing("redis-server", "redis-cli"))("every way into a cluster", () => {
  test.each(PLACE_CASES)("agrees on places and splits by $hash, tag $hashTag", async (cases) => {
    const { hash, hashTag, places } = cases;
    const tag = hashTag === undefined ? [] : [`hash-tag ${hashTag}`];
    const cluster = await PublishedCluster.start({
      partitions: PLACES_PARTITIONS,
      settings: [`hash ${hash}`, ...tag],
    });
    const keys = Object.keys(places);
    const expected = Object.fromEntries(keys.map((key) => [key, [places[key]]]));
    const splitLines = SPLIT_CASES.flatMap(([, lines]) => lines);
    const far = keys.find((key) => places[key] !== places["apple"]) ?? "";
    const engine = await engineOf(cluster);
    const ways: Readonly<Record<string, Way>> = {
      attach: attachWay(engine),
      submit: submitWay(engine),
      router: await routerWay(cluster),
      client: redisWay(new TwineClient({ conf: cluster.confFile })),
      ...(hash === "crc32" && hashTag === undefined ? { red: redWay(cluster) } : {}),
      twine: twineWay(cluster),
    };
    for (const [name, way] of Object.entries(ways)) {
      const set = await way(keys.map((key) => `SET ${key} ${name}`));
      expect(set, name).toEqual(keys.map(() => "OK"));
      expect(await placesOf(cluster, keys), name).toEqual(expected);
      const [refused] = await way([`RENAME apple ${far}`]);
      expect(refused, name).toMatch(/^CROSSSLOT Keys in request are in different partitions/);
      await way(["FLUSHALL"]);
      expect(await way(SPLIT_CASES.map(([command]) => command)), name).toEqual(splitLines);
    }
  });
});
