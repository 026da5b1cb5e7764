// router-process.ts: twine-router as a process of its own, over a published cluster (published-cluster.ts).
import { readFile } from "node:fs/promises";
import { onTestFinished } from "vitest";
import { PublishedCluster, type PublishedOptions } from "./published-cluster.ts";
import { freePort } from "./port-claims.ts";
import { until } from "./redis-server.ts";
import { RawClient } from "./router-cluster.ts";
import { TwineProcess } from "./twine-process.ts";

/** A busy machine takes its time to start the processes of several workers. */
const START_MS = 60_000;

export interface RouterProcessOptions extends PublishedOptions {
  /** The router's ulimit -n. */
  readonly openFilesMax?: number;
}

export class RouterProcess extends TwineProcess {
  readonly cluster: PublishedCluster;
  readonly port: number;
  readonly statsPort: number;

  private constructor(
    cluster: PublishedCluster,
    ports: readonly [number, number],
    openFilesMax?: number,
  ) {
    super("twine-router", "r1", cluster.confFile, openFilesMax);
    this.cluster = cluster;
    [this.port, this.statsPort] = ports;
    onTestFinished(async () => {
      this.signal("SIGCONT");
      await this.end("SIGTERM");
    });
  }

  /** Starts a cluster and a router of it. Does not wait for the router. */
  static async launch(options: RouterProcessOptions = {}): Promise<RouterProcess> {
    const ports = [await freePort(), await freePort()] as const;
    const line = `r1=router localhost ${ports.join(" ")}`;
    const settings = [...(options.settings ?? []), line];
    const cluster = await PublishedCluster.start({ ...options, settings });
    return new RouterProcess(cluster, ports, options.openFilesMax);
  }

  /** Another router of the same twine.conf, on the same port. */
  twin(): RouterProcess {
    return new RouterProcess(this.cluster, [this.port, this.statsPort]);
  }

  static async start(options: RouterProcessOptions = {}): Promise<RouterProcess> {
    const router = await RouterProcess.launch(options);
    await until("the router is started", () => router.says("started"), START_MS);
    return router;
  }

  client(): Promise<RawClient> {
    return RawClient.open(this.port);
  }

  fetch(path: string, method = "GET"): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.statsPort}${path}`, { method });
  }

  /** The processes of the workers. Linux alone tells. */
  async workers(): Promise<number[]> {
    const pid = this.child.pid ?? 0;
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  }
}
