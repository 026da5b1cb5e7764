// engine-guard.ts: refuses an engine that does not answer, and an engine other than the one that has the stack's data.
//
//   provider is created or updated -> Pulumi calls the hook, in a preview too -> does the engine answer? is it the same?
//
// Why: Pulumi updates a provider in place and assumes that the resources in its state exist behind the new endpoint. A dead
// endpoint would be stored in the state, but `pulumi destroy` needs a working one. On another engine Pulumi would create
// nothing, or after a refresh everything again and empty, and the old engine's data would be lost from the state:
// docs/adr/0013-a-stack-stays-on-its-engine.md.
import * as pulumi from "@pulumi/pulumi";
import { formatProblem } from "../../runtime/core/errors.ts";
import { askEngine, callEngine } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { errorText } from "../../runtime/core/error-text.ts";

/** One provider of the cluster. */
export interface GuardedEngine {
  /** Undefined when it is the engine of all hosts. */
  readonly host: string | undefined;
  /** The key that names it, e.g. twine:hosts["db1"]. */
  readonly key: string;
  /** The command that sets the key, without the endpoint's value. */
  readonly command: string;
  /** An example of an endpoint. */
  readonly example: string;
  readonly endpoint: EndpointArgs;
  readonly cluster: string;
  /** The cluster's containers on it, by name; their volumes have the same names. */
  readonly names: ReadonlySet<string>;
  /** Whether volumes are protected: then Pulumi removes them from its state only by force. */
  readonly isProtected: boolean;
}

/**
 * Resources of a cluster on one engine; no other engine has the same ones. Docker's own id of an engine is not used: clones
 * of a machine share it, and so do the engines of one machine.
 */
export interface Holding {
  /** Container ids. */
  readonly containers: readonly string[];
  /** Names with their creation time. */
  readonly volumes: readonly string[];
}

/** The hooks of one cluster's providers; `engines` is filled while they are created, by the provider's resource name. */
export function engineGuard(
  cluster: string,
  engines: ReadonlyMap<string, GuardedEngine>,
): pulumi.ResourceHookBinding {
  const check: pulumi.ResourceHookFunction = async ({ name, urn, oldInputs }) => {
    const engine = engines.get(name);
    if (engine === undefined) return;
    const { refused, warning } = await judge(engine, await endpointOf(oldInputs), urn);
    if (refused !== undefined) throw new Error(refused);
    if (warning !== undefined) await pulumi.log.warn(warning);
  };
  const hook = new pulumi.ResourceHook(`${cluster}-engine`, check, { onDryRun: true });
  return { beforeCreate: [hook], beforeUpdate: [hook] };
}

/** For an unchanged engine: Pulumi's own error names neither the key nor the remedy. */
export function warnIfDead(engine: GuardedEngine, provider: pulumi.ProviderResource): void {
  provider.urn.apply(async () => {
    const why = await reasonOf(callEngine(engine.endpoint, "/_ping"));
    if (why !== undefined) await pulumi.log.warn(unreachable(engine, why), provider);
  });
}

interface Judgement {
  readonly refused?: string;
  readonly warning?: string;
}

async function judge(
  engine: GuardedEngine,
  before: EndpointArgs | undefined,
  urn: string,
): Promise<Judgement> {
  const isMoved = before !== undefined && before.docker !== engine.endpoint.docker;
  if (!isMoved) {
    const why = await reasonOf(callEngine(engine.endpoint, "/_ping"));
    return why === undefined ? {} : { refused: unreachable(engine, why) };
  }
  const [now, then] = await Promise.allSettled([
    holdingOf(engine.endpoint, engine),
    holdingOf(before, engine),
  ]);
  if (now.status === "rejected") return { refused: unreachable(engine, errorText(now.reason)) };
  const old = then.status === "fulfilled" ? then.value : undefined;
  switch (judgeMove(now.value, old, engine.host !== undefined)) {
    case "same":
      return {};
    case "replaces":
      return { warning: replaced(engine, before) };
    case "other":
      return { refused: elsewhere(engine, before, old !== undefined, urn) };
  }
}

/**
 * Whether the resources that the state has on the old engine may be used on the new one. same: it has this host's
 * containers, or the same volumes, or there is nothing to lose. replaces: one host of several is gone, and another machine
 * replaces it. other: the resources of the old one would be forgotten. `old` is undefined when it does not answer.
 */
