// targets.ts: the services of some hosts as targets to start and stop here, with their running processes.
import { access } from "node:fs/promises";
import { credentialsOf, type Credentials } from "../../runtime/core/credentials.ts";
import type { PlannedHost, PlannedService } from "../plan/plan.ts";
import type { LocalContext } from "./context.ts";
import { hostFolder, servicePaths, type ServicePaths } from "./files/layout.ts";
import { runningProcess, type RunningProcess } from "./files/pid-file.ts";

export interface Target {
  readonly host: string;
  readonly service: PlannedService;
  readonly paths: ServicePaths;
  /** The process that twine-start started, if it still runs. */
  readonly running: RunningProcess | undefined;
}

export async function findTargets(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<Target[]> {
  const found = hosts.flatMap((host) =>
    host.services
      .filter(({ kind }) => context.only?.includes(kind) ?? true)
      .filter(({ name }) => context.nodes?.includes(name) ?? true)
      .map(async (service): Promise<Target> => {
        const paths = servicePaths(context.folder, host.name, service);
        const running = await runningProcess(paths.pidFile);
        return { host: host.name, service, paths, running };
      }),
  );
  return Promise.all(found);
}

/** Whether twine-setup ever wrote this host's folder. */
export async function isSetUp(context: LocalContext, host: PlannedHost): Promise<boolean> {
  return access(hostFolder(context.folder, host.name)).then(
    () => true,
    () => false,
  );
}

/** The user with the right to ask a node for its role. */
export function healthCredentials(context: LocalContext): Credentials | undefined {
  return credentialsOf("health", context.password);
}

/** The address at which a service is asked. */
export function askAddress(service: PlannedService): string {
  return service.bind[0] ?? "127.0.0.1";
}
