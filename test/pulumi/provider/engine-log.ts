// engine-log.ts: what a provider tells the person before the screen: through the Pulumi engine that started it.
import grpc from "@grpc/grpc-js";
import engineService from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import proto from "@pulumi/pulumi/proto/engine_pb.js";

/** The engine gives its address as the first argument. */
const address = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
const engine =
  address === undefined
    ? undefined
    : new engineService.EngineClient(address, grpc.credentials.createInsecure());

/** Shown beside the resource. Never rejects: an engine that is gone has no screen. */
export function logToEngine(
  severity: "INFO" | "ERROR",
  urn: string,
  message: string,
): Promise<void> {
  const request = new proto.LogRequest()
    .setSeverity(proto.LogSeverity[severity])
    .setUrn(urn)
    .setMessage(message);
  return new Promise((resolve) => {
    if (engine === undefined) resolve();
    else
      engine.log(request, () => {
        resolve();
      });
  });
}
