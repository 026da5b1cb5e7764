// client-tls.test.ts: TwineClient and RedCluster to redis-servers and a status node that are spoken to by TLS, with
// certificates named by twine.conf or given as ioredis takes them.
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { RedCluster } from "../../runtime/client/red/red-cluster.ts";
import { TwineClient, type TwineClientOptions } from "../../runtime/client/twine-client.ts";
import type { View } from "../../runtime/core/view.ts";
import type { LinkTls } from "../../runtime/ports/link-tls.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { authorityIn, type Certificate } from "../support/certificates.ts";
import { isMissing } from "../support/programs.ts";
import { PublishedCluster } from "../support/published-cluster.ts";
import { freePort } from "../support/port-claims.ts";
import { until, type TestRedis } from "../support/redis-server.ts";

const FILES = ["tls-cert own.crt", "tls-key own.key", "tls-ca ca.crt"];

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => `no error but ${JSON.stringify(value)}`,
    (error: unknown) => error,
  );

function clientOf(options: TwineClientOptions): TwineClient {
  const client = new TwineClient(options);
  onTestFinished(() => {
    client.disconnect();
  });
  return client;
}

/** The server answers by TLS on another port too, and asks for a certificate there. Gives that port. */
async function serveTls(server: TestRedis, ca: string, node: Certificate): Promise<number> {
  const port = await freePort();
  const link = await server.link();
  const files = ["tls-cert-file", node.cert, "tls-key-file", node.key, "tls-ca-cert-file", ca];
  await link.call("CONFIG", "SET", ...files, "tls-auth-clients", "yes");
  await link.call("CONFIG", "SET", "tls-port", port);
  return port;
}

interface Behind {
  readonly cluster: PublishedCluster;
  /** Of a twine.conf whose ports all speak TLS. */
  readonly conf: string;
  readonly ca: string;
  readonly own: Certificate;
  readonly statusPort: number;
  /** Publishes a view that names the nodes' TLS ports. */
  readonly show: (masters: readonly (number | null)[]) => Promise<void>;
}

async function behindTls(nodes = 1, names?: readonly string[]): Promise<Behind> {
  const cluster = await PublishedCluster.start({ partitions: 2, nodes });
  const authority = await authorityIn(cluster.folder);
  const own = await authority.issue("own");
  const node = await authority.issue("node", names);
  const [status] = cluster.status.servers;
  if (status === undefined) throw new Error("there is no status node");
  const statusPort = await serveTls(status, authority.ca, node);
  const secure = new Map<number, number>([[status.port, statusPort]]);
  for (const server of cluster.servers.flat()) {
    secure.set(server.port, await serveTls(server, authority.ca, node));
  }
  const conf = cluster.conf.replaceAll(/\d{4,5}/g, (port) =>
    String(secure.get(Number(port)) ?? port),
  );
  const plain = cluster.servers.map((ofPartition) => ofPartition.map(({ port }) => port));
  const show = (masters: readonly (number | null)[]): Promise<void> => {
    const all = plain.flatMap((ports, partition) =>
      ports.map((port, index): View["nodes"][number] => ({
        ...{ name: `p${partition}-${index + 1}`, kind: "data", host: "localhost" },
        ...{ port: secure.get(port) ?? 0, db: partition, partition, inSync: true, runId: null },
        role: masters[partition] === index + 1 ? "master" : "replica",
        since: "",
      })),
    );
    return cluster.show(masters, { nodes: all });
  };
  await show([1, 1]);
  return { cluster, conf, ca: authority.ca, own, statusPort, show };
}

/** As a program gives it to ioredis. */
async function optionOf(ca: string, { cert, key }: Certificate): Promise<LinkTls> {
  return { ca: await readFile(ca), cert: await readFile(cert), key: await readFile(key) };
}

async function useIt(client: TwineClient): Promise<void> {
  const big = "x".repeat(2_000_000);
  expect(await client.mset({ a: "1", b: big, c: "3", d: "4" })).toBe("OK");
  expect(await client.mget("a", "b", "c", "d")).toEqual(["1", big, "3", "4"]);
  const many = await Promise.all(Array.from({ length: 500 }, () => client.incr("n")));
  expect(many.at(-1)).toBe(500);
}

