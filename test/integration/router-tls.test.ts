// TLS at a router, on both sides: clients with and without certificates, a renewed certificate, redis-servers and status
// nodes that speak nothing else.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { isLocal } from "../../runtime/router/listeners/admission.ts";
import { startRouter, type Router } from "../../runtime/router/server.ts";
import { authorityIn, type Authority, type Certificate } from "../support/certificates.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { HandKeptView, RawClient, startRouterCluster } from "../support/router-cluster.ts";
import { routerFolder, type RouterFolder } from "../support/router-files.ts";

const CERT = ["tls-cert router.crt", "tls-key router.key", "tls-ca ca.crt"];
async function prepare(): Promise<{ folder: RouterFolder; authority: Authority; file: string }> {
  const folder = await routerFolder();
  const authority = await authorityIn(folder.path);
  await authority.issue("router");
  return { folder, authority, file: `${folder.path}/twine.conf` };
}

/** One PING over TLS: what came back, or "refused". */
async function pingBy(
  port: number,
  ca: string,
  own?: Certificate,
): Promise<{ reply: string; serial: string }> {
  const shown =
    own === undefined ? {} : { cert: await readFile(own.cert), key: await readFile(own.key) };
  const options = { host: "127.0.0.1", port, ca: await readFile(ca), ...shown };
  return new Promise((resolve) => {
    const socket: TLSSocket = connectTls(options);
    const end = (reply: string): void => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      resolve({ reply, serial: serialNumber });
    };
    socket.on("error", () => {
      end("refused");
    });
    socket.on("end", () => {
      end("refused");
    });
    socket.on("data", (bytes: Buffer) => {
      end(bytes.toString());
    });
    socket.write("PING\r\n");
  });
}

