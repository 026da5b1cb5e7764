// s3-server.ts: a real S3 server process (moto, of PyPI, in a virtual environment) on a port of 127.0.0.1, ended by pid with
// the test. A port in front of it at which connections break is bad-port.ts.
import { spawn, type ChildProcess } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { cachedFolder, makeEnvironment, run } from "./cached-install.ts";
import { freePort } from "./port-claims.ts";
import { until } from "./redis-server.ts";

const VERSION = "5.2.5";

/** The Python that can run the server, or undefined when it can't be had here: then that has been said. */
export function pythonWithS3(): string | undefined {
  const folder = cachedFolder(`moto-${VERSION}`, (half) => {
    makeEnvironment(half);
    const packages = [`moto[s3]==${VERSION}`, "flask", "flask-cors", "werkzeug"];
    run(join(half, "bin/python"), "-m", "pip", "install", "-q", ...packages);
  });
  return folder === undefined ? undefined : join(folder, "bin/python");
}

export interface S3Server {
  readonly url: string;
  readonly port: number;
  /** kill -9; all that it held is gone with it. */
  kill(): Promise<void>;
  /** Key -> bytes of what lies in the bucket; parts of uploads under way are no objects. */
  keys(bucket: string): Promise<string[]>;
  /** Uploads of several parts that are neither completed nor aborted. */
  uploads(bucket: string): Promise<number>;
  /** Replaces an object, as a broken disk would. */
  overwrite(bucket: string, key: string, bytes: Buffer): Promise<void>;
  bytes(bucket: string, key: string): Promise<Buffer>;
  /** Makes a user with no rights at all, and the process one who asks as him; call requireCredentials() behind it. */
  becomeNobody(): Promise<void>;
  /** From here on only a user who is known may do what he is allowed. */
  requireCredentials(): Promise<void>;
}

/** Starts one with these buckets, and lets the process's AWS variables name it. */
export async function startS3(python: string, buckets: readonly string[]): Promise<S3Server> {
  const port = await freePort();
  const args = ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)];
  const child = spawn(python, args, { stdio: "ignore" });
  const kill = () => ended(child);
  onTestFinished(kill);
  const url = `http://127.0.0.1:${port}`;
  await until(
    "the S3 server answers",
    () =>
      fetch(`${url}/moto-api/data.json`).then(
        ({ ok }) => ok,
        () => false,
      ),
    120_000,
  );
  useS3(url);
  for (const bucket of buckets) await ask(`${url}/${bucket}`, { method: "PUT" });
  return {
    url,
    port,
    kill,
    keys: async (bucket) => all(await text(`${url}/${bucket}?list-type=2`), "Key"),
    uploads: async (bucket) => all(await text(`${url}/${bucket}?uploads`), "UploadId").length,
    overwrite: async (bucket, key, bytes) => {
      await ask(`${url}/${bucket}/${key}`, { method: "PUT", body: new Uint8Array(bytes) });
    },
    bytes: async (bucket, key) =>
      Buffer.from(await (await ask(`${url}/${bucket}/${key}`)).arrayBuffer()),
    becomeNobody: async () => {
      const query = (text: string): Promise<string> =>
        fetch(`${url}/?Version=2010-05-08&UserName=nobody&${text}`, {
          method: "POST",
          headers: { authorization: AUTHORIZATION.replace("/s3/", "/iam/") },
        }).then((response) => response.text());
      await query("Action=CreateUser");
      const key = await query("Action=CreateAccessKey");
      vi.stubEnv("AWS_ACCESS_KEY_ID", all(key, "AccessKeyId")[0]);
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", all(key, "SecretAccessKey")[0]);
    },
    requireCredentials: async () => {
      await ask(`${url}/moto-api/reset-auth`, { method: "POST", body: "0" });
    },
  };
}

/** What a program of AWS would be told of where to go and who it is. */
export function useS3(url: string): void {
  const values = {
    AWS_ENDPOINT_URL_S3: url,
    AWS_ACCESS_KEY_ID: "someone",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_REGION: "us-east-1",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
  for (const [name, value] of Object.entries(values)) vi.stubEnv(name, value);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
}

/** The moto way of saying which service an unsigned request is for. */
const AUTHORIZATION =
  "AWS4-HMAC-SHA256 Credential=mock/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, { ...init, headers: { authorization: AUTHORIZATION } });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

async function text(url: string): Promise<string> {
  return (await ask(url)).text();
}

function all(xml: string, tag: string): string[] {
  return [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g"))].map(
    ([, value]) => value ?? "",
  );
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exit;
}

/** A store that answers every request with this error, as a real one words it; what moto never says. */
export async function refusingStore(
  status: number,
  code: string,
  message: string,
): Promise<string> {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  const server = createHttpServer((request, response) => {
    request.resume();
    request.on("end", () => {
      response.writeHead(status, { "content-type": "application/xml" }).end(body);
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${port}`;
}
