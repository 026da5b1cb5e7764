// docker-engines.ts: real Docker engines for tests, each in a network namespace of its own, so that nothing of the
// machine's own network, iptables or engine is touched.
//
//   namespace switch:  bridge 10.213.0.254/24
//                        |          |          |
//   namespaces:        db1 .1     db2 .2     db3 .3      one dockerd each: host networking, no bridge, no iptables
//   namespace pods:    alone, one dockerd with bridge networks and published ports
//
// Each dockerd also has a mount namespace of its own: its /etc/hosts names the hosts, and all that it mounted is gone
// when it ends. Everything carries the pid of the test process, so that runs don't meet; what a killed run left behind
// is swept by the next (engine-sweep.ts). Needs root, dockerd, ip, nsenter, unshare; iptables for the pods' engine.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { CONTAINER_GROUP, shareProcessors } from "./container-shares.ts";
import { claimFolder, killProcesses, removeRun, spaceOf, sweepLeftOvers } from "./engine-sweep.ts";
import { until } from "./redis-server.ts";

const run = promisify(execFile);

const SUBNET = "10.213.0";
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 30_000;

export interface EngineHost {
  readonly name: string;
  /** Its address among the hosts; 127.0.0.1 for the pods' engine, which is alone. */
  readonly address: string;
  /** For docker.Provider: unix://… */
  readonly endpoint: string;
  readonly docker: Docker;
  /** Runs a program in the host's network, e.g. redis-cli against a published port. Answers its stdout. */
  run(program: string, ...args: string[]): Promise<string>;
  /** Begins a program in the host's network; it ends with the host at the latest. */
  begin(program: string, ...args: string[]): ChildProcess;
  /** Ends the engine and all of its containers at once, as a power cut would; `start` brings it back. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface EngineFleet {
  readonly folder: string;
  host(name: string): EngineHost;
  /** Ends the engines by pid and removes namespaces and folders. */
  stop(): Promise<void>;
}

/** Per host: more options of dockerd, for its address and folder. */
export type EngineDoors = Readonly<
  Record<string, (folder: string, address: string) => Promise<readonly string[]>>
>;