describe.skipIf(isMissing("redis-server", "openssl"))("TLS from clients", () => {
  test("real clients speak TLS to a router with a certificate, and this machine may also do without", async () => {
    const { file, authority } = await prepare();
    const cluster = await startRouterCluster({ partitions: 2, settings: CERT, file });
    const ca = await readFile(authority.ca);
    const redis = new Redis({ port: cluster.port, host: "localhost", tls: { ca } });
    onTestFinished(() => {
      redis.disconnect();
    });
    const value = "x".repeat(1_000_000);
    expect(await redis.set("a", value)).toBe("OK");
    expect(await redis.get("a")).toBe(value);
    expect(await redis.mset("b", "1", "c", "2", "d", "3")).toBe("OK");
    const many = await Promise.all(Array.from({ length: 500 }, (_, n) => redis.echo(`${n}`)));
    expect(many).toEqual(Array.from({ length: 500 }, (_, n) => `${n}`));
    const args = ["-p", String(cluster.port), "--tls", "--cacert", authority.ca, "get", "b"];
    expect((await promisify(execFile)("redis-cli", args)).stdout).toBe("1\n");
    const plain = await cluster.client();
    expect(await plain.call("GET c")).toBe("$1\r\n2\r\n");
  });

  test("half of a command and then the end is no trouble, nor is a broken handshake", async () => {
    const { file, authority } = await prepare();
    const cluster = await startRouterCluster({ partitions: 1, settings: CERT, file });
    const broken = await RawClient.open(cluster.port);
    broken.send(Buffer.from([22, 9, 9, 0, 5, 1, 2, 3, 4, 5, 6, 7]));
    const cut = await RawClient.open(cluster.port);
    cut.send(Buffer.from([22]));
    cut.socket.destroy();
    expect((await pingBy(cluster.port, authority.ca)).reply).toBe("+PONG\r\n");
    broken.socket.destroy();
  });

  test("a client's certificate may be asked for, and one of another authority is turned away", async () => {
    const { file, authority, folder } = await prepare();
    const ours = await authority.issue("client");
    const strangers = await authorityIn(folder.path, "stranger");
    const theirs = await strangers.issue("other");
    const settings = [...CERT, "tls-auth-clients yes"];
    const router = await tlsRouter(settings, file);
    const { port } = router;
    const asked = async (): Promise<string[]> => {
      const all = [undefined, ours, theirs].map((own) => pingBy(port, authority.ca, own));
      return (await Promise.all(all)).map(({ reply }) => reply);
    };
    expect(await asked()).toEqual(["refused", "+PONG\r\n", "refused"]);
    await router.reload([...CERT, "tls-auth-clients optional"]);
    expect(await asked()).toEqual(["+PONG\r\n", "+PONG\r\n", "refused"]);
    await router.reload(CERT);
    expect(await asked()).toEqual(["+PONG\r\n", "+PONG\r\n", "+PONG\r\n"]);
  });

  test("a renewed certificate serves the next client, and the present ones stay", async () => {
    const { file, authority, folder } = await prepare();
    const router = await tlsRouter(CERT, file);
    const { port } = router;
    const reload = (lines: readonly string[]): Promise<unknown> => router.reload(lines);
    const redis = new Redis({ port, tls: { ca: await readFile(authority.ca) } });
    onTestFinished(() => {
      redis.disconnect();
    });
    let closed = 0;
    redis.on("close", () => closed++);
    await redis.set("a", "1");
    const first = await pingBy(port, authority.ca);
    await authority.issue("router");
    await reload(CERT);
    const second = await pingBy(port, authority.ca);
    expect(second.reply).toBe("+PONG\r\n");
    expect(second.serial).not.toBe(first.serial);
    expect(await redis.get("a")).toBe("1");
    expect(closed).toBe(0);
    // A key of another certificate: nothing changes.
    await authority.issue("other");
    await folder.write("router.key", await readFile(`${folder.path}/other.key`));
    await expect(reload(CERT)).rejects.toThrow(/tls-cert router.crt, tls-key .* together/);
    await folder.write("router.key", await readFile(`${folder.path}/other.key`), 0o600);
    await folder.write("none.crt", "no certificate");
    await expect(
      reload(["tls-cert other.crt", "tls-key other.key", "tls-ca none.crt"]),
    ).rejects.toThrow(/tls-ca can't be used/);
    await folder.write("router.key", "nonsense", 0o644);
    await expect(reload(CERT)).rejects.toThrow(/tls-key .*chmod 600/s);
    await expect(reload(["tls-cert none", "tls-key none"])).rejects.toThrow(
      /tls-cert: ENOENT[^]*tls-key: ENOENT/,
    );
    expect((await pingBy(port, authority.ca)).serial).toBe(second.serial);
  });

  test("renewed files are taken without a signal; a pair that does not fit is named, and the old one stays", async () => {
    const { file, authority, folder } = await prepare();
    const lines: string[] = [];
    const note = (line: string): void => void lines.push(line);
    const log = { ...silentLog, info: note, error: note };
    const { port } = await startRouterCluster({
      ...{ partitions: 1, settings: CERT, file, log, certificatesEveryMs: 20 },
    });
    const redis = new Redis({ port, tls: { ca: await readFile(authority.ca) } });
    onTestFinished(() => {
      redis.disconnect();
    });
    let closed = 0;
    redis.on("close", () => closed++);
    await redis.set("a", "1");
    const first = await pingBy(port, authority.ca);
    const other = await authority.issue("other");
    await folder.write("router.key", await readFile(other.key), 0o600);
    const isNamed = (line: string): boolean =>
      /changed certificates are not taken, .*together/.test(line);
    await until("the pair is named", () => lines.some(isNamed));
    expect((await pingBy(port, authority.ca)).serial).toBe(first.serial);
    await folder.write("router.crt", await readFile(other.cert));
    await until("the pair is taken", async () => {
      const { serial } = await pingBy(port, authority.ca);
      return serial !== first.serial;
    });
    expect(await redis.get("a")).toBe("1");
    expect(closed).toBe(0);
  });

  test("only this machine's addresses are this machine", () => {
    const from = (remoteAddress: string, localAddress: string): boolean =>
      isLocal({ remoteAddress, localAddress });
    expect(from("127.0.0.1", "127.0.0.1")).toBe(true);
    expect(from("127.9.9.9", "127.0.0.1")).toBe(true);
    expect(from("::1", "::1")).toBe(true);
    expect(from("::ffff:127.0.0.1", "::ffff:127.0.0.1")).toBe(true);
    expect(from("10.0.0.5", "10.0.0.5")).toBe(true);
    expect(from("10.0.0.6", "10.0.0.5")).toBe(false);
    expect(from("172.17.0.1", "172.17.0.2")).toBe(false);
    expect(from("fe80::1", "fe80::2")).toBe(false);
  });
});

interface TlsRouter {
  readonly port: number;
  reload(settings: readonly string[]): Promise<readonly string[]>;
}

/** A router before one redis-server; `reload` takes other settings. */
function tlsRouter(settings: readonly string[], file: string): Promise<TlsRouter> {
  return startRouterCluster({ partitions: 1, settings, file });
}

describe.skipIf(isMissing("redis-server", "openssl"))("TLS to nodes", () => {
  /** A redis-server that speaks TLS on a port of its own and asks for certificates; the router to it. */
  async function behindTls(
    settings: readonly string[],
    nodeNames?: readonly string[],
  ): Promise<{ router: Router; port: number; tlsPort: number; folder: RouterFolder; ca: string }> {
    const { folder, authority, file } = await prepare();
    const node = await authority.issue("node", nodeNames);
    const tlsPort = await freePort();
    await startRedis([
      `tls-port ${tlsPort}`,
      `tls-cert-file ${node.cert}`,
      `tls-key-file ${node.key}`,
      `tls-ca-cert-file ${authority.ca}`,
      "tls-auth-clients yes",
    ]);
    const lines = [`n${tlsPort}=data 0 localhost ${tlsPort} 0`, ...settings];
    const { config } = parseConf(`${lines.join("\n")}\n`, file);
    if (config === undefined) throw new Error("the settings are wrong");
    const view = new HandKeptView();
    view.show([{ port: tlsPort, partition: 0 }], [tlsPort]);
    const port = await freePort();
    const partitioner = await loadPartitioner(config);
    const router = await startRouter({
      ...{ config, partitioner, viewSource: view, password: undefined },
      ...{ clock: systemClock, log: silentLog, listen: { host: "127.0.0.1", port } },
    });
    onTestFinished(async () => {
      await router.close();
      await partitioner.close();
    });
    return { router, port, tlsPort, folder, ca: authority.ca };
  }

  test("a node that speaks nothing else and asks for a certificate serves as any other", async () => {
    const { port } = await behindTls([...CERT, "tls-nodes yes"]);
    const client = await RawClient.open(port);
    const value = "x".repeat(3_000_000);
    expect(await client.callArgs(["SET", "a", value])).toBe("+OK\r\n");
    expect(await client.call("GET a")).toBe(`$3000000\r\n${value}\r\n`);
    expect(await client.call("MULTI")).toBe("+OK\r\n");
    expect(await client.call("INCR n")).toBe("+QUEUED\r\n");
    expect(await client.call("EXEC")).toBe("*1\r\n:1\r\n");
    for (let n = 0; n < 2000; n++) client.send(`INCR n\r\n`);
    for (let n = 0; n < 2000; n++) expect(await client.reply()).toBe(`:${n + 2}\r\n`);
    client.socket.destroy();
  });

  test("a node whose certificate bears another name is not believed", async () => {
    const settings = [...CERT, "tls-nodes yes", "hold-for 1s"];
    const { port } = await behindTls(settings, ["DNS:elsewhere.example.com"]);
    const client = await RawClient.open(port);
    expect(await client.call("SET a 1")).toMatch(/^-TWINEDOWN /);
    client.socket.destroy();
  });

  test("a link to a status node speaks TLS when it is told to", async () => {
    const { tlsPort, folder, ca } = await behindTls([...CERT, "tls-nodes yes"]);
    const tls = {
      ca: await readFile(ca),
      cert: await readFile(`${folder.path}/router.crt`),
      key: await readFile(`${folder.path}/router.key`),
    };
    const address = { host: "127.0.0.1", port: tlsPort };
    const link = await openRedisLink(address, { connectTimeoutMs: 2000, tls });
    expect(await link.call("PING")).toBe("PONG");
    link.close();
    await expect(openRedisLink(address, { connectTimeoutMs: 2000 })).rejects.toThrow();
  });
});
