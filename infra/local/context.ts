// context.ts: what setup, start and stop all need: the plan for this machine, the templates, the secrets.
import { readFile, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  addressOf,
  hostsOf,
  type ClusterConfig,
  type NodeKind,
} from "../../runtime/core/cluster.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { Plan, PlannedHost } from "../plan/plan.ts";
import { placeHosts, type HostPlace } from "./machine.ts";
import type { Progress } from "./progress.ts";
import { findRedis, majorOf, type RedisProgram } from "./redis-program.ts";

/** Twine's own folder and bins: the tools know where they are. */
export interface Home {
  readonly templatesFolder: string;
  /** "twined" -> the file that node runs. */
  readonly twineBin: (name: string) => string;
}

export interface LocalRequest {
  readonly config: ClusterConfig;
  /** Where to write; the folder of twine.conf when absent. */
  readonly dir?: string | undefined;
  /** As named by the user; absent: setup means all hosts, start and stop those of this machine. */
  readonly host?: string | undefined;
  readonly password?: string | undefined;
  readonly home: Home;
  readonly progress: Progress;
  /** Interrupts start and stop. */
  readonly signal?: AbortSignal | undefined;
  /** Kinds of nodes to start or stop; all when absent. */
  readonly only?: readonly NodeKind[] | undefined;
  /** Names of the nodes to start or stop; all when absent. */
  readonly nodes?: readonly string[] | undefined;
  /** Stop: names of nodes that have left twine.conf; absent: all of them, unless `nodes` names others. */
  readonly leftOvers?: readonly string[] | undefined;
  /** Start: what started stays, though others fail. Else it is all or nothing. */
  readonly keepGoing?: boolean | undefined;
}

export interface LocalContext {
  readonly plan: Plan;
  /** Absolute. */
  readonly folder: string;
  readonly templates: ReadonlyMap<string, string>;
  readonly password: string | undefined;
  readonly redis: RedisProgram | undefined;
  readonly home: Home;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly only: readonly NodeKind[] | undefined;
  readonly nodes: readonly string[] | undefined;
  readonly leftOvers: readonly string[] | undefined;
  readonly keepGoing: boolean;
  readonly isHere: (host: PlannedHost) => boolean;
}

export async function localContext(request: LocalRequest): Promise<LocalContext> {
  const { config, password, home, progress } = request;
  const confPath = resolve(config.file);
  const names = hostsOf(config).map((name) => ({ name, address: addressOf(name) }));
  const [places, templates, redis] = await Promise.all([
    placeHosts(names),
    loadTemplates(home.templatesFolder),
    findRedis(),
  ]);
  const plan = planCluster(config, {
    confPath,
    hasPassword: password !== undefined,
    loopbackHosts: loopbackNames(places),
    ...(redis === undefined ? {} : { redisMajor: majorOf(redis) }),
  });
  return {
    plan,
    only: request.only,
    nodes: request.nodes,
    leftOvers: request.leftOvers,
    keepGoing: request.keepGoing === true,
    folder: resolve(request.dir ?? dirname(confPath)),
    templates,
    password,
    redis,
    home,
    progress,
    signal: request.signal ?? new AbortController().signal,
    isHere: (host) => places.get(host.name)?.isHere ?? false,
  };
}

function loopbackNames(places: ReadonlyMap<string, HostPlace>): string[] {
  return [...places].flatMap(([name, place]) => (place.isLoopback ? [name] : []));
}

async function loadTemplates(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".hbs"));
  const loaded = names.map(async (name): Promise<[string, string]> => [
    name,
    await readFile(join(folder, name), "utf8"),
  ]);
  return new Map(await Promise.all(loaded));
}