/** Starts one engine per host and joins their networks; `pods` alone has bridge networks. */
export async function startEngines(
  names: readonly string[],
  doors: EngineDoors = {},
): Promise<EngineFleet> {
  await sweepLeftOvers();
  // What an earlier fleet of this same process left, when it could not be stopped.
  await removeRun(process.pid);
  await shareProcessors();
  const folder = await claimFolder();
  const hosts = new Map<string, Host>();
  const stop = async (): Promise<void> => {
    await Promise.all([...hosts.values()].map((host) => host.stop()));
    await removeRun(process.pid);
  };
  try {
    const networked = names.filter((name) => name !== "pods");
    const addresses = new Map(networked.map((name, index) => [name, `${SUBNET}.${index + 1}`]));
    if (networked.length > 0) await addSwitch();
    for (const name of names) {
      await run("ip", ["netns", "add", spaceOf(name)]);
      await inSpace(name, "ip", "link", "set", "lo", "up");
      const address = addresses.get(name);
      if (address !== undefined) await joinSwitch(name, address);
      const at = address ?? "127.0.0.1";
      const options = (await doors[name]?.(folder, at)) ?? [];
      hosts.set(name, new Host(name, at, join(folder, name), addresses, options));
    }
    await Promise.all([...hosts.values()].map((host) => host.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    folder,
    stop,
    host: (name) => {
      const host = hosts.get(name);
      if (host === undefined) throw new Error(`no engine named ${name}`);
      return host;
    },
  };
}

async function inSpace(name: string, ...command: string[]): Promise<string> {
  const enter = `--net=/run/netns/${spaceOf(name)}`;
  return (await run("nsenter", [enter, "--", ...command], { maxBuffer: 16 * 1024 * 1024 })).stdout;
}

async function addSwitch(): Promise<void> {
  await run("ip", ["netns", "add", spaceOf("switch")]);
  await inSpace("switch", "ip", "link", "add", "br0", "type", "bridge");
  await inSpace("switch", "ip", "address", "add", `${SUBNET}.254/24`, "dev", "br0");
  await inSpace("switch", "ip", "link", "set", "br0", "up");
}

/** A veth pair: eth0 in the host's namespace, the other end in the switch's bridge. */
async function joinSwitch(name: string, address: string): Promise<void> {
  const port = ["type", "veth", "peer", "name", name, "netns", spaceOf("switch")];
  await inSpace(name, "ip", "link", "add", "eth0", ...port);
  await inSpace("switch", "ip", "link", "set", name, "master", "br0", "up");
  await inSpace(name, "ip", "address", "add", `${address}/24`, "dev", "eth0");
  await inSpace(name, "ip", "link", "set", "eth0", "up");
}

class Host implements EngineHost {
  readonly name: string;
  readonly address: string;
  readonly endpoint: string;
  readonly docker: Docker;
  readonly #folder: string;
  readonly #addresses: ReadonlyMap<string, string>;
  readonly #options: readonly string[];
  #child: ChildProcess | undefined;

  constructor(
    name: string,
    address: string,
    folder: string,
    addresses: ReadonlyMap<string, string>,
    options: readonly string[],
  ) {
    this.name = name;
    this.address = address;
    this.#folder = folder;
    this.#addresses = addresses;
    this.#options = options;
    const socketPath = join(folder, "docker.sock");
    this.endpoint = `unix://${socketPath}`;
    this.docker = new Docker({ socketPath });
  }

  run(program: string, ...args: string[]): Promise<string> {
    return inSpace(this.name, program, ...args);
  }

  begin(program: string, ...args: string[]): ChildProcess {
    const enter = [`--net=/run/netns/${spaceOf(this.name)}`, "--", program];
    return spawn("nsenter", [...enter, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const names = [...this.#addresses].map(([name, address]) => `${address} ${name}`);
    const hostsFile = join(this.#folder, "hosts");
    await writeFile(hostsFile, ["127.0.0.1 localhost", ...names, ""].join("\n"));
    await writeFile(join(this.#folder, "resolv.conf"), "");
    const log = openSync(join(this.#folder, "dockerd.log"), "a");
    const enter = [`--net=/run/netns/${spaceOf(this.name)}`, "--", "unshare", "--mount"];
    // Every step replaces itself by the next, so that the pid of this child is dockerd's.
    const child = spawn("nsenter", [...enter, "sh", "-c", this.#script()], {
      stdio: ["ignore", log, log],
      detached: true,
    });
    this.#child = child;
    const within = START_WITHIN_MS;
    await until(`the engine ${this.name} answers`, () => this.#answers(child), within);
  }

  #script(): string {
    const isPods = this.name === "pods";
    const own = (file: string): string => join(this.#folder, file);
    const options = [
      `--data-root ${own("data")} --exec-root ${own("exec")} --pidfile ${own("docker.pid")}`,
      `-H ${this.endpoint} --exec-opt native.cgroupdriver=cgroupfs`,
      `--cgroup-parent ${CONTAINER_GROUP}`,
      ...this.#options,
      isPods ? "" : "--bridge none --iptables=false --ip-forward=false",
    ];
    return [
      "set -e",
      // On a real host these lie in memory: after a power cut nothing says which process once was its containerd.
      `rm -rf ${own("docker.pid")} ${own("docker.sock")} ${own("exec")}`,
      // A private /run/containerd: the engine starts a containerd of its own and finds no other's.
      "mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd",
      `mount --bind ${own("hosts")} /etc/hosts`,
      `mount --bind ${own("resolv.conf")} "$(readlink -f /etc/resolv.conf)"`,
      `exec dockerd ${options.join(" ")}`,
    ].join("\n");
  }

  async #answers(child: ChildProcess): Promise<boolean> {
    if (child.exitCode !== null) {
      const log = readFileSync(join(this.#folder, "dockerd.log"), "utf8");
      throw new Error(`the engine ${this.name} ended:\n${log.slice(-2000)}`);
    }
    try {
      await this.docker.ping();
      return true;
    } catch {
      return false;
    }
  }

  async kill(): Promise<void> {
    const ended = this.#ended();
    this.#child?.kill("SIGKILL");
    await ended;
    await killProcesses(spaceOf(this.name), this.#folder);
  }

  async stop(): Promise<void> {
    if (this.#child !== undefined && this.#child.exitCode === null) {
      await this.#removeContainers();
      const ended = this.#ended();
      this.#child.kill("SIGTERM");
      const late = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_WITHIN_MS);
      await ended;
      clearTimeout(late);
    }
    await killProcesses(spaceOf(this.name), this.#folder);
  }

  /** An engine that ends stops its containers one grace after the other; without any it ends at once. */
  async #removeContainers(): Promise<void> {
    try {
      const containers = await this.docker.listContainers({ all: true });
      await Promise.all(
        containers.map((one) => this.docker.getContainer(one.Id).remove({ force: true, v: true })),
      );
    } catch {
      // The engine may be broken, which is why it is being stopped; its processes are ended all the same.
    }
  }

  #ended(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return Promise.resolve();
    }
    return new Promise((resolve) =>
      child.once("exit", () => {
        resolve();
      }),
    );
  }
}
