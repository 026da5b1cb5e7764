// local-cluster.ts: a cluster of real processes in a folder of its own, driven by the compiled bins alone,
// as a person would drive it. Stopped and removed when the test ends.
import { join } from "node:path";
import { byLetter, clusterConf } from "./cluster-conf.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import { runCommand, type Ran } from "./run-tool.ts";
import { ROOT } from "./source-files.ts";

export interface LocalCluster {
  readonly folder: string;
  /** Added to the environment of what is run; a test may change it. */
  readonly env: Record<string, string>;
  /** Runs a bin, e.g. run("twine", "set", "a", "1"), in the cluster's folder. */
  run(bin: string, ...args: string[]): Promise<Ran>;
  /** The same with text on standard input. */
  feed(input: string, bin: string, ...args: string[]): Promise<Ran>;
  /** Fails unless it ends with 0; gives its standard output. */
  must(bin: string, ...args: string[]): Promise<string>;
  port(node: string): number;
  /** From the pid file, the process's id; throws when it does not run. */
  pid(node: string): Promise<number>;
  remove(): Promise<void>;
}

const LAUNCHERS = join(ROOT, "node_modules/.bin");

/** `conf` as ClusterFolder takes it. Nothing is started. */
export async function localCluster(conf: string): Promise<LocalCluster> {
  const cluster = await ClusterFolder.create(conf);
  const { folder } = cluster;
  const env: Record<string, string> = {};
  const feed = (input: string, bin: string, ...args: string[]): Promise<Ran> =>
    runCommand(join(LAUNCHERS, bin), args, { cwd: folder, input, env });
  const run = (bin: string, ...args: string[]): Promise<Ran> => feed("", bin, ...args);
  return {
    folder,
    env,
    run,
    feed,
    must: async (bin, ...args) => {
      const ran = await run(bin, ...args);
      if (ran.code === 0) return ran.stdout;
      throw new Error(
        `${bin} ${args.join(" ")} ended with ${String(ran.code)}\n${ran.stdout}${ran.stderr}`,
      );
    },
    port: (node) => cluster.port(node),
    pid: (node) => cluster.pid(node),
    remove: async () => {
      await run("twine-stop");
      await cluster.end();
    },
  };
}

/** Two partitions of three nodes, three status nodes, three monitors, one router. */
export const TWO_PARTITIONS_NODES = clusterConf({
  ...{ partitions: 2, nodesPerPartition: 3, nameOf: byLetter },
  ...{ statusNodes: 3, monitors: 3, routers: 1 },
});

/** The same with what the shipped twine.conf sets. */
export const TWO_PARTITIONS = `${TWO_PARTITIONS_NODES}redis appendonly yes\n`;
