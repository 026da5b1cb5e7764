// main.ts: a language host small enough to read, so that plain `pulumi up` runs without Pulumi's downloads.
//
//   pulumi engine --Run(program, config)--> this --spawns--> node @pulumi/pulumi/cmd/run … program
//
// The program, its SDK and the SDK's runner are the real ones; this only starts the runner with the engine's
// addresses, as pulumi-language-nodejs does (pulumi/pulumi, proto/pulumi/language.proto). What the real one does
// besides, installing dependencies and listing plugins, is not needed: both are there.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import grpc from "@grpc/grpc-js";
import languageService from "@pulumi/pulumi/proto/language_grpc_pb.js";
import proto from "@pulumi/pulumi/proto/language_pb.js";
import pluginProto from "@pulumi/pulumi/proto/plugin_pb.js";
import { endWithEngine } from "../end-with-engine.ts";

/** With this status the SDK's runner says that it already told the user what is wrong. */
const ALREADY_TOLD = 32;
const RUNNER = join(
  dirname(createRequire(import.meta.url).resolve("@pulumi/pulumi/package.json")),
  "cmd/run/index.js",
);
const engineAddress = process.argv.slice(2).find((argument) => !argument.startsWith("-")) ?? "";

function runnerArguments(request: proto.RunRequest): string[] {
  const info = request.getInfo();
  return [
    RUNNER,
    `--monitor=${request.getMonitorAddress()}`,
    `--engine=${engineAddress}`,
    `--organization=${request.getOrganization()}`,
    `--project=${request.getProject()}`,
    `--stack=${request.getStack()}`,
    `--root-directory=${info?.getRootDirectory() ?? ""}`,
    `--pwd=${request.getPwd()}`,
    `--parallel=${request.getParallel()}`,
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info?.getEntryPoint() ?? ".",
    ...request.getArgsList(),
  ];
}

function run(request: proto.RunRequest): Promise<proto.RunResponse> {
  const options = request.getInfo()?.getOptions()?.toJavaScript() as
    { typescript?: boolean } | undefined;
  const env = {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    PULUMI_NODEJS_TYPESCRIPT: String(options?.typescript ?? true),
  };
  const cwd = request.getInfo()?.getProgramDirectory() ?? request.getPwd();
  const child = spawn(process.execPath, runnerArguments(request), {
    cwd,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  endWithEngine(() => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      const response = new proto.RunResponse();
      if (code === ALREADY_TOLD) response.setBail(true);
      else if (code !== 0) response.setError(`the program exited with ${code ?? signal ?? "?"}`);
      resolve(response);
    });
  });
}

const server = new grpc.Server();
server.addService(languageService.LanguageRuntimeService, {
  getRequiredPlugins: ((_call, callback) => {
    callback(null, new proto.GetRequiredPluginsResponse());
  }) satisfies grpc.handleUnaryCall<unknown, proto.GetRequiredPluginsResponse>,
  getRequiredPackages: ((_call, callback) => {
    callback(null, new proto.GetRequiredPackagesResponse());
  }) satisfies grpc.handleUnaryCall<unknown, proto.GetRequiredPackagesResponse>,
  getPluginInfo: ((_call, callback) => {
    callback(null, new pluginProto.PluginInfo().setVersion("0.0.0"));
  }) satisfies grpc.handleUnaryCall<unknown, pluginProto.PluginInfo>,
  run: ((call, callback) => {
    run(call.request).then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        callback({ code: grpc.status.UNKNOWN, details: String(error) });
      },
    );
  }) satisfies grpc.handleUnaryCall<proto.RunRequest, proto.RunResponse>,
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