describe.skipIf(isMissing("redis-server", "openssl"))("the client by TLS", () => {
  test("with tls-nodes yes it speaks TLS to the data and status nodes, by the certificates of twine.conf", async () => {
    const { conf, cluster } = await behindTls();
    const confText = [conf, ...FILES, "tls-nodes yes", ""].join("\n");
    const file = join(cluster.folder, "tls.conf");
    await writeFile(file, confText);
    await useIt(clientOf({ conf: file }));
  });

  test("the option tls is that of ioredis and node:tls, and needs no twine.conf", async () => {
    const { ca, own, statusPort } = await behindTls();
    const tls = await optionOf(ca, own);
    await useIt(clientOf({ statusNodes: [`127.0.0.1:${statusPort}`], tls }));
  });

  test("a killed node's successor is spoken to by TLS as well", async () => {
    const { cluster, conf, ca, own, show } = await behindTls(2);
    const tls = await optionOf(ca, own);
    const client = clientOf({ confText: conf, tls });
    await client.mset({ a: "1", b: "2", c: "3", d: "4" });
    const replicas = await Promise.all([0, 1].map((at) => cluster.server(at, 2).link()));
    const keysOf = async (link: RedisLink): Promise<number> => {
      const info = (await link.call("INFO", "keyspace")) as string;
      return Number(/keys=(\d+)/.exec(info)?.[1] ?? 0);
    };
    await until("the replicas have it all", async () => {
      const [first = 0, second = 0] = await Promise.all(replicas.map(keysOf));
      return first + second === 4;
    });
    await Promise.all([0, 1].map((partition) => cluster.server(partition, 1).kill()));
    for (const replica of replicas) await replica.call("REPLICAOF", "NO", "ONE");
    await show([2, 2]);
    await until("its values can be read", async () => (await client.get("a")) === "1");
    expect(await client.mget("b", "c", "d")).toEqual(["2", "3", "4"]);
  });

  test("a node whose certificate bears another name is not believed, unless the option names it", async () => {
    const { conf, ca, own } = await behindTls(1, ["DNS:elsewhere.example.com"]);
    const tls = await optionOf(ca, own);
    const doubting = clientOf({ confText: conf, tls });
    const why = new Promise<Error>((resolve) => doubting.once("error", resolve));
    expect(codeOf(await why)).toBe("STATUS_UNREACHABLE");
    expect(String(await why)).toContain("elsewhere.example.com");
    const servername = "elsewhere.example.com";
    await useIt(clientOf({ confText: conf, tls: { ...tls, servername } }));
  });

  test("what is wrong with the files of twine.conf is said by ready(), with every file", async () => {
    const { conf, cluster } = await behindTls();
    const of = (lines: readonly string[]): TwineClient =>
      clientOf({ confText: [conf, ...lines, "tls-nodes yes", ""].join("\n") });
    const missing = await failure(of(["tls-cert none.crt", "tls-key none.key"]).ready());
    expect(codeOf(missing)).toBe("TLS_UNREADABLE");
    expect(String(missing)).toMatch(/tls-cert: ENOENT[^]*tls-key: ENOENT/);
    await chmod(join(cluster.folder, "own.key"), 0o644);
    const place = cluster.folder;
    const open = of([`tls-cert ${place}/own.crt`, `tls-key ${place}/own.key`]);
    expect(codeOf(await failure(open.get("a")))).toBe("TLS_KEY_OPEN");
  });

  test("a RedCluster takes the option too, for its commands and its own questions", async () => {
    const { cluster, ca, own, conf } = await behindTls();
    expect(cluster.servers.length).toBe(2);
    const ports = [...conf.matchAll(/=data \d localhost (\d+)/g)].map((found) => Number(found[1]));
    const tls = await optionOf(ca, own);
    const red = new RedCluster(
      ports.map((port) => ({ master: { host: "localhost", port } })),
      { tls },
    );
    onTestFinished(() => {
      red.disconnect();
    });
    expect(await red.mset({ a: "1", b: "2", c: "3" })).toBe("OK");
    expect(await red.mget("a", "b", "c")).toEqual(["1", "2", "3"]);
  });
});
