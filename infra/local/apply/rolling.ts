// rolling.ts: carries out the steps of a rolling change on this machine's data nodes. plan/rolling/decide-steps.ts decides
// which steps may begin; it is called again whenever the view changes or a step ends.
//
//   decide -> take the partition's lock -> decide again -> hand over | set | aof | restart -> in sync again -> release
import { setTimeout as delay } from "node:timers/promises";
import {
  decideSteps,
  needsLock,
  othersOf,
  type RollingNode,
  type RollingStep,
} from "../../plan/rolling/decide-steps.ts";
import { takesNode, type NodeNeed } from "../../plan/rolling/node-needs.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { View } from "../../../runtime/core/view.ts";
import type { LocalContext } from "../context.ts";
import { interrupted } from "../processes/launch.ts";
import type { ServiceLook } from "./look.ts";
import {
  restartService,
  runIdOf,
  setSettings,
  startService,
  switchAof,
  whyNotNow,
  type FileWriter,
  type Service,
} from "./service-steps.ts";
import type { Lock, Turns } from "./turns.ts";

const LOOK_EVERY_MS = 50;
const ASK_OTHERS_EVERY_MS = 1000;
/** After another host had the lock, or the alpha refused a handover. */
const TRY_AGAIN_AFTER_MS = 500;
/** A full sync of a node may take long. */
const IN_SYNC_WITHIN_MS = 3_600_000;

/** The running cluster, as a tool sees it. */
export interface ClusterAccess {
  /** The newest view, while a majority of the status nodes confirms it; else null. */
  view(): View | null;
  /** Asks the alpha to make this node master; undefined when it is master, otherwise the reason. */
  promote(node: string): Promise<string | undefined>;
}

export interface RollingOptions {
  readonly partitionsAtOnce: number;
  readonly isForced: boolean;
  /** How long to wait without progress before the remaining steps are left. */
  readonly waitMs: number;
}

export interface Left {
  readonly node: string;
  readonly why: string;
}

export interface Done {
  readonly node: string;
  readonly what: string;
}

export interface RollingParts {
  readonly context: LocalContext;
  readonly access: ClusterAccess;
  readonly turns: Turns;
  readonly files: FileWriter;
  readonly options: RollingOptions;
  /** Examines one service again. */
  readonly lookAgain: (look: ServiceLook) => Promise<ServiceLook>;
  readonly onDone: (done: Done) => void;
}

interface Pending {
  look: ServiceLook;
  need: NodeNeed;
  readonly partition: number;
}

/** A partition in which a step could not begin. */
interface Later {
  readonly untilMs: number;
  readonly why: string;
  /** The alpha refused it; not merely because another host has the lock. */
  readonly isRefused: boolean;
}

export class Rolling {
  readonly #parts: RollingParts;
  readonly #pending = new Map<string, Pending>();
  readonly #busy = new Map<string, Promise<void>>();
  /** Partition -> when it may be tried again, and the reason for the delay. */
  readonly #later = new Map<number, Later>();
  #elsewhere = new Set<string>();
  #askedOthersMs = -Infinity;
  #failure: Error | undefined;
  handovers = 0;

  constructor(parts: RollingParts, looks: readonly ServiceLook[]) {
    this.#parts = parts;
    const partitions = new Map(
      parts.context.config.nodes.flatMap((node) =>
        node.kind === "data" ? [[node.name, node.partition] as const] : [],
      ),
    );
    for (const look of looks) {
      const { name } = look.target.service;
      const partition = partitions.get(name);
      if (look.need === undefined || partition === undefined) continue;
      this.#pending.set(name, { look, need: look.need, partition });
    }
  }

