// The stack of examples/twemproxy-sentinel.conf in containers of a real Docker engine. A master is killed, Sentinel fails
// over, nutcracker follows, and twine-check misses no item.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { NUTCRACKER_IMAGE, importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";
import { expectNothingLeft, openShipped, redis, unfitContainers } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import type { StackConfig, StackRunner } from "./stack-runner.ts";

const WITHIN_MS = 120_000;

const ONE_HOST = `a1=data 0 db1 6666 0
a2=data 0 db1 6667 0
a3=data 0 db1 6668 0
b1=data 1 db1 7666 0
b2=data 1 db1 7667 0
b3=data 1 db1 7668 0
sentinel=monitor db1 26379
nutcracker=router db1 6379 22222
router twemproxy
failover sentinel
hash twemproxy-fnv1a_64
down-after 5s
redis appendonly yes
`;

describe.skipIf(isMissingForPulumi())("twemproxy and Sentinel in containers", () => {
  let fleet: EngineFleet;
  const opened: StackRunner[] = [];

  beforeAll(async () => {
    fleet = await startEngines(["pods"]);
    await importBaseImages([fleet.host("pods")], fleet.folder);
  });

  afterEach(async () => {
    for (const runner of opened.splice(0)) await runner.destroy();
  });

  afterAll(async () => {
    await fleet.stop();
  });

  async function open(name: string, text: string, config: StackConfig): Promise<StackRunner> {
    const conf = confFile(name);
    await writeFile(conf, text);
    const runner = await openShipped(fleet, name, {
      "twine:conf": { value: conf },
      "twine:nutcrackerImage": { value: NUTCRACKER_IMAGE },
      ...config,
    });
    opened.push(runner);
    return runner;
  }

  function confFile(name: string): string {
    return join(fleet.folder, `${name}.conf`);
  }

  test("as a pod: a killed master comes back as a replica, and a change hands masters over", async () => {
    const pods = fleet.host("pods");
    const runner = await open("shards", ONE_HOST, { "twine:engine": { value: pods.endpoint } });
    await runner.up();
    const stack = new Stack(pods, confFile("shards"), "shards");
    await stack.untilOk();
    expect(await runner.up()).toEqual({});
    expect(await stack.tool("infra/bin/twine-check.ts", "--load")).toBe("Data loaded\n");

    // Docker starts it again at once; it waits for Sentinel instead of serving what it had saved.
    const first = await stack.firstMaster();
    await stack.killServer(first);
    const isOther = async (): Promise<boolean> => {
      const [now = null] = await stack.masters();
      return now !== null && now !== first;
    };
    await until("another is master", isOther, WITHIN_MS);
    await stack.untilOk();
    expect(await stack.firstMaster()).not.toBe(first);
    await stack.expectAllItems();
    expect(await redis(runner, pods, "SET", "foo", "bar")).toBe("OK");

    // Scripts and files of every container contain it, so all are replaced.
    await writeFile(stack.conf, ONE_HOST.replace("down-after 5s", "down-after 6s"));
    await runner.up();
    await stack.untilOk();
    await stack.expectAllItems();
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});

    expect(await unfitContainers(pods)).toEqual([]);
    await runner.destroy();
    await expectNothingLeft(pods);
  });
});

interface StatusJson {
  readonly state: string;
  readonly partitions: readonly { readonly master: string | null }[];
}

/** What Twine's own tools say of the stack, asked in the network of its pod. */
class Stack {
  readonly conf: string;
  readonly #host: EngineHost;
  readonly #name: string;

  constructor(host: EngineHost, conf: string, name: string) {
    this.#host = host;
    this.conf = conf;
    this.#name = name;
  }

  async tool(bin: string, ...args: string[]): Promise<string> {
    const target = String(await this.#pidOf(`${this.#name}-db1`));
    const words = [process.execPath, join(ROOT, bin), ...args, "--conf", this.conf];
    const hosts = join(this.conf, "..", "hosts");
    await writeFile(hosts, "127.0.0.1 localhost db1\n");
    // As on a machine that knows the host by name.
    const named = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
    const enter = ["nsenter", "--target", target, "--net"];
    return this.#host.run("unshare", "--mount", "sh", "-c", named, "sh", ...enter, ...words);
  }

  async #pidOf(container: string): Promise<number> {
    return (await this.#host.docker.getContainer(container).inspect()).State.Pid;
  }

  async status(): Promise<StatusJson> {
    // It ends with another code when the state is not OK.
    const bin = "runtime/bin/twine-status.ts";
    const text = await this.tool(bin, "json").catch(
      (error: unknown) => (error as { stdout?: string }).stdout ?? "",
    );
    return text === "" ? { state: "", partitions: [] } : (JSON.parse(text) as StatusJson);
  }

  async masters(): Promise<(string | null)[]> {
    return (await this.status()).partitions.map(({ master }) => master);
  }

  /** Of partition 0; on a busy machine a look may come too late. */
  async firstMaster(): Promise<string> {
    const seen: string[] = [];
    const isKnown = async (): Promise<boolean> => {
      const [first = null] = await this.masters();
      if (first !== null) seen.push(first);
      return first !== null;
    };
    await until("partition 0 has a master", isKnown, WITHIN_MS);
    return seen[0] ?? "";
  }

  async untilOk(): Promise<void> {
    await until("the stack is OK", async () => (await this.status()).state === "OK", WITHIN_MS);
  }

  async expectAllItems(): Promise<void> {
    const said = await this.tool("infra/bin/twine-check.ts", "--verify");
    expect(said).toBe("Redis OK (1000 items all existed)\n");
  }

  /** kill -9 of the redis-server in a node's container, as the kernel does it when memory is short. */
  async killServer(node: string): Promise<void> {
    const name = `${this.#name}-${node}`;
    const found: unknown = await this.#host.docker.getContainer(name).top();
    const { Processes: processes } = found as { readonly Processes: readonly string[][] };
    const [server] = processes.filter((words) => {
      const text = words.join(" ");
      return text.includes("redis-server") && !text.includes("entrypoint");
    });
    process.kill(Number(server?.[1]), "SIGKILL");
  }
}
