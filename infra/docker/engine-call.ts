// engine-call.ts: calls a Docker engine's HTTP API over the same connections as the docker provider.
//
//   unix://, npipe://   its socket             tcp://   HTTP, with certificates HTTPS
//   ssh://              `ssh HOST docker system dial-stdio`, whose two ends are the stream
//
// Docker's API: https://docs.docker.com/reference/api/engine/
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../../runtime/ports/clock.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { connectThrough } from "./program-connection.ts";

/** Enough for the slowest sshd; the docker provider itself gives up earlier. */
const ANSWER_WITHIN_MS = 15_000;
/** Docker's header before each piece of a log: one byte for the stream, three unused, four for the length. */
const LOG_HEAD_BYTES = 8;

/** A request that changes something. */
export interface EngineOrder {
  readonly method: "POST" | "PUT" | "DELETE";
  /** Absent: no body. An object is sent as JSON, bytes as a tar archive. */
  readonly body?: object | Buffer;
  /** The time limit of the engine. @default 15000 */
  readonly withinMs?: number;
}

/** The engine's refusal. https://docs.docker.com/reference/api/engine/#errors */
export class EngineError extends Error {
  /** The HTTP status: 404 when what the path names does not exist. */
  readonly status: number;

  constructor(status: number, words: string) {
    super(`the engine answers ${status}: ${words}`);
    this.status = status;
  }
}

/** Whether the engine says that what the path names does not exist; not when the engine could not be asked. */
export function isMissing(error: unknown): boolean {
  return error instanceof EngineError && error.status === 404;
}

/** Sends a request; with `order` one that changes something. Rejects with an EngineError, or with the reason when
    it can't be reached. */
export async function callEngine(
  endpoint: EndpointArgs,
  path: string,
  order?: EngineOrder,
): Promise<Buffer> {
  const options = await wayTo(endpoint);
  const withinMs = order?.withinMs ?? ANSWER_WITHIN_MS;
  const { headers, body } = bodyOf(order);
  const request = {
    ...options,
    headers: { ...(options.headers as http.OutgoingHttpHeaders | undefined), ...headers },
    path,
    method: order?.method ?? "GET",
    signal: AbortSignal.timeout(withinMs),
  };
  const begin = "cert" in options ? https.request : http.request;
  try {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      begin(request, resolve).once("error", reject).end(body);
    });
    const answer = await buffer(response);
    if ((response.statusCode ?? 500) < 300) return answer;
    const words = answer.toString().trim();
    throw new EngineError(response.statusCode ?? 500, words);
  } catch (cause) {
    if (request.signal.aborted) {
      throw new Error(`no answer in ${withinMs / 1000} s`, { cause });
    }
    throw cause;
  }
}

function bodyOf(order: EngineOrder | undefined): {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer | undefined;
} {
  if (order?.body === undefined) return { headers: {}, body: undefined };
  const isTar = Buffer.isBuffer(order.body);
  const body = Buffer.isBuffer(order.body) ? order.body : Buffer.from(JSON.stringify(order.body));
  const type = isTar ? "application/x-tar" : "application/json";
  return { headers: { "content-type": type, "content-length": body.length }, body };
}

/** The engine's reply, parsed from JSON. */
export async function askEngine(
  endpoint: EndpointArgs,
  path: string,
  order?: EngineOrder,
): Promise<unknown> {
  return JSON.parse((await callEngine(endpoint, path, order)).toString()) as unknown;
}

/** The result of a program that was run in a container: both outputs together, and the exit code. */
export interface RunInContainer {
  readonly said: string;
  readonly exitCode: number;
}

/** Runs a program in a container, as the container's user. `docker inspect` does not show `env`. */
export async function runInContainer(
  endpoint: EndpointArgs,
  container: string,
  command: readonly string[],
  { env = [], withinMs = ANSWER_WITHIN_MS }: { env?: readonly string[]; withinMs?: number } = {},
): Promise<RunInContainer> {
  const made = { AttachStdout: true, AttachStderr: true, Cmd: command, Env: env };
  const { Id: id } = (await askEngine(endpoint, `/containers/${container}/exec`, {
    method: "POST",
    body: made,
  })) as { Id: string };
  const begin = { method: "POST", body: { Detach: false, Tty: false }, withinMs } as const;
  const raw = await callEngine(endpoint, `/exec/${id}/start`, begin);
  return { said: withoutHeads(raw), exitCode: await exitCodeOf(endpoint, id, withinMs) };
}

const LOOK_EVERY_MS = 50;

/** A busy engine records the exit some time after the last output. */
async function exitCodeOf(endpoint: EndpointArgs, id: string, withinMs: number): Promise<number> {
  const endMs = systemClock.nowMs() + withinMs;
  for (;;) {
    const { ExitCode: exitCode } = (await askEngine(endpoint, `/exec/${id}/json`)) as {
      ExitCode: number | null;
    };
    if (exitCode !== null) return exitCode;
    if (systemClock.nowMs() > endMs)
      throw new Error(`a program does not end in ${withinMs / 1000} s`);
    await systemClock.delay(LOOK_EVERY_MS);
  }
}

/** The last log lines of a container, both outputs; `isDated`: each line begins with its time. */
export async function containerLog(
  endpoint: EndpointArgs,
  container: string,
  lineCount: number,
  isDated = false,
): Promise<string> {
  const query = `stdout=1&stderr=1&tail=${lineCount}${isDated ? "&timestamps=1" : ""}`;
  return withoutHeads(await callEngine(endpoint, `/containers/${container}/logs?${query}`));
}

/** Docker's stream of both outputs as one text. */
function withoutHeads(raw: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + LOG_HEAD_BYTES <= raw.length;) {
    const end = at + LOG_HEAD_BYTES + raw.readUInt32BE(at + 4);
    pieces.push(raw.subarray(at + LOG_HEAD_BYTES, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}

/** HTTP requires a host, and these connections have none. Not for TLS: there the certificate must match the host. */
const NO_HOST = { host: "docker" };

async function wayTo(endpoint: EndpointArgs): Promise<https.RequestOptions> {
  const { docker, sshOpts = [] } = endpoint;
  const [, socketPath] = /^(?:unix|npipe):\/\/(.*)$/.exec(docker) ?? [];
  if (socketPath !== undefined) return { socketPath, headers: NO_HOST };
  const url = new URL(docker);
  if (url.protocol === "ssh:") return throughSsh(url, sshOpts);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const certificates = await certificatesOf(endpoint);
  return { host, port: url.port || "2375", ...certificates };
}

async function certificatesOf(endpoint: EndpointArgs): Promise<https.RequestOptions> {
  const { certPath, ca, cert, key } = endpoint;
  if (certPath === undefined) {
    return ca === undefined || cert === undefined || key === undefined ? {} : { ca, cert, key };
  }
  const [caPem, certPem, keyPem] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((name) => readFile(join(certPath, name), "utf8")),
  );
  return { ca: caPem, cert: certPem, key: keyPem };
}

function throughSsh(url: URL, options: readonly string[]): https.RequestOptions {
  const user = url.username === "" ? [] : ["-l", decodeURIComponent(url.username)];
  const port = url.port === "" ? [] : ["-p", url.port];
  const args = [...options, "-T", ...user, ...port, url.hostname, "--"];
  const createConnection = (): Duplex =>
    connectThrough("ssh", [...args, "docker", "system", "dial-stdio"], ({ endedWith, said }) =>
      `ssh ended with ${endedWith}: ${said}`.trim(),
    );
  return { createConnection, headers: NO_HOST };
}
