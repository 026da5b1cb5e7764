// local-cluster.ts: a cluster of real processes in a folder of its own, driven by the compiled bins alone,
// as a person would drive it. Stopped and removed when the test ends.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./redis-server.ts";
import { ROOT } from "./source-files.ts";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

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
  /** From the pid file, the process's id. */
  pid(node: string): Promise<number>;
  remove(): Promise<void>;
}

const LAUNCHERS = join(ROOT, "node_modules/.bin");

/** Runs a command to its end; never throws for its exit code. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { cwd: string; input?: string; env?: NodeJS.ProcessEnv },
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: "1", ...options.env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout, stderr });
    });
    // Who needs no input may have ended already: a broken pipe is no failure.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** Writes `conf` with every {NAME} replaced by a free port, under a new folder. Nothing is started. */
export async function localCluster(conf: string): Promise<LocalCluster> {
  const folder = await mkdtemp(join(tmpdir(), "twine-e2e-"));
  const ports = new Map<string, number>();
  for (const [, name = ""] of conf.matchAll(/\{([A-Za-z0-9-]+)\}/g)) {
    if (!ports.has(name)) ports.set(name, await freePort());
  }
  const text = conf.replace(/\{([A-Za-z0-9-]+)\}/g, (_, name: string) => String(ports.get(name)));
  await writeFile(join(folder, "twine.conf"), text);
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
    port: (node) => {
      const port = ports.get(node);
      if (port === undefined) throw new Error(`the conf has no {${node}}`);
      return port;
    },
    pid: async (node) => {
      for (const host of await readdir(join(folder, "partitions"))) {
        const file = join(folder, "partitions", host, node, "pid");
        const text = await readFile(file, "utf8").catch(() => undefined);
        if (text !== undefined) return Number(text.split("\n")[0]);
      }
      throw new Error(`${node} has no pid file`);
    },
    remove: async () => {
      await run("twine-stop");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Two partitions of three nodes, three status nodes, three monitors, one router. */
export const TWO_PARTITIONS_NODES = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
a3=data 0 localhost {a3} 0
b1=data 1 localhost {b1} 0
b2=data 1 localhost {b2} 0
b3=data 1 localhost {b3} 0
s1=status localhost {s1} 0
s2=status localhost {s2} 0
s3=status localhost {s3} 0
m1=monitor localhost {m1}
m2=monitor localhost {m2}
m3=monitor localhost {m3}
r1=router localhost {r1}
`;

/** The same with what the shipped twine.conf sets. */
export const TWO_PARTITIONS = `${TWO_PARTITIONS_NODES}redis appendonly yes\n`;
