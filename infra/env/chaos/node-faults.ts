// node-faults.ts: kills, pauses, cuts off and restarts nodes of one environment. A paused node always continues, and a cut
// always ends, when this process ends (cuts: network-cuts.ts).
//
//   pause: a child process stops the node, and continues it when its standard input ends; the kernel closes that when
//          this process is killed, too
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterNode } from "../../../runtime/core/cluster.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { start } from "../../local/commands.ts";
import type { LocalRequest } from "../../local/context.ts";
import { isAlive, runningProcess, type RunningProcess } from "../../local/files/pid-file.ts";
import { servicePaths } from "../../local/files/layout.ts";
import type { Plan } from "../../plan/plan.ts";
import type { NetworkCuts } from "./network-cuts.ts";
import type { Fault } from "./schedule.ts";

/** $1: the pid. It ignores Ctrl-C: otherwise the node would stay paused. */
const HOLD = `trap '' INT TERM HUP; kill -STOP "$1" || exit 1; echo paused; read -r _; kill -CONT "$1"`;
const LOOK_EVERY_MS = 10;

export class NodeFaults {
  readonly #request: LocalRequest;
  readonly #plan: Plan;
  readonly #holders = new Map<string, ChildProcess>();
  readonly #killed = new Set<string>();
  readonly #cuts: NetworkCuts | undefined;

  /** `request.dir`: the environment's folder. Without `cuts` no node is cut off. */
  constructor(request: LocalRequest, plan: Plan, cuts: NetworkCuts | undefined) {
    this.#request = request;
    this.#plan = plan;
    this.#cuts = cuts;
  }

  /** Throws CHAOS_NODE when it does not run, else what the fault's own way throws. */
  async begin(node: ClusterNode, fault: Fault): Promise<void> {
    if (fault.kind === "cut") await this.#cuts?.cut(node, fault.cut);
    else if (fault.kind === "kill") await this.kill(node.name);
    else await this.pause(node.name);
  }

  /** Resolves when the process has ended. Throws CHAOS_NODE when it does not run. */
  async kill(node: string): Promise<void> {
    const running = await this.#running(node);
    this.#killed.add(node);
    process.kill(running.pid, "SIGKILL");
    while (await isAlive(running)) await delay(LOOK_EVERY_MS);
  }

  /** Throws CHAOS_NODE when it does not run. */
  async pause(node: string): Promise<void> {
    const { pid } = await this.#running(node);
    const holder = spawn("/bin/sh", ["-c", HOLD, "sh", String(pid)], {
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#holders.set(node, holder);
    const isPaused = await Promise.race([
      once(holder.stdout, "data").then(() => true),
      once(holder, "exit").then(() => false),
    ]);
    if (!isPaused) throw notThere(node);
  }

  /** Continues the paused node, ends the cut, and starts the killed one again with twine-start's own code. Throws its errors. */
  async release(): Promise<void> {
    const holders = [...this.#holders.values()];
    this.#holders.clear();
    await Promise.all([...holders.map(endHolder), this.#cuts?.release()]);
    const nodes = [...this.#killed];
    this.#killed.clear();
    if (nodes.length > 0) await start({ ...this.#request, nodes });
  }

  async #running(node: string): Promise<RunningProcess> {
    for (const host of this.#plan.hosts) {
      const service = host.services.find(({ name }) => name === node);
      if (service === undefined) continue;
      const { pidFile } = servicePaths(this.#request.dir ?? "", host.name, service);
      const running = await runningProcess(pidFile);
      if (running !== undefined) return running;
    }
    throw notThere(node);
  }
}

async function endHolder(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const exited = once(holder, "exit");
  holder.stdin?.end();
  await exited;
}

function notThere(node: string): TwineError {
  return new TwineError({
    code: "CHAOS_NODE",
    message: `node ${node} does not run`,
    remedy: "start the environment again: twine-env down NAME, then twine-env up NAME",
  });
}
