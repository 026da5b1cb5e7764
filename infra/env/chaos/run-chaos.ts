// run-chaos.ts: injects the faults of a schedule into one environment while checked writers run, and reports the results.
//
//   fault -> forMs -> released -> until OK -> rest -> the next one ... -> writers stop -> all keys are read back -> report
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { credentialsOf, type Secret } from "../../../runtime/core/credentials.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { seededRandom } from "../../../runtime/ports/seeded-random.ts";
import type { LocalRequest } from "../../local/context.ts";
import { claimFile, lockHolder } from "../../local/files/pid-file.ts";
import { startTimeOf } from "../../local/processes/processes.ts";
import { silentProgress } from "../../local/progress.ts";
import { planCluster } from "../../plan/plan-cluster.ts";
import { masterOf, untilAllOk } from "../cluster-state.ts";
import { isKept, type Environment } from "../env-folder.ts";
import { isEnvAddress } from "../place-env.ts";
import { launchExtrasOf } from "../source-address.ts";
import { CheckedWriter, type WriterWindow } from "./checked-writer.ts";
import { NetworkCuts, networkCuts } from "./network-cuts.ts";
import { NodeFaults } from "./node-faults.ts";
import { judge, type ChaosMeasure, type FaultReport } from "./promises.ts";
import { faultText, type ChaosReport } from "./report-page.ts";
import { chaosSchedule, faultTargets, type Fault } from "./schedule.ts";

export interface ChaosRequest {
  readonly environment: Environment;
  readonly seed: number;
  readonly durationMs: number;
  /** Nodes are cut off, too, where this user may. */
  readonly hasCuts: boolean;
  readonly password: Secret | undefined;
  readonly home: LocalRequest["home"];
  /** Ends the run: paused and killed nodes are restored, and the results so far are reported. */
  readonly signal: AbortSignal;
  readonly onNote: (line: string) => void;
}

const OK_WITHIN_MS = 60_000;

/** Throws CHAOS_REFUSED, CHAOS_BUSY, CHAOS_TARGETS or CHAOS_NOT_OK before the environment is changed. */
export async function runChaos(request: ChaosRequest): Promise<ChaosReport> {
  const { environment } = request;
  const config = await throwAwayConf(environment);
  const { targets, leftAlone } = faultTargets(config);
  if (targets.length === 0) throw noTargets(leftAlone);
  const lock = join(environment.folder, "chaos.lock");
  await claim(lock, environment.name);
  try {
    const { isOk, states } = await untilAllOk(
      environment.monitorUrls,
      OK_WITHIN_MS,
      request.signal,
    );
    if (!isOk) throw notOk(environment.name, states);
    const cuts = request.hasCuts
      ? await networkCuts(config, environment.sourceAddresses)
      : { why: "left out by --no-cuts" };
    if (cuts instanceof NetworkCuts)
      return await new ChaosRun(request, config, cuts).run(leftAlone);
    const noCuts = `the network, no node is cut off: ${cuts.why}`;
    return await new ChaosRun(request, config, undefined).run([...leftAlone, noCuts]);
  } finally {
    await rm(lock, { force: true });
  }
}

/** The environment's own twine.conf; only if twine-env made and keeps it. Throws CHAOS_REFUSED. */
async function throwAwayConf(environment: Environment): Promise<ClusterConfig> {
  const { name, conf, folder } = environment;
  const text = await readFile(conf, "utf8").catch(() => "");
  const { config } = parseConf(text, conf);
  const isOurs =
    config?.settings.cluster === `env-${name}` &&
    conf === join(folder, "twine.conf") &&
    config.nodes.every(({ host }) => isEnvAddress(host));
  if (isOurs && (await isKept(environment))) return config;
  throw new TwineError({
    code: "CHAOS_REFUSED",
    message: isOurs
      ? `the environment ${name} does not run any more`
      : `${conf} is not the twine.conf that twine-env wrote for ${name}: its nodes may be another cluster's`,
    remedy: `end it with "twine-env down ${name}" and start a new one with "twine-env up ${name}"`,
  });
}

async function claim(lock: string, name: string): Promise<void> {
  const holder = { pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? "" };
  if (await claimFile(lock, holder)) return;
  const there = await lockHolder(lock);
  if (there === undefined) {
    // The lock of a run that was killed.
    await rm(lock, { force: true });
    if (await claimFile(lock, holder)) return;
  }
  throw new TwineError({
    code: "CHAOS_BUSY",
    message: `another run does faults to ${name}${there === undefined ? "" : `, process ${there.pid}`}`,
    remedy: "wait until it ends, or use an environment of its own for each run",
  });
}

function noTargets(leftAlone: readonly string[]): TwineError {
  return new TwineError({
    code: "CHAOS_TARGETS",
    message: `no node of this twine.conf can be lost: ${leftAlone.join("; ")}`,
    remedy: "give a partition a replica, or the cluster three status nodes and three monitors",
  });
}

function notOk(name: string, states: readonly string[]): TwineError {
  return new TwineError({
    code: "CHAOS_NOT_OK",
    message: `${name} is not OK before the first fault; its monitors report: ${states.join(", ")}`,
    remedy: `twine-env down ${name}, then twine-env up ${name}`,
  });
}