  /** Names of the nodes that will be stopped, announced to the other hosts. */
  taking(): string[] {
    return [...this.#pending].filter(([, { need }]) => takesNode(need)).map(([name]) => name);
  }

  nodes(): RollingNode[] {
    return [...this.#pending].map(([name, { partition, need }]) => ({ name, partition, need }));
  }

  /**
   * Runs until nothing is left, or nothing has progressed for `waitMs`; returns the remaining nodes with the reasons.
   * Throws INTERRUPTED and the error of a failed step, after the running steps have ended.
   */
  async run(): Promise<readonly Left[]> {
    const { context, options } = this.#parts;
    let movedMs = performance.now();
    for (;;) {
      if (this.#pending.size === 0 && this.#busy.size === 0) return [];
      const isEnding = context.signal.aborted || this.#failure !== undefined;
      if (isEnding) {
        await Promise.all(this.#busy.values());
        if (this.#failure !== undefined) throw this.#failure;
        throw interrupted("run twine-apply again: it goes on where it stopped");
      }
      await this.#askOthers();
      const { steps, waits } = this.#decide();
      for (const step of steps) this.#begin(step);
      const isTurn = waits.some((wait) => wait.isTurn && this.#laterOf(wait)?.isRefused !== true);
      if (this.#busy.size > 0 || isTurn) movedMs = performance.now();
      else if (performance.now() - movedMs > options.waitMs)
        return waits.map((wait) => this.#reason(wait));
      await Promise.race([...this.#busy.values(), delay(LOOK_EVERY_MS)]);
    }
  }

  #reason(wait: Left): Left {
    return { node: wait.node, why: this.#laterOf(wait)?.why ?? wait.why };
  }

  #laterOf({ node }: Left): Later | undefined {
    const partition = this.#pending.get(node)?.partition;
    return partition === undefined ? undefined : this.#later.get(partition);
  }

  #decide() {
    const { access, options } = this.#parts;
    const nowMs = performance.now();
    const locked = [...this.#later].filter(([, { untilMs }]) => untilMs > nowMs);
    return decideSteps({
      view: access.view(),
      nodes: this.nodes(),
      pendingElsewhere: this.#elsewhere,
      busy: new Set(this.#busy.keys()),
      locked: new Set(locked.map(([partition]) => partition)),
      partitionsAtOnce: options.partitionsAtOnce,
      isForced: options.isForced,
    });
  }

  async #askOthers(): Promise<void> {
    const { context, turns } = this.#parts;
    if (this.taking().length === 0) return;
    if (performance.now() - this.#askedOthersMs < ASK_OTHERS_EVERY_MS) return;
    const others = context.plan.hosts.filter((host) => !context.isHere(host));
    const announced = await turns.announced(others.map(({ name }) => name));
    this.#elsewhere = new Set([...announced.values()].flat());
    this.#askedOthersMs = performance.now();
  }

  #begin(step: RollingStep): void {
    const work = this.#carryOut(step)
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.#busy.delete(step.node);
      });
    this.#busy.set(step.node, work);
  }

  async #carryOut(step: RollingStep): Promise<void> {
    const pending = this.#pending.get(step.node);
    if (pending === undefined) return;
    if (step.kind === "start") await this.#start(pending);
    else if (step.kind === "set") await this.#set(pending);
    if (!needsLock(step)) return;
    const lock = await this.#parts.turns.take(`partition-${step.partition}`);
    if (typeof lock === "string") {
      const isSilent = lock === "silent";
      const taken = `another host changes a node of partition ${step.partition}`;
      const why = isSilent ? "no majority of the status nodes answers" : taken;
      this.#tryLater(step.partition, why, isSilent);
      return;
    }
    try {
      await this.#whileLocked(step, pending, lock);
    } finally {
      await lock.release();
    }
  }

  #tryLater(partition: number, why: string, isRefused: boolean): void {
    this.#later.set(partition, { untilMs: performance.now() + TRY_AGAIN_AFTER_MS, why, isRefused });
  }

  /** The decision may be outdated after the lock was taken. */
  async #whileLocked(step: RollingStep, pending: Pending, lock: Lock): Promise<void> {
    const { access, options } = this.#parts;
    const again = decideSteps({
      view: access.view(),
      nodes: [{ name: step.node, partition: step.partition, need: pending.need }],
      pendingElsewhere: new Set(),
      busy: new Set(),
      locked: new Set(),
      partitionsAtOnce: 1,
      isForced: options.isForced,
    }).steps[0];
    if (again?.kind !== step.kind || !lock.isHeld()) return;
    this.#later.delete(step.partition);
    if (again.kind === "hand-over") await this.#handOver(again);
    else if (again.kind === "aof") await this.#aof(pending);
    else if (again.kind === "restart") await this.#restart(pending, lock);
  }

  async #handOver(step: RollingStep & { readonly kind: "hand-over" }): Promise<void> {
    const { access, onDone } = this.#parts;
    const refusals: string[] = [];
    for (const node of step.candidates) {
      const refusal = await access.promote(node);
      if (refusal === undefined) {
        this.handovers++;
        onDone({
          node,
          what: `master of partition ${step.partition} now, instead of ${step.node}`,
        });
        return;
      }
      refusals.push(`${node}: ${refusal}`);
    }
    const why = `${step.node} can't hand over: ${refusals.join("; ")}`;
    this.#tryLater(step.partition, why, true);
  }

  async #start(pending: Pending): Promise<void> {
    await this.#writeFiles(pending);
    await startService(this.#service(pending));
    this.#note(pending, "started");
    this.#pending.delete(pending.look.target.service.name);
  }

  async #set(pending: Pending): Promise<void> {
    const { need } = pending;
    if (need.kind !== "set") return;
    const refused = await setSettings(this.#service(pending), need.settings);
    await this.#writeFiles(pending);
    const taken = need.settings.filter(({ setting }) => !refused.includes(setting));
    if (taken.length > 0) {
      const words = taken.map(
        ({ setting, wanted }) => `${setting} ${wanted === "" ? '""' : wanted}`,
      );
      this.#note(pending, `set while it runs: ${words.join(", ")}`);
    }
    if (refused.length === 0) await this.#next(pending);
    else {
      pending.need = {
        kind: "restart",
        why: refused.map((name) => `${name} is taken at the start`),
      };
    }
  }

  async #aof(pending: Pending): Promise<void> {
    const { context } = this.#parts;
    const { need } = pending;
    if (need.kind !== "aof") return;
    await switchAof(this.#service(pending), need.isOn, context.signal);
    await setSettings(this.#service(pending), need.settings);
    await this.#writeFiles(pending);
    this.#note(
      pending,
      `its append only file is ${need.isOn ? "on, and complete" : "off, and its data in an RDB"}`,
    );
    await this.#next(pending);
  }

  async #restart(pending: Pending, lock: Lock): Promise<void> {
    const service = this.#service(pending);
    const { need } = pending;
    const { name } = service.target.service;
    const reasons = need.kind === "restart" ? need.why.join(", ") : "";
    await this.#writeFiles(pending);
    const beganMs = performance.now();
    let why: string | undefined;
    const isReady = async (): Promise<boolean> => {
      const { nodes = [] } = this.#parts.access.view() ?? {};
      const others = othersOf(name, pending.partition, nodes);
      why = await whyNotNow(service, others, this.#parts.options.isForced);
      return why === undefined && (await lock.confirm());
    };
    if (!(await restartService(service, { isReady, isHeld: () => lock.isHeld() }))) {
      const turn = `another host may have the turn of partition ${pending.partition}`;
      this.#tryLater(pending.partition, why ?? turn, why !== undefined);
      return;
    }
    const runId = await runIdOf(service);
    await this.#untilInSync(name, runId);
    const tookS = ((performance.now() - beganMs) / 1000).toFixed(1);
    this.#note(pending, `restarted, in sync again after ${tookS} s (${reasons})`);
    this.#pending.delete(name);
  }

  /** In sync by the view, with the run id of the process that was just started. */
  async #untilInSync(name: string, runId: string | undefined): Promise<void> {
    const { access, context } = this.#parts;
    const endMs = performance.now() + IN_SYNC_WITHIN_MS;
    for (;;) {
      const node = access.view()?.nodes.find((one) => one.name === name);
      const isBack = node !== undefined && node.role !== "dead" && node.inSync;
      if (isBack && (runId === undefined || node.runId === runId)) return;
      if (context.signal.aborted) {
        throw interrupted(
          `${name} was restarted and is being synced; run twine-apply again to go on`,
        );
      }
      if (performance.now() > endMs) throw notInSync(name);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** What the node needs after this step; the same step again would loop forever. */
  async #next(pending: Pending): Promise<void> {
    const { name } = pending.look.target.service;
    const before = JSON.stringify(pending.need);
    pending.look = await this.#parts.lookAgain(pending.look);
    const { need } = pending.look;
    if (need === undefined || need.kind === "start") {
      this.#pending.delete(name);
      return;
    }
    if (JSON.stringify(need) === before) throw notTaken(name, need);
    pending.need = need;
  }

  async #writeFiles({ look }: Pending): Promise<void> {
    const { folder } = look.target.service;
    await this.#parts.files.write(look.host, (path) => path.startsWith(`${folder}/`));
  }

  #note({ look }: Pending, what: string): void {
    this.#parts.onDone({ node: look.target.service.name, what });
  }

  #service({ look }: Pending): Service {
    return { context: this.#parts.context, host: look.host, target: look.target };
  }
}

function notInSync(name: string): TwineError {
  return new TwineError({
    code: "NOT_IN_SYNC",
    message: `${name} was restarted and is not in sync after ${IN_SYNC_WITHIN_MS / 3_600_000} h`,
    remedy: "twine-status names what is in its way; then run twine-apply again",
  });
}

function notTaken(name: string, need: NodeNeed): TwineError {
  const settings = need.kind === "set" ? need.settings.map(({ setting }) => setting) : [need.kind];
  return new TwineError({
    code: "NOT_TAKEN",
    message: `${name} answers OK and still has another ${settings.join(", ")}`,
    remedy: "write the value in twine.conf as CONFIG GET shows it",
  });
}
