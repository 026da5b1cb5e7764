// look.ts: finds what each service of this machine needs, and which of its files must be written. It changes nothing.
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { processShape } from "../../plan/rolling/process-shape.ts";
import { needOf, type NodeNeed } from "../../plan/rolling/node-needs.ts";
import type { NodeVersions } from "../../plan/rolling/refusals.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { assert, type Problem } from "../../../runtime/core/errors.ts";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import type { SettingDifference } from "../../../runtime/core/conf/redis-values.ts";
import { withNode } from "../ask.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { redisMissing } from "../install/redis-program.ts";
import { inspectHost, type FileState } from "../files/setup.ts";
import { runningShape } from "../processes/running-shape.ts";
import { editedByHand } from "../processes/start-checks.ts";
import { untilDead } from "../processes/until-dead.ts";
import { askAddress, findTargets, type Target } from "../targets.ts";
import { differencesOf, pairsOf, settingsWith, type Settings } from "./wanted-settings.ts";

const AT_ONCE = 16;

export interface ServiceLook {
  readonly target: Target;
  readonly host: PlannedHost;
  /** Its files; files to write have the decision "write". */
  readonly files: readonly FileState[];
  /** Only of a redis-server. */
  readonly need?: NodeNeed | undefined;
  /** Only of a monitor or a router: "reload", or why it must be restarted. */
  readonly process?: "reload" | { readonly restart: string } | undefined;
  readonly versions?: NodeVersions | undefined;
}

