// engine-call.ts: asks a Docker engine something by its own HTTP API, over the way that the docker provider takes.
//
//   unix://, npipe://   its socket             tcp://   HTTP, with certificates HTTPS
//   ssh://              `ssh HOST docker system dial-stdio`, whose two ends are the stream
//
// Only GET: whatever asks here changes nothing. Docker's API: https://docs.docker.com/reference/api/engine/
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { EndpointArgs } from "./endpoints.ts";

/** As long as the slowest sshd may take; the docker provider itself gives up earlier. */
const ANSWER_WITHIN_MS = 15_000;
/** Docker's head of each piece of a log: one byte of stream, three of nothing, four of length. */
const LOG_HEAD_BYTES = 8;

/** Rejects with the engine's own words where it refuses, with the reason where nothing answers. */
export async function callEngine(endpoint: EndpointArgs, path: string): Promise<Buffer> {
  const { options, whyEnded } = await wayTo(endpoint);
  const request = {
    ...options,
    path,
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  };
  const begin = "cert" in options ? https.get : http.get;
  try {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      begin(request, resolve).once("error", reject);
    });
    const body = await buffer(response);
    if ((response.statusCode ?? 500) < 300) return body;
    const words = body.toString().trim();
    throw new Error(`the engine answers ${response.statusCode ?? "?"}: ${words}`);
  } catch (cause) {
    if (request.signal.aborted) {
      throw new Error(`no answer in ${ANSWER_WITHIN_MS / 1000} s`, { cause });
    }
    const why = await whyEnded?.();
    throw why === undefined ? cause : new Error(why, { cause });
  }
}

/** What the engine answers as JSON. */
export async function askEngine(endpoint: EndpointArgs, path: string): Promise<unknown> {
  return JSON.parse((await callEngine(endpoint, path)).toString()) as unknown;
}

/** The last lines that a container wrote, both its outputs. */
export async function containerLog(
  endpoint: EndpointArgs,
  container: string,
  lineCount: number,
): Promise<string> {
  const query = `stdout=1&stderr=1&tail=${lineCount}`;
  const raw = await callEngine(endpoint, `/containers/${container}/logs?${query}`);
  const pieces: Buffer[] = [];
  for (let at = 0; at + LOG_HEAD_BYTES <= raw.length;) {
    const end = at + LOG_HEAD_BYTES + raw.readUInt32BE(at + 4);
    pieces.push(raw.subarray(at + LOG_HEAD_BYTES, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}

/** HTTP wants a host, and these ways lead to none. Not over TLS: there the certificate must be for what stands here. */
const NO_HOST = { host: "docker" };

interface Way {
  readonly options: https.RequestOptions;
  /** Of a way through a program: what it said when it failed. */
  readonly whyEnded?: () => Promise<string | undefined>;
}

async function wayTo(endpoint: EndpointArgs): Promise<Way> {
  const { docker, sshOpts = [] } = endpoint;
  const [, socketPath] = /^(?:unix|npipe):\/\/(.*)$/.exec(docker) ?? [];
  if (socketPath !== undefined) return { options: { socketPath, headers: NO_HOST } };
  const url = new URL(docker);
  if (url.protocol === "ssh:") return throughSsh(url, sshOpts);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const certificates = await certificatesOf(endpoint);
  return { options: { host, port: url.port || "2375", ...certificates } };
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

function throughSsh(url: URL, options: readonly string[]): Way {
  const user = url.username === "" ? [] : ["-l", decodeURIComponent(url.username)];
  const port = url.port === "" ? [] : ["-p", url.port];
  const args = [...options, "-T", ...user, ...port, url.hostname, "--"];
  const child = spawn("ssh", [...args, "docker", "system", "dial-stdio"]);
  const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
  stream.once("close", () => child.kill());
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  // Its outputs end before it does, so the stream alone would only say that it hung up.
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => {
      resolve(error.message);
    });
    child.once("close", (code) => {
      resolve(code === 0 || code === null ? undefined : `ssh ended with ${code}: ${said.trim()}`);
    });
  });
  const through = { createConnection: () => stream, headers: NO_HOST };
  return { options: through, whyEnded: () => ended };
}
