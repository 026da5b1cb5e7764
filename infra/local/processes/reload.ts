// reload.ts: makes monitors and routers read twine.conf and the files that it names again, by SIGHUP to the right
// processes.
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";
import { runsRedis } from "../../../runtime/core/cluster.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { findTargets } from "../targets.ts";
import { rememberReload } from "./running-shape.ts";
import { ownerOf, signalProcess } from "./processes.ts";

export interface ReloadReport {
  readonly reloaded: readonly string[];
  readonly notRunning: readonly string[];
}

/** Throws RELOAD_REFUSED for another user's process and RELOAD_REDIS for a redis-server that was named. */
export async function reloadHosts(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<ReloadReport> {
  const targets = await findTargets(context, hosts);
  if (context.nodes !== undefined) {
    const redis = targets.filter(({ service }) => runsRedis(service.kind));
    if (redis.length > 0) throw new TwineError(redis.map(({ service }) => readsOnce(service.name)));
  }
  const reloaded: string[] = [];
  const notRunning: string[] = [];
  const problems: Problem[] = [];
  for (const target of targets) {
    const { service, running } = target;
    // Sentinel also reads its file only at its start.
    if (runsRedis(service.kind) || service.command[0] === "redis-server") continue;
    const sent = running === undefined ? "gone" : signalProcess(running.pid, "SIGHUP");
    if (sent === "sent") {
      await rememberReload(context, target);
      reloaded.push(service.name);
    } else if (sent === "gone") notRunning.push(service.name);
    else problems.push(await refused(service.name, running?.pid ?? 0));
  }
  if (problems.length > 0) throw new TwineError(problems);
  return { reloaded, notRunning };
}

async function refused(name: string, pid: number): Promise<Problem> {
  const owner = await ownerOf(pid);
  return {
    code: "RELOAD_REFUSED",
    message: `process ${pid} of ${name} belongs to ${owner === undefined ? "another user" : `user ${owner}`}`,
    remedy: `run twine-reload as ${owner ?? "its owner"}, or as root`,
  };
}

function readsOnce(name: string): Problem {
  return {
    code: "RELOAD_REDIS",
    message: `${name} is a redis-server, which reads its redis.conf at its start alone`,
    remedy: `change what can be changed while it runs with CONFIG SET, or restart it: twine-stop ${name} && twine-start ${name}`,
  };
}
