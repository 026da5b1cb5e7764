// live.ts: asks every service of the plan whether and how it runs, and compares this machine's generated files with the
// plan. It changes nothing.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { assert, TwineError } from "../../runtime/core/errors.ts";
import type { Live, LiveFile, LiveService } from "../plan/diff-live.ts";
import type { SettingDifference } from "../../runtime/core/conf/redis-values.ts";
import type { Plan, PlannedHost, PlannedService } from "../plan/plan.ts";
import { renderFile } from "../render/render-file.ts";
import { askNode, askPresence } from "./ask.ts";
import { eachBounded, failuresOf } from "./bounded.ts";
import { localContext, type LocalContext, type LocalRequest } from "./context.ts";
import { hostFolder } from "./files/layout.ts";
import { inspectHost } from "./files/setup.ts";
import { runningDifferences } from "./processes/running-conf.ts";
import { askAddress, isSetUp } from "./targets.ts";

const AT_ONCE = 64;

export interface LiveLook extends Pick<Live, "services" | "files" | "installed"> {
  /** The plan for this machine. */
  readonly config: ClusterConfig;
  readonly plan: Plan;
  /** What could not be compared, and why; one line each. */
  readonly notes: readonly string[];
}

/** Throws LIVE_LOGIN when a node refuses the password: then nothing can be compared. */
export async function lookAtLive(request: LocalRequest): Promise<LiveLook> {
  const context = await localContext(request);
  const { plan, redis } = context;
  const here = plan.hosts.filter(context.isHere);
  const [services, seen] = await Promise.all([askAll(context), filesOf(context, here)]);
  const version =
    redis === undefined ? undefined : `${redis.name.split("-")[0] ?? ""} ${redis.version}`;
  return {
    config: request.config,
    plan,
    services,
    files: seen.files,
    notes: [...seen.notes, ...elsewhere(plan.hosts.filter((host) => !here.includes(host)))],
    ...(version === undefined
      ? {}
      : { installed: { version, hosts: here.map(({ name }) => name) } }),
  };
}

interface Asked {
  readonly host: PlannedHost;
  readonly service: PlannedService;
}

async function askAll(context: LocalContext): Promise<LiveService[]> {
  const all = context.plan.hosts.flatMap((host) =>
    host.services.map((service): Asked => ({ host, service })),
  );
  const found = new Map<string, LiveService>();
  const outcomes = await eachBounded(all, AT_ONCE, async (asked) => {
    found.set(asked.service.name, await ask(context, asked));
  });
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
  return all.flatMap(({ service }) => found.get(service.name) ?? []);
}

async function ask(context: LocalContext, { host, service }: Asked): Promise<LiveService> {
  const { name, health } = service;
  const address = context.isHere(host) ? askAddress(service) : host.address;
  if (health.kind !== "redis-role") {
    const presence = await askPresence(health, address, undefined);
    return { name, answer: presence === "absent" ? "absent" : "up" };
  }
  const credentials = credentialsOf("monitor", context.password);
  const answer = await askNode(address, health.port, credentials);
  if (answer.kind === "login") throw refused(name);
  if (answer.kind !== "role") {
    return { name, answer: answer.kind === "none" ? "absent" : answer.kind };
  }
  const settings = await settingsOf(context, { host, service }, address).catch(() => undefined);
  const role = service.kind === "data" ? answer.role : undefined;
  return { name, answer: "up", role, settings };
}

async function settingsOf(
  context: LocalContext,
  { host, service }: Asked,
  address: string,
): Promise<SettingDifference[]> {
  const file = host.files.find(({ path }) => path === `${service.folder}/redis.conf`);
  assert(file !== undefined, `the plan has a redis.conf for ${service.name}`);
  return runningDifferences(renderFile(file, context.templates, context.password), {
    address,
    port: service.health.port,
    credentials: credentialsOf("monitor", context.password),
  });
}

function refused(name: string): TwineError {
  return new TwineError({
    code: "LIVE_LOGIN",
    message: `node ${name} refuses the cluster's password`,
    remedy: "let TWINE_PASSWORD_FILE name the file that holds the cluster's password",
  });
}

async function filesOf(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<{ readonly files: readonly LiveFile[]; readonly notes: readonly string[] }> {
  const files: LiveFile[] = [];
  const notes: string[] = [];
  for (const host of hosts) {
    if (!(await isSetUp(context, host))) {
      notes.push(
        `the files of ${host.name} are not compared: ${hostFolder(context.folder, host.name)} does not exist`,
      );
      continue;
    }
    const state = await inspectHost(context, host, { overwrite: false, adopt: false });
    notes.push(...state.problems.map(({ problem }) => problem.message));
    for (const { path, decision, isThere } of state.files) {
      if (decision === "same") continue;
      const written = isThere ? "outdated" : "missing";
      files.push({ host: host.name, path, state: decision === "edited" ? "edited" : written });
    }
  }
  return { files, notes };
}

function elsewhere(hosts: readonly PlannedHost[]): string[] {
  if (hosts.length === 0) return [];
  const names = hosts.map(({ name }) => name).join(", ");
  return [
    `the files of ${names} are not compared: they are on other machines; run twine-plan --live there`,
  ];
}
