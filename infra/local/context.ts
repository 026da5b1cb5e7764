// context.ts: what setup, start and stop all need: the plan for this machine, the templates, the secrets.
import { readFile, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  addressOf,
  hostsOf,
  type ClusterConfig,
  type NodeKind,
  type Settings,
} from "../../runtime/core/cluster.ts";
import type { Secret } from "../../runtime/core/credentials.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { Plan, PlannedHost, PlannedService } from "../plan/plan.ts";
import { placeHosts, type HostPlace } from "./install/machine.ts";
import type { Progress } from "./progress.ts";
import { installationOf } from "./supervisor/installation.ts";
import { findRedis, majorOf, type RedisProgram } from "./install/redis-program.ts";

/** Twine's own folder and bins; the tools set it. */
export interface Home {
  readonly templatesFolder: string;
  /** "twined" -> the file that node executes. */
  readonly twineBin: (name: string) => string;
}

export interface LocalRequest {
  readonly config: ClusterConfig;
  /** Where to write; the folder of twine.conf when absent. */
  readonly dir?: string | undefined;
  /** As named by the user; absent: setup writes all hosts, start and stop use those of this machine. */
  readonly host?: string | undefined;
  readonly password?: Secret | undefined;
  readonly home: Home;
  readonly progress: Progress;
  /** Start: a program with arguments that execs each process: setpriv --pdeathsig KILL --. */
  readonly launcher?: readonly string[] | undefined;
  /** Start: what a node's process gets beside its command. */
  readonly launchExtras?: LaunchExtrasOf | undefined;
  /** Interrupts start and stop. */
  readonly signal?: AbortSignal | undefined;
  /** Kinds of nodes to start or stop; all when absent. */
  readonly only?: readonly NodeKind[] | undefined;
  /** Names of the nodes to start or stop; all when absent. */
  readonly nodes?: readonly string[] | undefined;
  /** Stop: names of nodes that were removed from twine.conf; absent: all of them, unless `nodes` names others. */
  readonly leftOvers?: readonly string[] | undefined;
  /** Start: started processes stay even if others fail. Otherwise all or none. */
  readonly keepGoing?: boolean | undefined;
  /** Start: monit asks for it, because of this node. Other nodes that an operator has stopped stay stopped. */
  readonly monitNode?: string | undefined;
  /** Stop: monit asks for it, so its monitoring of the nodes need not be switched off. */
  readonly isFromMonit?: boolean | undefined;
}

/** Arguments after the command's own, and variables. */
export type LaunchExtrasOf = (service: PlannedService) => {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export interface LocalContext {
  readonly config: ClusterConfig;
  readonly plan: Plan;
  /** Absolute. */
  readonly folder: string;
  readonly templates: ReadonlyMap<string, string>;
  readonly password: Secret | undefined;
  readonly redis: RedisProgram | undefined;
  readonly home: Home;
  readonly progress: Progress;
  readonly launcher: readonly string[];
  readonly launchExtras: LaunchExtrasOf;
  readonly signal: AbortSignal;
  readonly only: readonly NodeKind[] | undefined;
  readonly nodes: readonly string[] | undefined;
  readonly leftOvers: readonly string[] | undefined;
  readonly keepGoing: boolean;
  readonly supervisor: Settings["supervisor"];
  readonly monitNode: string | undefined;
  readonly isHere: (host: PlannedHost) => boolean;
  /** Why the host's name can't be resolved. */
  readonly addressProblem: (host: PlannedHost) => string | undefined;
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
  const folder = resolve(request.dir ?? dirname(confPath));
  const plan = planCluster(config, {
    confPath,
    installation: await installationOf(folder, redis?.path, home.twineBin),
    hasPassword: password !== undefined,
    loopbackHosts: loopbackNames(places),
    ...(redis === undefined ? {} : { redisMajor: majorOf(redis) }),
  });
  return {
    config,
    plan,
    only: request.only,
    nodes: request.nodes,
    leftOvers: request.leftOvers,
    keepGoing: request.keepGoing === true,
    folder,
    supervisor: config.settings.supervisor,
    monitNode: request.monitNode,
    templates,
    password,
    redis,
    home,
    progress,
    launcher: request.launcher ?? [],
    launchExtras: request.launchExtras ?? (() => ({})),
    signal: request.signal ?? new AbortController().signal,
    isHere: (host) => places.get(host.name)?.isHere ?? false,
    addressProblem: (host) => places.get(host.name)?.unresolved,
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