export function judgeMove(
  now: Holding,
  old: Holding | undefined,
  isOneOfSeveral: boolean,
): "same" | "replaces" | "other" {
  if (now.containers.length > 0) return "same";
  if (old === undefined) return isOneOfSeveral ? "replaces" : "other";
  const isEmpty = old.containers.length === 0 && old.volumes.length === 0;
  const isShared = old.volumes.some((volume) => now.volumes.includes(volume));
  return isEmpty || isShared ? "same" : "other";
}

async function holdingOf(
  endpoint: EndpointArgs,
  { cluster, names }: GuardedEngine,
): Promise<Holding> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`twine.cluster=${cluster}`] }));
  const containers = (await askEngine(endpoint, `/containers/json?all=1&filters=${filters}`)) as {
    Id: string;
    Names?: string[];
  }[];
  const { Volumes: volumes } = (await askEngine(endpoint, "/volumes")) as {
    Volumes?: { Name: string; CreatedAt?: string }[] | null;
  };
  const isOurs = (name: string): boolean => names.has(name.replace(/^\//, ""));
  return {
    containers: containers.filter((one) => one.Names?.some(isOurs)).map((one) => one.Id),
    volumes: (volumes ?? [])
      .filter((one) => isOurs(one.Name))
      .map((one) => `${one.Name} ${one.CreatedAt ?? ""}`),
  };
}

function unreachable({ key, command, example, endpoint }: GuardedEngine, why: string): string {
  return formatProblem({
    code: "DOCKER_ENGINE",
    message: `${key} ${endpoint.docker}: no Docker engine answers there: ${why}`,
    remedy: `check that Docker runs there and that this machine can connect to it, or correct the endpoint; for example: ${command} ${example}`,
  });
}

function replaced({ key, endpoint, host }: GuardedEngine, before: EndpointArgs): string {
  return formatProblem({
    code: "DOCKER_ENGINE_REPLACED",
    message: `${key} ${endpoint.docker} replaces ${before.docker}, which does not answer; the data on the old engine is no longer used`,
    remedy: `run \`pulumi up --refresh\` next, even when this \`up\` reports other errors: it creates the nodes of ${host ?? "the host"} on the new engine, and they copy their partitions' data. If the old engine comes back, set its endpoint again instead`,
  });
}

function elsewhere(
  { host, key, command, endpoint, isProtected }: GuardedEngine,
  before: EndpointArgs,
  isAnswering: boolean,
  urn: string,
): string {
  const silent = isAnswering ? "" : ", which does not answer now";
  const force = isProtected ? "--force " : "";
  const ways =
    host === undefined
      ? `To move the cluster, copy its data yourself, run pulumi destroy, then set the new endpoint. ` +
        `If the old engine is lost for good: pulumi state delete ${force}--target-dependents '${urn}'`
      : `To replace ${host} by another machine, first stop Docker on the old one for good`;
  return formatProblem({
    code: "DOCKER_ENGINE_OTHER",
    message: `${key} ${endpoint.docker} is another Docker engine, and this stack's containers and data are on ${before.docker}${silent}`,
    remedy: `name the old one again: ${command} ${before.docker}. ${ways}`,
  });
}

/** The endpoint in a provider's inputs: with the docker provider's names; values that are not text are JSON. */
async function endpointOf(
  inputs: Readonly<Record<string, unknown>> | undefined,
): Promise<EndpointArgs | undefined> {
  if (inputs === undefined) return undefined;
  const read = async (name: string): Promise<string | undefined> => {
    const value = await plain(inputs[name]);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const docker = await read("host");
  if (docker === undefined) return undefined;
  const sshOpts = await read("sshOpts");
  const texts = {
    certPath: await read("certPath"),
    ca: await read("caMaterial"),
    cert: await read("certMaterial"),
    key: await read("keyMaterial"),
  };
  const given = Object.entries(texts).filter(([, value]) => value !== undefined);
  return {
    docker,
    ...(sshOpts === undefined ? {} : { sshOpts: JSON.parse(sshOpts) as string[] }),
    ...Object.fromEntries(given),
  };
}

/** Pulumi passes secrets to a hook as outputs. */
function plain(value: unknown): Promise<unknown> {
  if (!pulumi.Output.isInstance(value)) return Promise.resolve(value);
  return new Promise((resolve) => {
    value.apply((inner) => {
      resolve(inner);
    });
  });
}

async function reasonOf(asking: Promise<unknown>): Promise<string | undefined> {
  return asking.then(
    () => undefined,
    (error: unknown) => errorText(error),
  );
}
