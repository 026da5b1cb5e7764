// local-folder.ts: a cluster's folder under the system's temporary folder, on which a test calls setup, start and stop
// in its own process; whatever still runs when the test ends is ended by its pid file, then the folder goes.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { setup, start, stop } from "../../infra/local/commands.ts";
import type { LocalRequest } from "../../infra/local/context.ts";
import { silentProgress } from "../../infra/local/progress.ts";
import type { SetupOptions } from "../../infra/local/files/setup.ts";
import { twineHome } from "./bins.ts";
import type { RedisReply } from "../../runtime/ports/redis-link.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { configOf } from "../golden/render-cases.ts";
import { ClusterFolder } from "./cluster-folder.ts";

export interface LocalFolder {
  readonly folder: string;
  readonly conf: string;
  port(node: string): number;
  /** Replaces twine.conf. */
  rewrite(text: (before: string) => string): Promise<void>;
  /** Below partitions/localhost. */
  path(...parts: string[]): string;
  read(...parts: string[]): Promise<string>;
  request(more?: Partial<LocalRequest>): Promise<LocalRequest>;
  setup(options?: Partial<SetupOptions>): ReturnType<typeof setup>;
  start(more?: Partial<LocalRequest>): ReturnType<typeof start>;
  stop(more?: Partial<LocalRequest>): ReturnType<typeof stop>;
  /** Names of the nodes that run, by their pid files. */
  running(): Promise<string[]>;
  pid(node: string): Promise<number>;
  ask(node: string, ...command: string[]): Promise<RedisReply>;
}

/** `conf` as ClusterFolder takes it. Only data and status nodes are started. */
export async function localFolder(conf: string): Promise<LocalFolder> {
  const cluster = await ClusterFolder.create(conf);
  onTestFinished(() => cluster.end());
  const { folder, file } = cluster;
  const path = (...parts: string[]): string => join(folder, "partitions/localhost", ...parts);
  const request = async (more: Partial<LocalRequest> = {}): Promise<LocalRequest> => ({
    config: configOf(await readFile(file, "utf8"), file),
    home: twineHome(),
    progress: silentProgress,
    only: ["data", "status"],
    ...more,
  });
  const running = async (): Promise<string[]> => {
    const names = await readdir(path()).catch(() => []);
    const alive = await Promise.all(names.map((name) => cluster.isRunning(name)));
    return names.filter((_, index) => alive[index]).sort();
  };
  return {
    folder,
    conf: file,
    port: (node) => cluster.port(node),
    path,
    request,
    running,
    rewrite: async (text) => {
      await cluster.rewrite(text(await readFile(file, "utf8")));
    },
    read: (...parts) => readFile(path(...parts), "utf8"),
    setup: async (options = {}) =>
      setup(await request(), { overwrite: false, adopt: false, ...options }),
    start: async (more) => start(await request(more)),
    stop: async (more) => stop(await request(more)),
    pid: (node) => cluster.pid(node),
    ask: async (node, command = "PING", ...args) => {
      const link = await openRedisLink(
        { host: "127.0.0.1", port: cluster.port(node) },
        { connectTimeoutMs: 2000 },
      );
      try {
        return await link.call(command, ...args);
      } finally {
        link.close();
      }
    },
  };
}

/** One partition of two nodes and a status node. */
export const SMALL = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
cluster small
`;
