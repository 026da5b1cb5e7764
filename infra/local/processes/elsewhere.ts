// elsewhere.ts: finds nodes that run although this folder did not start them: twine-up was called with another --dir.
import { join, sep } from "node:path";
import { TwineError } from "../../../runtime/core/errors.ts";
import { namesOf } from "../files/names.ts";
import type { Target } from "../targets.ts";
import { portHolders } from "./port-holder.ts";
import { folderOf } from "./processes.ts";

export interface Elsewhere {
  readonly name: string;
  readonly pid: number;
  /** The value of --dir with which it can be reached. */
  readonly dir: string;
}

/** Those of these targets whose port is held by a process of the same node's folder below another --dir. This folder
    started none of the targets. */
export async function findElsewhere(idle: readonly Target[]): Promise<Elsewhere[]> {
  const holders = await portHolders(new Set(idle.map(({ service }) => service.health.port)));
  const found = idle.map(async ({ host, service }): Promise<Elsewhere[]> => {
    const holder = holders.get(service.health.port);
    const folder = holder === undefined ? undefined : await folderOf(holder.pid);
    if (holder === undefined || folder === undefined) return [];
    const own = join(sep, "partitions", host, service.folder);
    const at = `${folder}${sep}`.indexOf(`${own}${sep}`);
    return at < 0 ? [] : [{ name: service.name, pid: holder.pid, dir: folder.slice(0, at) || sep }];
  });
  return (await Promise.all(found)).flat();
}

/** RUNS_ELSEWHERE for each such folder. */
export function elsewhereError(elsewhere: readonly Elsewhere[]): TwineError {
  const dirs = [...new Set(elsewhere.map(({ dir }) => dir))];
  return new TwineError(
    dirs.map((dir) => {
      const names = elsewhere.filter((other) => other.dir === dir).map(({ name }) => name);
      return {
        code: "RUNS_ELSEWHERE",
        message: `${namesOf(names)} ${names.length === 1 ? "runs" : "run"} from another folder: ${dir}`,
        remedy: `twine-stop --dir ${dir}`,
      };
    }),
  );
}
