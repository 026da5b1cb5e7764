// apply.ts: changes the processes of this machine to match twine.conf, without an outage. It is started on every host; each
// host changes its own nodes, and turns.ts coordinates the hosts.
//
//   look, refuse ─▶ start new nodes ─▶ monitors read twine.conf ─▶ adopted ─▶ data nodes ─▶ status nodes, routers ─▶ stop
//                                                                           (rolling.ts)                     removed nodes
//
// Each stage reads the current state and does what is missing, so an interrupted apply is simply run again.
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";
import type { View } from "../../../runtime/core/view.ts";
import type { Change } from "../../plan/diff-nodes.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { refusalsOf, type Refusal } from "../../plan/rolling/refusals.ts";
import { hostsToRun } from "../choose-hosts.ts";
import { localContext, type LocalContext, type LocalRequest } from "../context.ts";
import { makeFolder } from "../files/files.ts";
import { withLocks } from "../files/host-lock.ts";
import { hostFolder, lockFile } from "../files/layout.ts";
import { checkPassword } from "../password-check.ts";
import { interrupted } from "../processes/launch.ts";
import { startHosts } from "../processes/start.ts";
import { silentProgress } from "../progress.ts";
import {
  lookAtHosts,
  WantedSettings,
  type HostLook,
  type LookOptions,
  type ServiceLook,
} from "./look.ts";
import {
  isRetired,
  leftRunning,
  notAdopted,
  reloadProcesses,
  restartProcesses,
  stopLeft,
  stopLeftMonitors,
  type ProcessParts,
} from "./processes.ts";
import { followMonit, followUnits, plannedForSupervisor } from "./supervised.ts";
import { Rolling, type ClusterAccess, type Done } from "./rolling.ts";
import { doStatusNodesAnswer, FileWriter } from "./service-steps.ts";
import { openTurns, type Turns } from "./turns.ts";

export interface ApplyOptions {
  /** Replace generated files that were edited by hand. */
  readonly overwrite: boolean;
  readonly isForced: boolean;
  /** Return the planned changes, and change nothing. */
  readonly isDry: boolean;
  readonly waitMs: number;
  readonly partitionsAtOnce: number;
  /** The adopted twine.conf, when it is known and differs; and the difference to the one to apply. */
  readonly before: ClusterConfig | undefined;
  readonly changes: readonly Change[];
}

export interface ApplyReport {
  readonly done: readonly Done[];
  readonly handovers: number;
  /** The nodes with remaining steps, and what each waits for. */
  readonly waits: readonly { readonly node: string; readonly why: string }[];
  readonly warnings: readonly Problem[];
}

/** Nodes are announced because the other hosts wait for them. */
const ANNOUNCE_EVERY_MS = 500;
const LOOK_EVERY_MS = 50;
/** New nodes are synced and old ones retired before the file is adopted. */
const ADOPTED_WITHIN_MS = 3_600_000;

/** Throws the refusals before anything is changed, INTERRUPTED, and the error of a failed step. */
export async function apply(
  request: LocalRequest,
  access: ClusterAccess,
  options: ApplyOptions,
): Promise<ApplyReport> {
  if (request.config.settings.failover === "sentinel") throw needsMonitors(request.config.file);
  const context = await localContext(request);
  const hosts = await hostsToApply(context, request.host);
  for (const host of hosts) await makeFolder(hostFolder(context.folder, host.name));
  const locks = hosts.map((host) => lockFile(context.folder, host.name));
  return withLocks(locks, async () => {
    const turns = openTurns(request.config, request.password);
    try {
      return await new Apply(context, hosts, access, turns, options).run();
    } finally {
      await turns.close();
    }
  });
}

/** Empty on a machine whose host was removed from twine.conf but where something still runs: it is to be stopped. */
async function hostsToApply(
  context: LocalContext,
  name: string | undefined,
): Promise<readonly PlannedHost[]> {
  const isNowhere = name === undefined && !context.plan.hosts.some(context.isHere);
  if (isNowhere && (await leftRunning(context, [])).length > 0) return [];
  return hostsToRun(context, name);
}

class Apply {
  readonly #context: LocalContext;
  readonly #hosts: readonly PlannedHost[];
  readonly #access: ClusterAccess;
  readonly #turns: Turns;
  readonly #options: ApplyOptions;
  readonly #files: FileWriter;
  readonly #lookOptions: LookOptions;
  readonly #done: Done[] = [];
  readonly #warnings: Problem[] = [];

  constructor(
    context: LocalContext,
    hosts: readonly PlannedHost[],
    access: ClusterAccess,
    turns: Turns,
    options: ApplyOptions,
  ) {
    this.#context = context;
    this.#hosts = hosts;
    this.#access = access;
    this.#turns = turns;
    this.#options = options;
    this.#files = new FileWriter(context, options.overwrite);
    const { overwrite, before } = options;
    this.#lookOptions = { overwrite, before, wanted: new WantedSettings(context) };
  }

