// layout.ts: the paths of all files on this machine. Computes paths only.
//
//   FOLDER/partitions/HOST/              hostFolder
//     .generated.json                    digests of the files that twine-setup wrote last
//     .lock                              the process that works here
//     NAME/                              serviceFolder: the process runs in it
//       pid  redis.log | log  redis.conf  data/
import { join } from "node:path";
import type { PlannedService } from "../../plan/plan.ts";

export function partitionsFolder(folder: string): string {
  return join(folder, "partitions");
}

export function hostFolder(folder: string, host: string): string {
  return join(partitionsFolder(folder), host);
}

export interface ServicePaths {
  readonly folder: string;
  readonly pidFile: string;
  readonly logFile: string;
}

export function servicePaths(folder: string, host: string, service: PlannedService): ServicePaths {
  const own = join(hostFolder(folder, host), service.folder);
  return { folder: own, pidFile: join(own, "pid"), logFile: join(own, service.logFile) };
}

export function generatedFile(folder: string, host: string): string {
  return join(hostFolder(folder, host), ".generated.json");
}

export function lockFile(folder: string, host: string): string {
  return join(hostFolder(folder, host), ".lock");
}
