// main.ts: the stand-in for Pulumi's docker provider: a gRPC server on a free port of 127.0.0.1, which it prints.
//
//   pulumi engine --pulumirpc.ResourceProvider--> this --Docker's HTTP API--> a real Docker engine
//
// One process serves one docker.Provider. Why not pulumi.provider.main: it gives its provider no configuration, and so
// no endpoint. What a resource does is in the kinds beside this file; here is the protocol alone
// (pulumi/pulumi, proto/pulumi/provider.proto).
import grpc from "@grpc/grpc-js";
import anyProto from "google-protobuf/google/protobuf/any_pb.js";
import emptyProto from "google-protobuf/google/protobuf/empty_pb.js";
import structProto from "google-protobuf/google/protobuf/struct_pb.js";
import pluginProto from "@pulumi/pulumi/proto/plugin_pb.js";
import providerService from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import proto from "@pulumi/pulumi/proto/provider_pb.js";
import statusProto from "@pulumi/pulumi/proto/status_pb.js";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import type Docker from "dockerode";
import { endWithEngine } from "../end-with-engine.ts";
import { CONTAINER } from "./container-kind.ts";
import { logToEngine } from "./engine-log.ts";
import { messageOf, openEngine, pingEngine } from "./engine.ts";
import { IMAGE, REMOTE_IMAGE } from "./image-kinds.ts";
import { NETWORK, VOLUME } from "./network-volume-kinds.ts";
import { checkProperties, type PropertyProblem } from "./property-types.ts";
import {
  HalfCreated,
  MADE_UP_NAME,
  judge,
  type Created,
  type ResourceKind,
} from "./resource-kind.ts";
import { UNKNOWN, flag, type Bag } from "./values.ts";

type Struct = structProto.Struct;

const KINDS: readonly ResourceKind[] = [CONTAINER, NETWORK, VOLUME, REMOTE_IMAGE, IMAGE];
const MESSAGE_BYTES_MAX = 400 * 1024 * 1024;
const VERSION = (
  createRequire(import.meta.url)("@pulumi/docker/package.json") as { version: string }
).version;

let engine: Docker | undefined;

function kindOf(urn: string): ResourceKind {
  // urn:pulumi:stack::project::parent$type::name
  const type = urn.split("::")[2]?.split("$").at(-1) ?? "";
  const kind = KINDS.find((one) => one.type === type);
  if (kind === undefined) throw new Error(`the stand-in provider does not serve ${type}`);
  return kind;
}

function connected(): Docker {
  if (engine === undefined) throw new Error("the provider was not configured");
  return engine;
}

function toBag(struct: Struct | undefined): Bag {
  return struct?.toJavaScript() ?? {};
}

function toStruct(value: Bag): Struct {
  // Undefined has no form in a Struct; JSON drops it.
  return structProto.Struct.fromJavaScript(JSON.parse(JSON.stringify(value)) as never);
}

function checkResponse(inputs: Bag, problems: readonly PropertyProblem[]): proto.CheckResponse {
  const failures = problems.map((problem) => {
    const failure = new proto.CheckFailure();
    failure.setProperty(problem.property);
    failure.setReason(problem.reason);
    return failure;
  });
  return new proto.CheckResponse().setInputs(toStruct(inputs)).setFailuresList(failures);
}

/** Names as the real provider makes them up: the resource's own and seven random digits, kept for its life. */
function named(kind: ResourceKind, urn: string, olds: Bag, news: Bag): Bag {
  if (!kind.autonames || news["name"] !== undefined) return news;
  const isMadeUp = olds[MADE_UP_NAME] === true;
  const made = `${urn.split("::").at(-1) ?? "x"}-${randomBytes(4).toString("hex").slice(0, 7)}`;
  return { ...news, name: isMadeUp ? olds["name"] : made, [MADE_UP_NAME]: true };
}

/** A parsed JSON text where the SDK sends one (provider arguments that are no strings), else the value. */
function decodeArgument(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" || typeof parsed === "boolean" ? parsed : value;
  } catch {
    return value;
  }
}

function providerArguments(struct: Struct | undefined): Bag {
  const given = Object.entries(toBag(struct)).filter(([name]) => name !== "version");
  return Object.fromEntries(given.map(([name, value]) => [name, decodeArgument(value)]));
}

function checkConfig(request: proto.CheckRequest): proto.CheckResponse {
  const problems = checkProperties("pulumi:providers:docker", providerArguments(request.getNews()));
  return checkResponse(toBag(request.getNews()), problems);
}

async function configure(request: proto.ConfigureRequest): Promise<proto.ConfigureResponse> {
  const args = providerArguments(request.getArgs());
  if (args["host"] !== UNKNOWN) {
    engine = openEngine(args);
    if (!flag(args["disableDockerDaemonCheck"])) await pingEngine(args);
  }
  // No secrets: the engine hides a whole property when anything in it is secret, as with the real provider.
  return new proto.ConfigureResponse().setSupportspreview(true).setAcceptsecrets(false);
}

async function check(request: proto.CheckRequest): Promise<proto.CheckResponse> {
  const kind = kindOf(request.getUrn());
  const problems = checkProperties(kind.type, toBag(request.getNews()));
  const news = named(kind, request.getUrn(), toBag(request.getOlds()), toBag(request.getNews()));
  if (problems.length > 0 || kind.check === undefined) return checkResponse(news, problems);
  const checked = kind.check(news);
  if (checked.advice !== undefined) await logToEngine("INFO", request.getUrn(), checked.advice);
  return checkResponse(checked.inputs, checked.problems);
}

