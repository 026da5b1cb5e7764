// cut-network.ts: a cluster on three hosts, each a network namespace with an address of its own, joined by a bridge in a
// fourth, whose cables a test can pull. All processes are started in their host's namespace by twine-start itself.
//
//   h1 10.214.0.1 ─┐
//   h2 10.214.0.2 ─┼─ bridge (namespace "switch")
//   h3 10.214.0.3 ─┘
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { binPath } from "./bins.ts";
import type { View } from "../../runtime/core/view.ts";
import type { WrittenReport } from "./checked-writer-process.ts";
import { runCommand, type Ran } from "./run-tool.ts";
import { isMissing } from "./programs.ts";
import { until } from "./redis-server.ts";

const run = promisify(execFile);
const SUBNET = "10.214.0";
const PASSWORD = "cut-network";

export type CutHost = "h1" | "h2" | "h3";
export const CUT_HOSTS: readonly CutHost[] = ["h1", "h2", "h3"];
const HOSTS = CUT_HOSTS;

/** For describe.skipIf: whether namespaces can't be made here; throws where skips are forbidden. */
export async function isWithoutNamespaces(): Promise<boolean> {
  if (isMissing("redis-server", "redis-cli", "ip", "nsenter")) return true;
  const probe = `twine-${process.pid}-probe`;
  try {
    await run("ip", ["netns", "add", probe]);
    await run("ip", ["-n", probe, "link", "add", "br0", "type", "bridge"]);
    return false;
  } catch (cause) {
    const why = "network namespaces can't be made here";
    if (process.env["TWINE_TEST_STRICT"] === "1") {
      throw new Error(`TWINE_TEST_STRICT forbids skips, and ${why}`, { cause });
    }
    process.stderr.write(`skipped: ${why}\n`);
    return true;
  } finally {
    await run("ip", ["netns", "delete", probe]).catch(() => undefined);
  }
}

export interface RunningWriter {
  /** Ends it, reads everything back, and answers what it saw. */
  stop(): Promise<WrittenReport>;
}

