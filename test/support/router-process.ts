// router-process.ts: twine-router as a process of its own, over a published cluster (published-cluster.ts).
import { spawn, type ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { onTestFinished } from "vitest";
import { binPath } from "../../runtime/cli/package-root.ts";
import { PublishedCluster, type PublishedOptions } from "./published-cluster.ts";
import { freePort, until } from "./redis-server.ts";
import { RawClient } from "./router-cluster.ts";

/** A busy machine takes its time to start the processes of several workers. */
const START_MS = 60_000;

export class RouterProcess {
  readonly cluster: PublishedCluster;
  readonly port: number;
  readonly statsPort: number;
  readonly child: ChildProcess;
  log = "";
  errors = "";
  readonly #ended: Promise<number | null>;

  private constructor(cluster: PublishedCluster, ports: readonly [number, number]) {
    this.cluster = cluster;
    [this.port, this.statsPort] = ports;
    const args = [binPath("twine-router", "runtime"), "r1", "--conf", cluster.confFile];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (data: Buffer) => (this.log += data.toString()));
    child.stderr.on("data", (data: Buffer) => (this.errors += data.toString()));
    this.#ended = new Promise((resolve) => {
      child.once("close", resolve);
    });
    this.child = child;
    onTestFinished(async () => {
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      await this.#ended;
    });
  }

  /** Starts a cluster and a router of it. Does not wait for the router. */
  static async launch(options: PublishedOptions = {}): Promise<RouterProcess> {
    const ports = [await freePort(), await freePort()] as const;
    const line = `r1=router localhost ${ports.join(" ")}`;
    const settings = [...(options.settings ?? []), line];
    return new RouterProcess(await PublishedCluster.start({ ...options, settings }), ports);
  }

  /** Another router of the same twine.conf, on the same port. */
  twin(): RouterProcess {
    return new RouterProcess(this.cluster, [this.port, this.statsPort]);
  }

  static async start(options: PublishedOptions = {}): Promise<RouterProcess> {
    const router = await RouterProcess.launch(options);
    await until("the router is started", () => router.says("started"), START_MS);
    return router;
  }

  says(message: string): boolean {
    return this.log.includes(`"msg":"${message}"`);
  }

  client(): Promise<RawClient> {
    return RawClient.open(this.port);
  }

  fetch(path: string, method = "GET"): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.statsPort}${path}`, { method });
  }

  /** The exit code, or null after a kill. */
  exitCode(): Promise<number | null> {
    return this.#ended;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.#ended;
  }

  /** The processes of the workers. Linux alone tells. */
  async workers(): Promise<number[]> {
    const pid = this.child.pid ?? 0;
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  }
}