function diff(request: proto.DiffRequest): proto.DiffResponse {
  const kind = kindOf(request.getUrn());
  const news = toBag(request.getNews());
  const [state, oldInputs] = [toBag(request.getOlds()), toBag(request.getOldInputs())];
  const { changed, replacing } = judge(
    kind,
    state,
    oldInputs,
    news,
    request.getIgnorechangesList(),
  );
  const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
  return new proto.DiffResponse()
    .setChanges(changed.length > 0 ? DIFF_SOME : DIFF_NONE)
    .setDiffsList([...changed])
    .setReplacesList([...replacing])
    .setDeletebeforereplace(kind.deletesFirst || (kind.autonames && news[MADE_UP_NAME] !== true));
}

async function create(request: proto.CreateRequest): Promise<proto.CreateResponse> {
  const kind = kindOf(request.getUrn());
  const inputs = toBag(request.getProperties());
  if (request.getPreview()) {
    const unknowns = Object.fromEntries(kind.computed.map((name) => [name, UNKNOWN]));
    return new proto.CreateResponse().setProperties(toStruct({ ...inputs, ...unknowns }));
  }
  const { id, state } = await kind.create(connected(), inputs);
  return new proto.CreateResponse().setId(id).setProperties(toStruct(state));
}

async function read(request: proto.ReadRequest): Promise<proto.ReadResponse> {
  const kind = kindOf(request.getUrn());
  const found = await kind.read(connected(), request.getId(), toBag(request.getProperties()));
  const response = new proto.ReadResponse();
  if (found === undefined) return response;
  const inputs = request.getInputs();
  return response.setId(found.id).setProperties(toStruct(found.state)).setInputs(inputs);
}

async function update(request: proto.UpdateRequest): Promise<proto.UpdateResponse> {
  const kind = kindOf(request.getUrn());
  const [olds, news] = [toBag(request.getOlds()), toBag(request.getNews())];
  const state = request.getPreview()
    ? { ...olds, ...news }
    : await kind.update(connected(), request.getId(), olds, news);
  return new proto.UpdateResponse().setProperties(toStruct(state));
}

async function remove(request: proto.DeleteRequest): Promise<emptyProto.Empty> {
  const kind = kindOf(request.getUrn());
  await kind.delete(connected(), request.getId(), toBag(request.getProperties()));
  return new emptyProto.Empty();
}

/** A failure after creation carries what was created, so that the engine keeps it (ErrorResourceInitFailed). */
function initFailure(message: string, created: Created): grpc.Metadata {
  const detail = new proto.ErrorResourceInitFailed();
  detail.setId(created.id);
  detail.setProperties(toStruct(created.state));
  detail.setReasonsList([message]);
  const packed = new anyProto.Any();
  packed.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new statusProto.Status();
  status.setCode(grpc.status.UNKNOWN);
  status.setMessage(message);
  status.addDetails(packed);
  const metadata = new grpc.Metadata();
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return metadata;
}

/**
 * As the bridge to Terraform's provider does: a failure is logged in one wrapping and answered in another, so a person
 * reads it twice.
 */
function bridged<Request extends { getUrn(): string }, Response>(
  work: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await work(request);
    } catch (cause) {
      const urn = request.getUrn();
      if (!kindOf(urn).isBridged) throw cause;
      const message = messageOf(cause);
      const logged = `sdk-v2/provider2.go:566: sdk.helper_schema: ${message}: provider=docker@${VERSION}`;
      await logToEngine("ERROR", urn, logged);
      const answered = `1 error occurred:\n\t* ${message}\n\n`;
      // The engine makes a list of its own of what is half created.
      throw cause instanceof HalfCreated ? cause : new Error(answered, { cause });
    }
  };
}

function serve<Request, Response>(
  work: (request: Request) => Response | Promise<Response>,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    void (async () => {
      try {
        callback(null, await work(call.request));
      } catch (error) {
        const details = messageOf(error);
        const metadata =
          error instanceof HalfCreated ? initFailure(details, error.created) : undefined;
        callback({ code: grpc.status.UNKNOWN, details, ...(metadata && { metadata }) });
      }
    })();
  };
}

endWithEngine();
const server = new grpc.Server({
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
});
server.addService(providerService.ResourceProviderService, {
  getSchema: serve(() => new proto.GetSchemaResponse().setSchema("{}")),
  checkConfig: serve(checkConfig),
  // Another host updates the provider in place and keeps its resources.
  diffConfig: serve(() => new proto.DiffResponse()),
  configure: serve(configure),
  check: serve(check),
  diff: serve(diff),
  create: serve(bridged(create)),
  read: serve(bridged(read)),
  update: serve(bridged(update)),
  delete: serve(bridged(remove)),
  cancel: serve(() => new emptyProto.Empty()),
  attach: serve(() => new emptyProto.Empty()),
  getPluginInfo: serve(() => new pluginProto.PluginInfo().setVersion(VERSION)),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  // The one line that the engine waits for.
  process.stdout.write(`${port}\n`);
});