export class CutNetwork {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `conf` names the hosts as h1, h2, h3. Returns when the state is OK. */
  static async start(conf: string): Promise<CutNetwork> {
    const folder = await mkdtemp(join(tmpdir(), "twine-cut-"));
    const network = new CutNetwork(folder);
    try {
      await writeFile(join(folder, "password"), `${PASSWORD}\n`, { mode: 0o600 });
      const text = conf.replace(/\bh([123])\b/g, `${SUBNET}.$1`);
      await writeFile(join(folder, "twine.conf"), text);
      await network.#lay();
      await network.#must("h1", "infra", "twine-setup");
      await Promise.all(HOSTS.map((host) => network.#must(host, "infra", "twine-start")));
      await network.viewWhere("h2", "OK", ({ state }) => state === "OK");
      return network;
    } catch (error) {
      await network.remove();
      throw error;
    }
  }

  async #lay(): Promise<void> {
    const hub = spaceOf("switch");
    await run("ip", ["netns", "add", hub]);
    await run("ip", ["-n", hub, "link", "add", "br0", "type", "bridge"]);
    await run("ip", ["-n", hub, "link", "set", "br0", "up"]);
    for (const host of HOSTS) {
      const space = spaceOf(host);
      await run("ip", ["netns", "add", space]);
      await run("ip", ["-n", space, "link", "set", "lo", "up"]);
      const peer = ["type", "veth", "peer", "name", host, "netns", hub];
      await run("ip", ["-n", space, "link", "add", "eth0", ...peer]);
      await run("ip", ["-n", hub, "link", "set", host, "master", "br0", "up"]);
      await run("ip", ["-n", space, "address", "add", `${addressOf(host)}/24`, "dev", "eth0"]);
      await run("ip", ["-n", space, "link", "set", "eth0", "up"]);
    }
  }

  /** Pulls the host's cable: packets are lost, nobody is told. */
  async cut(host: CutHost): Promise<void> {
    await run("ip", ["-n", spaceOf("switch"), "link", "set", host, "down"]);
  }

  async mend(host: CutHost): Promise<void> {
    await run("ip", ["-n", spaceOf("switch"), "link", "set", host, "up"]);
  }

  /** kill -9 of everything on it, as when it loses its power. */
  async kill(host: CutHost): Promise<void> {
    await until(`nothing runs on ${host}`, () => isEmptied(spaceOf(host)));
  }

  /** The processes on it whose command line has this word. */
  async pidsOf(host: CutHost, word: string): Promise<number[]> {
    const found: number[] = [];
    for (const pid of await pidsIn(spaceOf(host))) {
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      if (command.includes(word)) found.push(pid);
    }
    return found;
  }

  /** The pid in the node's pid file; 0 when it does not run. */
  async pid(host: CutHost, node: string): Promise<number> {
    const file = join(this.#folder, "partitions", addressOf(host), node, "pid");
    const pid = Number(await readFile(file, "utf8").catch(() => "0"));
    return pid > 1 && (await isRunning(pid)) ? pid : 0;
  }

  #run(host: CutHost, input: string, command: readonly string[]): Promise<Ran> {
    const args = [`--net=/run/netns/${spaceOf(host)}`, "--", ...command];
    return runCommand("nsenter", args, {
      cwd: this.#folder,
      input,
      env: { TWINE_PASSWORD_FILE: join(this.#folder, "password") },
    });
  }

  /** Changes twine.conf, which all hosts share as they share the folder. */
  async edit(change: (text: string) => string): Promise<void> {
    const file = join(this.#folder, "twine.conf");
    await writeFile(file, change(await readFile(file, "utf8")));
  }

  address(host: CutHost): string {
    return addressOf(host);
  }

  /** Checked writers on `host`, through the routers of `routers`, until they are stopped. */
  writer(host: CutHost, routers: readonly CutHost[], port: number): RunningWriter {
    const given = {
      routers: routers.map((router) => ({ name: router, host: addressOf(router), port })),
      password: PASSWORD,
    };
    const script = join(import.meta.dirname, "checked-writer-process.ts");
    const node = [process.execPath, script, JSON.stringify(given)];
    const args = [`--net=/run/netns/${spaceOf(host)}`, "--", ...node];
    const child = spawn("nsenter", args, { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise<void>((resolve) => {
      child.once("close", () => {
        resolve();
      });
    });
    return {
      stop: async () => {
        child.stdin.end();
        await ended;
        return JSON.parse(text) as WrittenReport;
      },
    };
  }

  /** One of Twine's own tools, run on `host`. */
  tool(host: CutHost, room: "runtime" | "infra", bin: string, ...args: string[]): Promise<Ran> {
    return this.#run(host, "", [process.execPath, binPath(bin, room), ...args]);
  }

  async #must(host: CutHost, room: "runtime" | "infra", bin: string): Promise<void> {
    const ran = await this.tool(host, room, bin);
    if (ran.code !== 0) throw new Error(`${bin} on ${host}: ${ran.stdout}${ran.stderr}`);
  }

  /** Commands, one a line, to a router from `host`; their replies, one a line. */
  async redis(host: CutHost, router: CutHost, port: number, commands: string[]): Promise<string[]> {
    const where = ["-h", addressOf(router), "-p", String(port)];
    const who = ["--user", "app", "--pass", PASSWORD, "--no-auth-warning"];
    const ran = await this.#run(host, `${commands.join("\n")}\n`, ["redis-cli", ...where, ...who]);
    return ran.stdout.split("\n").filter((line) => line !== "");
  }

  /** The view that `host` can read; null where it reaches no majority of the status nodes. */
  async view(host: CutHost): Promise<View | null> {
    const ran = await this.tool(host, "runtime", "twine-status", "json");
    if (!ran.stdout.startsWith("{")) return null;
    return JSON.parse(ran.stdout) as View;
  }

  async viewWhere(host: CutHost, what: string, fits: (view: View) => boolean): Promise<View> {
    let found: View | undefined;
    let last: View | null = null;
    const look = async (): Promise<boolean> => {
      last = await this.view(host);
      if (last !== null && fits(last)) found = last;
      return found !== undefined;
    };
    await until(what, look, 45_000).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}`, { cause: error });
    });
    if (found === undefined) throw new Error("there is no view");
    return found;
  }

  /** Ends everything that runs in the namespaces, by pid, and removes them and the folder. */
  async remove(): Promise<void> {
    for (const host of HOSTS) {
      await until(`nothing runs on ${host}`, () => isEmptied(spaceOf(host)));
    }
    for (const name of [...HOSTS, "switch"]) {
      await run("ip", ["netns", "delete", spaceOf(name)]).catch(() => undefined);
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) [ZX] /.test(stat);
}

async function pidsIn(space: string): Promise<number[]> {
  const listed = await run("ip", ["netns", "pids", space]).catch(() => ({ stdout: "" }));
  return listed.stdout.split("\n").flatMap((line) => (line === "" ? [] : [Number(line)]));
}

async function isEmptied(space: string): Promise<boolean> {
  const pids = await pidsIn(space);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended in between.
    }
  }
  return pids.length === 0;
}

function spaceOf(name: string): string {
  return `twine-${process.pid}-${name}`;
}

function addressOf(host: CutHost): string {
  return `${SUBNET}.${host.slice(1)}`;
}
