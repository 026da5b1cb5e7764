// scratch-cluster.ts: a whole cluster for one rehearsal, on addresses of its own on this machine, with a password that nobody
// else knows. twine-env starts and ends it; it ends, too, when this process does, however that ends.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClusterConfig } from "../../core/cluster.ts";
import { parseConf } from "../../core/conf/parse.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { rehearsalConf, rehearsalPorts } from "./rehearsal-conf.ts";

export interface ScratchCluster {
  /** As it runs. */
  readonly config: ClusterConfig;
  readonly password: string;
  /** Nothing is left of it. */
  end(): Promise<void>;
}

export interface ScratchClusterOptions {
  /** Private. Everything of the cluster lies in it. */
  readonly folder: string;
  /** Program and first arguments of twine-env. */
  readonly envTool: readonly [string, ...string[]];
  /** Its environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

const OUTPUT_BYTES_MAX = 1024 * 1024;

/** Partitions and function as `config` has them. Throws REHEARSAL_CLUSTER with what twine-env says. */
export async function startScratchCluster(
  config: ClusterConfig,
  { folder, envTool, env: environment, signal }: ScratchClusterOptions,
): Promise<ScratchCluster> {
  const [root, given, passwordFile] = ["envs", "given.conf", "password"].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const password = randomBytes(24).toString("hex");
  await mkdir(root, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  await writeFile(given, rehearsalConf(config, await freePorts(rehearsalPorts(config))));
  const name = "rehearsal";
  const [program, ...first] = envTool;
  const env = { ...environment, TWINE_ENVS: root, TWINE_PASSWORD_FILE: passwordFile };
  const run = (args: readonly string[], more: { readonly signal?: AbortSignal } = {}) =>
    promisify(execFile)(program, [...first, ...args], {
      ...{ env, maxBuffer: OUTPUT_BYTES_MAX, killSignal: "SIGTERM", ...more },
    });
  const owner = String(process.pid);
  try {
    await run(["up", name, "--conf", given, "--owner", owner], { signal });
  } catch (error) {
    signal.throwIfAborted();
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new TwineError(
      {
        code: "REHEARSAL_CLUSTER",
        message: `the scratch cluster on this machine did not start: ${said === "" ? errorText(error) : said}`,
        remedy: "it needs Linux, a redis-server in PATH, and memory for all data; mend that first",
      },
      { cause: error },
    );
  }
  const end = async (): Promise<void> => {
    await run(["down", name]);
  };
  const file = join(root, name, "twine.conf");
  const placed = parseConf(await readFile(file, "utf8"), file);
  if (placed.config === undefined) {
    await end();
    throw new TwineError(placed.errors);
  }
  return {
    config: placed.config,
    password,
    end,
  };
}

/** All different: each stays taken until the last was found. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((done, failed) => {
            server.once("error", failed);
            server.listen(0, "127.0.0.1", () => {
              done((server.address() as AddressInfo).port);
            });
          }),
      ),
    );
  } finally {
    for (const server of servers) server.close();
  }
}