  async run(): Promise<ApplyReport> {
    const look = await this.#look();
    if (look.problems.length > 0) throw new TwineError(look.problems);
    await checkPassword(
      this.#context,
      look.services.map(({ target }) => target),
    );
    const forced = this.#refuse(look);
    const rolling = this.#rolling(look);
    const warnings = this.#warnings;
    warnings.push(...this.#context.plan.warnings, ...look.warnings, ...forced);
    if (this.#options.isDry)
      return { done: await this.#planned(look), handovers: 0, waits: [], warnings };
    const own = this.#hosts[0]?.name ?? "";
    let present = rolling;
    const announce = (): void => void this.#turns.announce(own, present.taking());
    await this.#turns.announce(own, rolling.taking());
    const repeat = setInterval(announce, ANNOUNCE_EVERY_MS);
    try {
      await this.#startMissing(look);
      const notAdopted = await this.#monitors(look);
      if (notAdopted !== undefined) {
        return { done: this.#done, handovers: 0, waits: notAdopted, warnings };
      }
      const again = this.#rolling(await this.#look());
      present = again;
      announce();
      const waits = await again.run();
      await this.#others(await this.#look());
      const leaving = await this.#left();
      return {
        done: this.#done,
        handovers: again.handovers,
        waits: [...waits, ...leaving],
        warnings,
      };
    } finally {
      clearInterval(repeat);
    }
  }

  #look(): Promise<HostLook> {
    return lookAtHosts(this.#context, this.#hosts, this.#lookOptions);
  }

  #rolling({ services }: HostLook): Rolling {
    return new Rolling(
      {
        ...this.#parts,
        options: this.#options,
        lookAgain: async ({ target, host }) => {
          const context = { ...this.#context, nodes: [target.service.name] };
          const again = await lookAtHosts(context, [host], this.#lookOptions);
          const [found] = again.services;
          if (found === undefined) throw new Error(`${target.service.name} is in the plan`);
          return found;
        },
      },
      services.filter(({ target }) => target.service.kind === "data"),
    );
  }

  get #parts(): ProcessParts {
    return {
      context: this.#context,
      access: this.#access,
      turns: this.#turns,
      files: this.#files,
      waitMs: this.#options.waitMs,
      onDone: (done) => {
        this.#done.push(done);
        this.#context.progress.note(`${done.node}: ${done.what}`);
      },
    };
  }

  /** Throws the refusals; with --force, those that can be forced are returned as warnings. */
  #refuse(look: HostLook): Problem[] {
    const { before, changes, isForced } = this.#options;
    const refusals = refusalsOf({
      before,
      after: this.#context.config,
      changes,
      nodes: this.#rolling(look).nodes(),
      versions: look.services.flatMap(({ versions }) => versions ?? []),
    });
    const refused = refusals.filter(({ lost }) => lost === undefined || !isForced);
    if (refused.length > 0) throw new TwineError(refused.map(refusedWith));
    return refusals.map(forcedWith);
  }

  /** The changes of this machine, in the order of the stages. */
  async #planned(all: HostLook): Promise<Done[]> {
    const { services } = all;
    const left = await leftRunning(this.#context, this.#hosts);
    return [
      ...(await plannedForSupervisor(this.#context, this.#hosts, all)),
      ...services.flatMap((look): Done[] => {
        const what = needWords(look);
        return what === undefined ? [] : [{ node: look.target.service.name, what }];
      }),
      ...left.map(({ node }) => ({
        node: node.name,
        what: "stop it once it has left the cluster",
      })),
    ];
  }

  /** Starts new nodes and nodes that do not run; writes all files that belong to no running node. */
  async #startMissing(look: HostLook): Promise<void> {
    const { services, otherFiles } = look;
    const missing = services.filter(({ target }) => target.running === undefined);
    for (const host of this.#hosts) {
      const others = new Set(
        otherFiles.filter((other) => other.host === host).map(({ file }) => file.file.path),
      );
      const own = missing.filter((one) => one.host === host);
      const folders = own.map(({ target }) => `${target.service.folder}/`);
      await this.#files.write(
        host,
        (path) => others.has(path) || folders.some((folder) => path.startsWith(folder)),
      );
      for (const done of await followUnits(this.#context, host)) this.#parts.onDone(done);
      const problems = own.length === 0 ? [] : await this.#start(host, own);
      const monit = await followMonit(this.#context, host, look);
      for (const done of monit.done) this.#parts.onDone(done);
      this.#warnings.push(...monit.warnings);
      if (problems.length > 0) throw new TwineError(problems);
    }
  }

  async #start(host: PlannedHost, own: readonly ServiceLook[]): Promise<readonly Problem[]> {
    const nodes = own.map(({ target }) => target.service.name);
    const context = { ...this.#context, nodes, progress: silentProgress, keepGoing: true };
    const { started, problems } = await startHosts(context, [host]);
    for (const node of started) this.#parts.onDone({ node, what: "started" });
    return problems;
  }

  /** undefined: the cluster runs by this twine.conf; otherwise the monitors that do not, and why. */
  async #monitors({ services }: HostLook): Promise<ApplyReport["waits"] | undefined> {
    const monitors = services.filter(({ target }) => target.service.kind === "monitor");
    await reloadProcesses(
      this.#parts,
      monitors.filter(({ process }) => process === "reload"),
    );
    await restartProcesses(
      this.#parts,
      monitors.filter(({ process }) => typeof process === "object"),
      "monitors",
      ({ alpha, nodes }) => nodes.some(({ name, role }) => name === alpha && role === "up"),
    );
    await stopLeftMonitors(this.#parts, await leftRunning(this.#context, this.#hosts));
    const beganMs = performance.now();
    let movedMs = beganMs;
    for (;;) {
      const view = this.#access.view();
      if (view?.confDigest === this.#context.plan.confDigest) return undefined;
      if (this.#context.signal.aborted) {
        throw interrupted("run twine-apply again: it goes on where it stopped");
      }
      // The alpha syncs new nodes and retires old ones before it adopts the file: that may take long.
      const isRetiring = view?.nodes.some(({ retiring }) => retiring === true) === true;
      if (isRetiring && performance.now() - beganMs < ADOPTED_WITHIN_MS)
        movedMs = performance.now();
      if (performance.now() - movedMs > this.#options.waitMs)
        return [notAdopted(this.#parts, this.#hosts, view)];
      await delay(LOOK_EVERY_MS);
    }
  }

  async #others({ services }: HostLook): Promise<void> {
    const status = services.filter(
      ({ target, need }) => target.service.kind === "status" && need?.kind === "restart",
    );
    await this.#statusNodes(status);
    const routers = services.filter(({ target }) => target.service.kind === "router");
    await reloadProcesses(
      this.#parts,
      routers.filter(({ process }) => process === "reload"),
    );
    await restartProcesses(
      this.#parts,
      routers.filter(({ process }) => typeof process === "object"),
      "routers",
      () => true,
    );
    const files = services.filter((look) => look.need === undefined);
    for (const host of this.#hosts) {
      const folders = files
        .filter((look) => look.host === host)
        .map(({ target }) => `${target.service.folder}/`);
      await this.#files.write(host, (path) => folders.some((folder) => path.startsWith(folder)));
    }
  }

  /** One at a time, and only while all others are up: the remaining ones must be a majority. */
  async #statusNodes(looks: readonly ServiceLook[]): Promise<void> {
    const areUp = ({ nodes }: View): boolean =>
      nodes.every(({ kind, role }) => kind !== "status" || role === "up");
    const answer = async (view: View): Promise<boolean> =>
      areUp(view) && (await doStatusNodesAnswer(this.#context));
    await restartProcesses(this.#parts, looks, "status nodes", areUp, answer);
  }

  /** Stops the nodes that were removed; returns those that the cluster has not released in time. */
  async #left(): Promise<ApplyReport["waits"]> {
    let left = await leftRunning(this.#context, this.#hosts);
    const endMs = performance.now() + this.#options.waitMs;
    while (left.length > 0) {
      const view = this.#access.view();
      const gone = view === null ? [] : left.filter((one) => isRetired(one, view));
      for (const one of gone) await stopLeft(this.#parts, one);
      left = left.filter((one) => !gone.includes(one));
      if (left.length === 0 || performance.now() > endMs || this.#context.signal.aborted) break;
      await delay(LOOK_EVERY_MS);
    }
    return left.map(({ node }) => ({ node: node.name, why: "it has not left the cluster yet" }));
  }
}

/** Only the view shows roles, handovers and which nodes are in sync. */
function needsMonitors(file: string): TwineError {
  return new TwineError({
    code: "NEEDS_MONITORS",
    message: `${file} has failover sentinel: twine-apply needs the view of Twine's monitors, which show roles and which nodes are in sync`,
    remedy:
      "change this cluster by hand: run twine-setup, then restart the nodes of each partition one at a time, replicas first",
  });
}

function refusedWith({ problem, lost }: Refusal): Problem {
  if (lost === undefined) return problem;
  return {
    ...problem,
    remedy: `${problem.remedy ?? "see twine-status"}; --force does it all the same, and may lose: ${lost}`,
  };
}

function forcedWith({ problem, lost = "" }: Refusal): Problem {
  return { ...problem, message: `${problem.message}; forced, and may lose: ${lost}` };
}

function needWords({ need, process, target, files }: ServiceLook): string | undefined {
  if (target.running === undefined) return "start it";
  if (process === "reload") return "have it read twine.conf again";
  if (process !== undefined) return `restart it: ${process.restart}`;
  switch (need?.kind) {
    case undefined:
      return files.some(({ decision }) => decision === "write") ? "write its files" : undefined;
    case "start":
      return "start it";
    case "set":
      return `set while it runs: ${need.settings.map(({ setting, wanted }) => `${setting} ${wanted}`).join(", ")}`;
    case "aof":
      return `switch its append only file ${need.isOn ? "on" : "off"}`;
    case "restart":
      return `restart it: ${need.why.join(", ")}`;
    default:
      return need satisfies never;
  }
}
