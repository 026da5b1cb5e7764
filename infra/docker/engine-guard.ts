// engine-guard.ts: nothing is begun on an engine that does not answer, and a stack is never moved to another engine
// by a change of its configuration.
//
//   provider is created or updated -> Pulumi calls the hook, in a preview too -> does the engine answer? is it the same?
//
// Why: Pulumi updates a provider in place and takes it that what is in its state is there, wherever the endpoint points.
// A dead endpoint would stand in the state, and `pulumi destroy` needs it; on another engine nothing would be made, or
// with a refresh everything anew and empty, and what the old one holds would be forgotten:
// docs/adr/0013-a-stack-stays-on-its-engine.md.
import * as pulumi from "@pulumi/pulumi";
import { formatProblem } from "../../runtime/core/errors.ts";
import { askEngine, callEngine } from "./engine-call.ts";
import type { EndpointArgs } from "./endpoints.ts";

/** One provider of the cluster. */
export interface GuardedEngine {
  /** Undefined when it is the engine of all hosts. */
  readonly host: string | undefined;
  /** The key that names it, e.g. twine:hosts["db1"]. */
  readonly key: string;
  /** The command that sets the key, without the endpoint. */
  readonly command: string;
  /** An endpoint as it might be. */
  readonly example: string;
  readonly endpoint: EndpointArgs;
  readonly cluster: string;
  /** What this cluster has on it: names of containers, which are those of its volumes too. */
  readonly names: ReadonlySet<string>;
  /** Whether volumes are protected: then Pulumi forgets them by force alone. */
  readonly isProtected: boolean;
}

/**
 * What one engine holds of a cluster: each a mark that no other engine has. Docker's own id of an engine is none: clones
 * of a machine share it, and so do the engines of one machine.
 */
export interface Holding {
  /** Container ids. */
  readonly containers: readonly string[];
  /** Names with the moment of creation. */
  readonly volumes: readonly string[];
}

/** The hooks of one cluster's providers; `engines` is filled while they are made, by the provider's resource name. */
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

/** Of an engine that nothing changed at: Pulumi's own error names neither the key nor what to do. */
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
  if (now.status === "rejected") return { refused: unreachable(engine, messageOf(now.reason)) };
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
 * Whether what the state says is on the old engine may be looked for on the new one.
 * same: it holds this host's containers, or the same volumes, or there is nothing to lose. replaces: one host of several
 * is gone, and another machine takes its place. other: what the old one holds would be forgotten.
 * `old` is undefined when it does not answer.
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
    remedy: `see that Docker runs there and this machine gets to it, or mend the endpoint; for example: ${command} ${example}`,
  });
}

function replaced({ key, endpoint, host }: GuardedEngine, before: EndpointArgs): string {
  return formatProblem({
    code: "DOCKER_ENGINE_REPLACED",
    message: `${key} ${endpoint.docker} takes the place of ${before.docker}, which does not answer: what that one holds is given up`,
    remedy: `run \`pulumi up --refresh\` next, whatever else this one says: it makes ${host ?? ""}'s nodes on the new engine, and they copy their partitions' data. If the old one only sleeps, set it back instead`,
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
      ? `To move, take the data along yourself, run pulumi destroy there, then name the new one. ` +
        `Where the old engine is gone for good: pulumi state delete ${force}--target-dependents '${urn}'`
      : `To replace ${host} by another machine, end Docker on the old one first, for good`;
  return formatProblem({
    code: "DOCKER_ENGINE_OTHER",
    message: `${key} ${endpoint.docker} is another Docker engine, and this stack's containers and data are on ${before.docker}${silent}`,
    remedy: `name the old one again: ${command} ${before.docker}. ${ways}`,
  });
}

/** The endpoint in a provider's inputs: its names are the docker provider's, and what is no text is JSON. */
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

/** Pulumi hands secrets to a hook as outputs. */
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
    (error: unknown) => messageOf(error),
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
