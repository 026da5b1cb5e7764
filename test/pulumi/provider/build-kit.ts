// build-kit.ts: builds an image with the engine's BuildKit, as the real provider does.
//
//   POST /session, Upgrade: h2c      the engine is the gRPC client on this connection: grpc.health.v1.Health/Check
//   POST /build?buildid=upload-…     the context, as a tar archive
//   POST /build?session=…            the build; answers progress and errors as JSON, line by line
//
// `docker build` serves files and credentials on its session, too. They are not needed here: the context is uploaded, and
// the base image is on the engine. Dockerode has sessions of its own, but without the health check, so the engine ends them
// after a second. Protocol: moby/buildkit session/manager.go, docker/cli cli/command/image/build_buildkit.go.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import grpc from "@grpc/grpc-js";
import type Docker from "dockerode";

const HEALTH = "/grpc.health.v1.Health/Check";
/** HealthCheckResponse{status: SERVING}. */
const SERVING = Buffer.from([0x08, 0x01]);

/** What of a build the provider passes on. */
export type BuildOptions = Readonly<Record<string, string>>;

/** @throws Error with BuildKit's own words. */
export async function buildWithKit(
  docker: Docker,
  context: Buffer,
  options: BuildOptions,
): Promise<void> {
  const [session, id] = [randomBytes(12).toString("hex"), randomBytes(12).toString("hex")];
  await withSession(docker, session, async () => {
    const upload = post(docker, { version: "2", buildid: `upload-request:${id}` }, context);
    const build = post(docker, {
      ...options,
      version: "2",
      session,
      remote: "upload-request",
      buildid: id,
    });
    // A build that is refused never reads the context, and then the upload fails with nothing new to say.
    const [built] = await Promise.all([build, upload.catch(() => undefined)]);
    const lines = built.split("\n").filter((line) => line.trim() !== "");
    const failure = lines
      .map((line) => JSON.parse(line) as { readonly error?: string })
      .find(({ error }) => error !== undefined);
    if (failure !== undefined) throw new Error(failure.error);
  });
}

async function withSession(docker: Docker, id: string, work: () => Promise<void>): Promise<void> {
  const request = begin(docker, "/session", {
    Connection: "Upgrade",
    Upgrade: "h2c",
    "X-Docker-Expose-Session-Uuid": id,
    "X-Docker-Expose-Session-Name": "twine-test",
    "X-Docker-Expose-Session-Grpc-Method": HEALTH,
  });
  request.end();
  const refused = once(request, "response").then(([response]) => {
    const { statusCode = 0 } = response as http.IncomingMessage;
    throw new Error(`the engine opens no BuildKit session: ${statusCode}`);
  });
  const [, stream] = (await Promise.race([once(request, "upgrade"), refused])) as [unknown, Duplex];
  const server = new grpc.Server();
  const bytes = (value: Buffer): Buffer => value;
  const check: grpc.MethodDefinition<Buffer, Buffer> = {
    path: HEALTH,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const answer: grpc.handleUnaryCall<Buffer, Buffer> = (_call, callback) => {
    callback(null, SERVING);
  };
  server.addService({ check }, { check: answer });
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  injector.injectConnection(stream);
  try {
    await work();
  } finally {
    injector.destroy();
    server.forceShutdown();
    stream.destroy();
  }
}

async function post(docker: Docker, query: BuildOptions, body?: Buffer): Promise<string> {
  const path = `/build?${new URLSearchParams(query).toString()}`;
  const request = begin(docker, path, { "Content-Type": "application/x-tar" });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const answered = await text(response);
  if (response.statusCode === 200) return answered;
  throw new Error((JSON.parse(answered) as { readonly message?: string }).message ?? answered);
}

/** The way to the engine that dockerode was opened with. */
interface Way {
  readonly protocol?: string;
  readonly socketPath?: string;
}

function begin(
  docker: Docker,
  path: string,
  headers: http.OutgoingHttpHeaders,
): http.ClientRequest {
  const { protocol = "http", ...way } = docker.modem as Way;
  const names: readonly string[] = ["socketPath", "host", "port", "agent", "ca", "cert", "key"];
  const options = Object.fromEntries(
    Object.entries(way as Readonly<Record<string, unknown>>).filter(
      ([name, value]) => names.includes(name) && value !== undefined,
    ),
  );
  const module = protocol === "https" ? https : http;
  return module.request({ ...options, method: "POST", path, headers });
}
