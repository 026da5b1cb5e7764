// throw-away.ts: creates a whole cluster as pods on one Docker engine, for a test or a CI job: with the same component as
// `pulumi up`, through Pulumi's Automation API; removes it without Pulumi.
//
// All containers are created at once, without waiting for their health checks: the caller asks the monitors. They are
// removed by Docker's own API, by label: an engine removes killed containers quickly, while `pulumi destroy` stops one
// after the other.
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { errorText } from "../../runtime/core/error-text.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { TwineCluster } from "./cluster.ts";
import { askEngine, callEngine, isMissing } from "./engine-call.ts";

export interface ThrowAwayRequest {
  /** Name of stack and network, and the prefix (with a dash) of every container and volume. */
  readonly name: string;
  /** For Pulumi's state; it may be removed with the cluster. */
  readonly folder: string;
  readonly config: ClusterConfig;
  readonly engine: string;
  readonly redisImage: string | undefined;
  readonly password: string | undefined;
  readonly signal: AbortSignal;
}

export interface ThrowAway {
  /** Node -> its port on 127.0.0.1 of the engine's machine. */
  readonly ports: ReadonlyMap<string, number>;
  /** Settles when Pulumi has ended; rejects with a TwineError. */
  readonly made: Promise<void>;
}

/** Starts the creation. Throws ENV_ENGINE when the engine does not answer, ENV_PULUMI when Pulumi is missing. */
export async function beginThrowAway(request: ThrowAwayRequest): Promise<ThrowAway> {
  const ports = await freePorts(request);
  const made = up(request, ports).catch((error: unknown) => {
    throw error instanceof TwineError ? error : notMade(request, error);
  });
  // The caller awaits it later.
  made.catch(() => undefined);
  return { ports, made };
}

async function up(request: ThrowAwayRequest, ports: ReadonlyMap<string, number>): Promise<void> {
  const { name, folder, config, engine, redisImage, password, signal } = request;
  const { LocalWorkspace, PulumiCommand } = await automation();
  const pulumiCommand = await PulumiCommand.get().catch((cause: unknown) => {
    throw noPulumi(errorText(cause));
  });
  const workDir = join(folder, "pulumi");
  const state = join(workDir, "state");
  await mkdir(state, { recursive: true });
  const program = (): Promise<void> => {
    new TwineCluster(name, {
      ...{ conf: printConf(config), confFile: config.file, cluster: config.settings.cluster },
      ...{ engine, atOnce: true, publish: [...ports].map(([node, port]) => `${node}=${port}`) },
      ...(redisImage === undefined ? {} : { redisImage }),
      ...(password === undefined ? {} : { password }),
    });
    return Promise.resolve();
  };
  const envVars = {
    PULUMI_BACKEND_URL: pathToFileURL(state).href,
    // The state contains nothing that is needed after the cluster.
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
  const stack = await LocalWorkspace.createStack(
    { stackName: name, projectName: "twine-env", program },
    { workDir, pulumiCommand, envVars },
  );
  await stack.up({ color: "never", signal, suppressOutputs: true });
}

/** Loaded when needed: loading is slow, and a checkout without Docker does not need it. */
async function automation(): Promise<typeof import("@pulumi/pulumi/automation/index.js")> {
  return import("@pulumi/pulumi/automation/index.js");
}

const FIRST_PORT = 20_000;
const PORT_COUNT = 10_000;

/** Computed from the name, so that an environment usually gets the same ports again; never one that a container of the
    engine has. */
async function freePorts({
  name,
  config,
  engine,
}: ThrowAwayRequest): Promise<ReadonlyMap<string, number>> {
  const taken = await takenPorts(engine);
  const ports = new Map<string, number>();
  for (const node of config.nodes) {
    let offset = createHash("sha256").update(`${name}/${node.name}`).digest().readUInt32BE(0);
    while (taken.has(FIRST_PORT + (offset % PORT_COUNT))) offset++;
    const port = FIRST_PORT + (offset % PORT_COUNT);
    taken.add(port);
    ports.set(node.name, port);
  }
  return ports;
}

async function takenPorts(engine: string): Promise<Set<number>> {
  const containers = await listed(engine, "/containers/json?all=1");
  const ports = containers.flatMap(({ Ports }) => (Ports ?? []) as { PublicPort?: number }[]);
  return new Set(ports.flatMap(({ PublicPort: port }) => (port === undefined ? [] : [port])));
}

interface Listed {
  readonly Id: string;
  readonly Ports?: readonly { readonly PublicPort?: number }[];
}

async function listed(engine: string, path: string): Promise<readonly Listed[]> {
  try {
    return (await askEngine({ docker: engine }, path)) as Listed[];
  } catch (cause) {
    throw new TwineError({
      code: "ENV_ENGINE",
      message: `no Docker engine answers at ${engine}: ${errorText(cause)}`,
      remedy: "name a running one, such as --engine unix:///var/run/docker.sock",
    });
  }
}

const REMOVED_WITHIN_MS = 60_000;

/** Removes its containers, volumes and network, as far as they exist. Throws ENV_ENGINE, ENV_LEFT. */
export async function removeThrowAway(
  engine: string,
  name: string,
  config: ClusterConfig,
): Promise<void> {
  const label = `twine.cluster=${config.settings.cluster}`;
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const remove = async (path: string): Promise<string | undefined> => {
    const order = { method: "DELETE", withinMs: REMOVED_WITHIN_MS } as const;
    return callEngine({ docker: engine }, path, order).then(
      () => undefined,
      // A missing resource counts as removed.
      (error: unknown) => (isMissing(error) ? undefined : errorText(error)),
    );
  };
  const containers = await listed(engine, `/containers/json?all=1&filters=${filters}`);
  const first = await Promise.all(
    containers.map(({ Id: id }) => remove(`/containers/${id}?force=1&v=1`)),
  );
  const named = [
    ...nodesOf(config, "data"),
    ...nodesOf(config, "status"),
    ...nodesOf(config, "monitor"),
  ];
  const second = await Promise.all([
    ...named.map((node) => remove(`/volumes/${name}-${node.name}`)),
    remove(`/networks/${name}`),
  ]);
  const [left] = [...first, ...second].filter((why) => why !== undefined);
  if (left === undefined) return;
  throw new TwineError({
    code: "ENV_LEFT",
    message: `something of ${name} is left on ${engine}: ${left}`,
    remedy: `run twine-env down again; docker ps -a --filter label=${label} shows the containers`,
  });
}

function noPulumi(why: string): TwineError {
  return new TwineError({
    code: "ENV_PULUMI",
    message: `an environment on a Docker engine needs the Pulumi CLI, and it is not on PATH: ${why}`,
    remedy:
      "install it (https://www.pulumi.com/docs/install/), or leave --engine out: then processes of this machine are the cluster",
  });
}

function notMade({ engine }: ThrowAwayRequest, error: unknown): TwineError {
  const report = errorText(error);
  // Pulumi's own report ends with the result of each resource.
  const told = /^Diagnostics:\n([\s\S]*?)^(?:Outputs|Resources):/m.exec(report)?.[1] ?? report;
  return new TwineError({
    code: "ENV_DOCKER",
    message: `the containers could not be made on ${engine}:\n${told.trim()}`,
    remedy: "see above; nothing of it is left",
  });
}