class ChaosRun {
  readonly #request: ChaosRequest;
  readonly #config: ClusterConfig;
  readonly #writer: CheckedWriter;
  readonly #nodes: NodeFaults;
  readonly #hasCuts: boolean;
  readonly #beganMs = performance.now();
  readonly #begun = new Date();
  readonly #faults: FaultReport[] = [];
  readonly #windows: WriterWindow[] = [];

  constructor(request: ChaosRequest, config: ClusterConfig, cuts: NetworkCuts | undefined) {
    const { environment, password, home, durationMs } = request;
    this.#request = request;
    this.#config = config;
    this.#hasCuts = cuts !== undefined;
    this.#writer = new CheckedWriter({
      routers: environment.routers,
      credentials: credentialsOf("app", password),
      isTls: config.settings.tlsCert !== undefined,
      prefix: `chaos:${this.#begun.getTime()}`,
      durationMs,
      answerWithinMs: config.settings.holdForMs + 20_000,
    });
    const local = {
      config,
      dir: environment.folder,
      password,
      home,
      progress: silentProgress,
      launchExtras: launchExtrasOf(environment.sourceAddresses),
    };
    const options = { confPath: config.file, hasPassword: password !== undefined };
    this.#nodes = new NodeFaults(local, planCluster(config, options), cuts);
  }

  async run(leftAlone: readonly string[]): Promise<ChaosReport> {
    let brokenOff: string | null = null;
    this.#writer.start();
    try {
      brokenOff = await whyFailed(() => this.#doFaults());
    } finally {
      const notReleased = await whyFailed(() => this.#nodes.release());
      brokenOff ??= notReleased;
      await this.#writer.stop();
    }
    this.#windows.push(this.#writer.look());
    try {
      return await this.#report(leftAlone, brokenOff);
    } finally {
      this.#writer.close();
    }
  }

  async #doFaults(): Promise<void> {
    const { seed, durationMs, signal } = this.#request;
    const endMs = this.#beganMs + durationMs;
    const options = { hasCuts: this.#hasCuts };
    for (const fault of chaosSchedule(this.#config, seededRandom(seed), durationMs, options)) {
      await pause(fault.restMs, signal);
      if (signal.aborted || performance.now() > endMs) return;
      const report = await this.#do(fault);
      if (report === undefined) continue;
      this.#faults.push(report);
      // The settings guarantee nothing for a second fault on a cluster that is not OK.
      if (report.okAfterMs === null) return;
    }
  }

  /** undefined when the partition has no master, or the run was interrupted before the fault. */
  async #do(fault: Fault): Promise<FaultReport | undefined> {
    const { environment, signal, onNote } = this.#request;
    const { target, kind, forMs } = fault;
    const what = { kind, forMs, ...(fault.kind === "cut" ? { cut: fault.cut } : {}) };
    const { monitorUrls } = environment;
    const name =
      target.kind === "node" ? target.node : await masterOf(monitorUrls, target.partition);
    const node = this.#config.nodes.find((one) => one.name === name);
    if (node === undefined || signal.aborted) return undefined;
    const master = node.kind === "data" ? await masterOf(monitorUrls, node.partition) : undefined;
    const wasMaster = master === node.name;
    this.#windows.push(this.#writer.look());
    const atMs = performance.now() - this.#beganMs;
    onNote(faultText({ ...what, node: node.name, wasMaster }));
    await this.#nodes.begin(node, fault);
    await pause(forMs, signal);
    await this.#nodes.release();
    const releasedMs = performance.now();
    const { isOk } = await untilAllOk(monitorUrls, OK_WITHIN_MS, signal);
    const window = this.#writer.look();
    this.#windows.push(window);
    const { longestGapMs, errors } = window;
    // After an interruption it is not known whether the cluster would have recovered.
    const okAfterMs = isOk || isAborted(signal) ? performance.now() - releasedMs : null;
    const done = { ...what, node: node.name, nodeKind: node.kind, wasMaster, atMs };
    return { ...done, okAfterMs, longestGapMs, errors };
  }

  async #report(leftAlone: readonly string[], brokenOff: string | null): Promise<ChaosReport> {
    const { environment, seed, signal } = this.#request;
    const { acknowledged, lost, lostKeys, unread } = await this.#writer.check();
    const errors: Record<string, number> = {};
    for (const [kind, count] of this.#windows.flatMap((one) => Object.entries(one.errors))) {
      errors[kind] = (errors[kind] ?? 0) + count;
    }
    const measure: ChaosMeasure = {
      faults: this.#faults,
      acknowledged,
      lost,
      unread,
      staleReads: this.#windows.reduce((total, { staleReads }) => total + staleReads, 0),
      errors,
      longestGapMs: Math.max(0, ...this.#windows.map(({ longestGapMs }) => longestGapMs)),
    };
    return {
      name: environment.name,
      seed,
      begun: this.#begun.toISOString(),
      durationMs: performance.now() - this.#beganMs,
      isInterrupted: signal.aborted,
      brokenOff,
      verdicts: judge(this.#config, measure),
      ...measure,
      lostKeys,
      leftAlone,
    };
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** A function, because the flag changes during each wait. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** null: it did not fail. Errors other than TwineError are bugs, and are thrown. */
async function whyFailed(work: () => Promise<void>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (!(error instanceof TwineError)) throw error;
    return error.problems.map(({ message }) => message).join("; ");
  }
}