export interface HostLook {
  readonly services: readonly ServiceLook[];
  /** Files that belong to no service: scripts, files of a supervisor. */
  readonly otherFiles: readonly { readonly host: PlannedHost; readonly file: FileState }[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface LookOptions {
  readonly overwrite: boolean;
  /** The twine.conf by which the cluster has run until now, when it differs. */
  readonly before: ClusterConfig | undefined;
  /** Asks Redis once for each text, however often lookAtHosts() is called. */
  readonly wanted: WantedSettings;
}

/** Throws CONF_REFUSED and REDIS_MISSING. */
export async function lookAtHosts(
  context: LocalContext,
  hosts: readonly PlannedHost[],
  options: LookOptions,
): Promise<HostLook> {
  const states = await Promise.all(
    hosts.map((host) => inspectHost(context, host, { overwrite: options.overwrite, adopt: false })),
  );
  const services: ServiceLook[] = [];
  const targets = await untilDead(await findTargets(context, hosts));
  const outcomes = await eachBounded(targets, AT_ONCE, async (target) => {
    const state = states.find(({ host }) => host.name === target.host);
    assert(state !== undefined, "each target's host was inspected");
    const files = state.files.filter(({ file }) => isOf(file.path, target));
    const look = { target, host: state.host, files };
    const isRedis = target.service.health.kind === "redis-role";
    const more = isRedis
      ? await lookAtRedis(context, look, options.wanted)
      : { process: await processNeed(context, target, options.before) };
    services.push({ ...look, ...more });
  });
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
  const owned = new Set(services.flatMap(({ files }) => files));
  const all = states.flatMap(({ host, files }) => files.map((file) => ({ host, file })));
  return {
    services: targets.flatMap((target) => services.filter((one) => one.target === target)),
    otherFiles: all.filter(({ file }) => !owned.has(file)),
    problems: states.flatMap(({ problems }) => problems.map(({ problem }) => problem)),
    warnings: all
      .filter(({ file }) => file.decision === "edited")
      .map(({ file }) => editedByHand(file.path)),
  };
}

function isOf(path: string, { service }: Target): boolean {
  return path.startsWith(`${service.folder}/`);
}

/** One scratch server for all nodes with the same settings. */
export class WantedSettings {
  readonly #context: LocalContext;
  readonly #found = new Map<string, Promise<Settings>>();

  constructor(context: LocalContext) {
    this.#context = context;
  }

  of(confText: string): Promise<Settings> {
    const { redis } = this.#context;
    if (redis === undefined) throw redisMissing();
    const key = confText.replace(/^(#.*|port .*|bind .*|replica-announce.*|masterauth .*)$/gm, "");
    const found = this.#found.get(key) ?? settingsWith(redis, confText);
    this.#found.set(key, found);
    return found;
  }
}

async function lookAtRedis(
  context: LocalContext,
  { target, files }: Pick<ServiceLook, "target" | "files">,
  wanted: WantedSettings,
): Promise<Pick<ServiceLook, "need" | "versions">> {
  const { service, running } = target;
  const confFile = files.find(({ file }) => file.path === `${service.folder}/redis.conf`);
  assert(confFile !== undefined, "a redis-server has a redis.conf");
  const edited = confFile.decision === "edited" ? await readText(confFile.path) : undefined;
  const confText = edited ?? confFile.wanted;
  const wantedSettings = service.kind === "data" ? await wanted.of(confText) : new Map();
  if (running === undefined)
    return { need: needOf({ isRunning: false, settings: [], reasons: [] }) };
  const shape = await runningShape(target);
  const hasMoved = shape !== undefined && shape.shape !== processShape(context.config, service);
  const reasons = [
    ...(hasMoved ? ["its address or port changed"] : []),
    ...((await haveRightsChanged(files)) ? ["users have other rights"] : []),
    ...(service.kind === "status" && isWritten(files, "redis.conf") ? ["redis.conf differs"] : []),
  ];
  // The node does not listen at its new port yet.
  if (hasMoved) return { need: { kind: "restart", why: reasons } };
  const actual = await askServer(context, target);
  const versions = { name: service.name, running: actual.version, installed: versionOf(context) };
  const isSame = versions.running === versions.installed;
  if (!isSame) reasons.push(`${versions.running} runs, ${versions.installed} is installed`);
  else if (await runsOtherFile(running.pid, context.redis?.path ?? "")) {
    reasons.push(`${context.redis?.path ?? ""} is another file than the one that runs`);
  }
  const settings = [
    ...differencesOf(wantedSettings, actual.settings, confText, isSame),
    ...(await leftAof(target, wantedSettings, actual.settings)),
  ];
  return { need: needOf({ isRunning: true, settings, reasons }), versions };
}

async function readText(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function isWritten(files: readonly FileState[], name: string): boolean {
  return files.some(({ file, decision }) => decision === "write" && file.path.endsWith(`/${name}`));
}

/** Redis reads users.acl only at its start. Passwords in it are changed by a rotation, not here. */
async function haveRightsChanged(files: readonly FileState[]): Promise<boolean> {
  const acl = files.find(({ path, isThere }) => isThere && path.endsWith("/users.acl"));
  if (acl?.decision !== "write") return false;
  const rightsIn = (text: string): string => text.replace(/#[0-9a-f]{64}\b ?/g, "");
  return rightsIn(await readText(acl.path)) !== rightsIn(acl.wanted);
}

/** A switched-off append only file that still exists: the next start would be refused (data-form.ts). */
async function leftAof(
  { service, paths }: Target,
  wanted: Settings,
  actual: Settings,
): Promise<SettingDifference[]> {
  if (wanted.get("appendonly") !== "no" || actual.get("appendonly") !== "no") return [];
  const folder = join(paths.folder, service.dataFolder ?? "data", "appendonlydir");
  const entries = await readdir(folder).catch(() => []);
  if (entries.length === 0) return [];
  return [{ setting: "appendonly", wanted: "no", actual: "no, and its old files are there" }];
}

interface Server {
  /** "redis 7.0.15" */
  readonly version: string;
  readonly settings: Settings;
}

async function askServer(context: LocalContext, { service }: Target): Promise<Server> {
  const node = {
    address: askAddress(service),
    port: service.health.port,
    credentials: credentialsOf("monitor", context.password),
  };
  return withNode(node, async (redis) => {
    const info = await redis.info("server");
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1];
    const valkey = field("valkey_version");
    const version =
      valkey === undefined ? `redis ${field("redis_version") ?? "?"}` : `valkey ${valkey}`;
    const settings =
      service.kind === "data"
        ? pairsOf((await redis.call("CONFIG", "GET", "*")) as string[])
        : new Map<string, string>();
    return { version, settings };
  });
}

function versionOf({ redis }: LocalContext): string {
  if (redis === undefined) throw redisMissing();
  return `${redis.name.split("-")[0] ?? ""} ${redis.version}`;
}

/** Whether the process runs another file than `path`, because a package replaced it. False when that can't be known, and
    when `path` is a script that starts another program. */
async function runsOtherFile(pid: number, path: string): Promise<boolean> {
  try {
    const [runs, lies] = await Promise.all([
      stat(`/proc/${pid}/exe`, { bigint: true }),
      stat(path, { bigint: true }),
    ]);
    if (runs.dev === lies.dev && runs.ino === lies.ino) return false;
    return await isBinary(path);
  } catch {
    return false;
  }
}

async function isBinary(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString("latin1") === "\x7fELF";
  } finally {
    await file.close();
  }
}

async function processNeed(
  context: LocalContext,
  target: Target,
  before: ClusterConfig | undefined,
): Promise<ServiceLook["process"]> {
  if (target.running === undefined) return undefined;
  const shape = processShape(context.config, target.service);
  const known = await runningShape(target);
  if (known !== undefined) {
    if (known.shape !== shape) return { restart: "it takes this change at its start alone" };
    return known.confDigest === context.plan.confDigest ? undefined : "reload";
  }
  // Started by a supervisor: it read the twine.conf by which the cluster has run.
  if (before === undefined) return undefined;
  const was = processShape(before, target.service);
  return was === shape ? "reload" : { restart: "it takes this change at its start alone" };
}
