// left-overs.ts: finds nodes and hosts that twine.conf no longer names, by their folders below partitions/.
// Their processes run until they are stopped, and twine.conf alone would not show them.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere } from "./files.ts";
import { hostFolder, partitionsFolder, type ServicePaths } from "./layout.ts";
import { runningProcess, type RunningProcess } from "./pid-file.ts";

export interface LeftOver {
  readonly host: string;
  readonly name: string;
  readonly paths: ServicePaths;
  /** The process that twine-start started, if it still runs. */
  readonly running: RunningProcess | undefined;
  /** Absent for monitors and routers. */
  readonly redis: LeftRedis | undefined;
}

/** From its redis.conf. */
export interface LeftRedis {
  readonly kind: "data" | "status";
  readonly address: string;
  readonly port: number;
}

/** Files that only a node's folder has; other folders have scripts. */
const OF_A_NODE = ["pid", "redis.conf", "redis.log", "log"];

/** Nodes with a folder in the host's folder that are not in the plan any more, running or not. */
export async function findLeftOvers(context: LocalContext, host: PlannedHost): Promise<LeftOver[]> {
  const planned = new Set(host.services.map((service) => service.folder));
  const folder = hostFolder(context.folder, host.name);
  const found: LeftOver[] = [];
  for (const name of await namesIn(folder)) {
    const own = join(folder, name);
    const entries = planned.has(name) ? [] : await namesIn(own);
    if (!OF_A_NODE.some((entry) => entries.includes(entry))) continue;
    const conf = await readIfThere(join(own, "redis.conf")).catch(() => undefined);
    const pidFile = join(own, "pid");
    found.push({
      host: host.name,
      name,
      paths: { folder: own, pidFile, logFile: join(own, conf === undefined ? "log" : "redis.log") },
      running: await runningProcess(pidFile).catch(() => undefined),
      redis: conf === undefined ? undefined : redisOf(conf),
    });
  }
  return found;
}

/** Hosts that have a folder but no line in twine.conf any more, as hosts without services. */
export async function findLeftHosts(context: LocalContext): Promise<PlannedHost[]> {
  const planned = new Set(context.plan.hosts.map(({ name }) => name));
  const names = await namesIn(partitionsFolder(context.folder));
  return names
    .filter((name) => !planned.has(name))
    .map((name) => ({ name, address: name, files: [], services: [] }));
}

/** Only a data node is started as a replica of nowhere. */
function redisOf(conf: string): LeftRedis {
  const bind = /^bind\s+"?([^\s"]+)/m.exec(conf)?.[1];
  return {
    kind: /^replicaof\s/m.test(conf) ? "data" : "status",
    address: bind ?? "127.0.0.1",
    port: Number(/^port\s+(\d+)/m.exec(conf)?.[1] ?? "6379"),
  };
}

/** Empty if it is not a folder, or belongs to another user. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
