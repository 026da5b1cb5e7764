// published-ports.ts: which ports of a cluster of pods the engine publishes, and at which numbers. Pure.
// The outer port is computed from the cluster's identity and the node's name, so it is the same at every `up`, and stacks
// on one engine rarely conflict; if they do, set NODE=PORT. If two nodes of one cluster want the same port, the first one
// gets it, the other takes the next free one.
//
//   20000 ... 29999   below the ports that Linux hands out by itself (32768 and up)
import { createHash } from "node:crypto";
import type { ClusterConfig, NodeKind } from "../../runtime/core/cluster.ts";
import { byName } from "../../runtime/core/natural-order.ts";
import type { Plan, PlannedService } from "../plan/plan.ts";

const FIRST_PORT = 20_000;
const PORT_COUNT = 10_000;
const HERE = "127.0.0.1";

/** The user's setting; `named`: nodes by name, with a port and address if they were given. */
export interface Publish {
  readonly kinds: readonly NodeKind[];
  readonly named: ReadonlyMap<string, { readonly port?: number; readonly address: string }>;
}

export interface PublishedPort {
  readonly node: string;
  readonly purpose: string;
  /** The port in the pod. */
  readonly internal: number;
  /** The port on the engine's machine. */
  readonly external: number;
  readonly address: string;
}

const WORDS: Readonly<Record<string, readonly NodeKind[]>> = Object.freeze({
  routers: ["router"],
  monitors: ["monitor"],
  all: ["data", "status", "monitor", "router"],
  none: [],
});

/** Reads the entries of twine:publish; each fault is the end of a sentence. */
export function parsePublish(
  entries: readonly string[],
  config: ClusterConfig,
  hasPassword: boolean,
): { publish: Publish; faults: readonly string[] } {
  const kinds = new Set<NodeKind>();
  const named = new Map<string, { port?: number; address: string }>();
  const faults: string[] = [];
  for (const entry of entries) {
    const word = WORDS[entry];
    if (word !== undefined) {
      for (const kind of word) kinds.add(kind);
      continue;
    }
    const [, name = "", address, digits] =
      /^([A-Za-z0-9._-]+)(?:=(?:([\d.]+):)?(\d+))?$/.exec(entry) ?? [];
    const node = config.nodes.find((candidate) => candidate.name === name);
    const port = digits === undefined ? undefined : Number(digits);
    if (node === undefined) {
      faults.push(
        `${JSON.stringify(entry)} is neither routers, monitors, all, none nor NODE, NODE=PORT or NODE=ADDRESS:PORT with a node of twine.conf`,
      );
    } else if (port !== undefined && (port < 1 || port > 65_535)) {
      faults.push(`${entry}: a port is between 1 and 65535`);
    } else if (address !== undefined && !address.startsWith("127.") && !isSafe(node.kind)) {
      faults.push(`${entry}: only a router of a cluster with a password may leave 127.0.0.1`);
    } else {
      named.set(name, { ...(port === undefined ? {} : { port }), address: address ?? HERE });
    }
  }
  return { publish: { kinds: [...kinds], named }, faults: [...faults, ...doubles(named)] };

  function isSafe(kind: NodeKind): boolean {
    return hasPassword && kind === "router";
  }
}

function doubles(named: Publish["named"]): string[] {
  const ports = [...named.values()].flatMap(({ port }) => (port === undefined ? [] : [port]));
  const twice = ports.filter((port, index) => ports.indexOf(port) !== index);
  return [...new Set(twice)].map((port) => `gives port ${port} to two nodes`);
}

/** Host of twine.conf -> the published ports of its pod, in the natural order of nodes. */
export function publishedPorts(plan: Plan, publish: Publish): Map<string, PublishedPort[]> {
  const taken = new Set([...publish.named.values()].map(({ port }) => port));
  const places = byName(
    plan.hosts.flatMap((host) =>
      host.services.map((service) => ({ name: service.name, host: host.name, service })),
    ),
  );
  const byHost = new Map<string, PublishedPort[]>(plan.hosts.map(({ name }) => [name, []]));
  for (const { host, service } of places) {
    byHost.get(host)?.push(...portsOf(plan.cluster, service, publish, taken));
  }
  return byHost;
}

function portsOf(
  cluster: string,
  service: PlannedService,
  publish: Publish,
  taken: Set<number | undefined>,
): PublishedPort[] {
  const wish = publish.named.get(service.name);
  if (wish === undefined && !publish.kinds.includes(service.kind)) return [];
  return service.ports.map(({ port, purpose }, index) => {
    const asked = index === 0 ? wish?.port : undefined;
    const external = asked ?? freePort(`${cluster}/${service.name}/${purpose}`, taken);
    taken.add(external);
    return {
      node: service.name,
      purpose,
      internal: port,
      external,
      // Statistics need no password: they are not published beyond the machine, even if the router is.
      address: purpose === "stats" ? HERE : (wish?.address ?? HERE),
    };
  });
}

function freePort(identity: string, taken: ReadonlySet<number | undefined>): number {
  const start = createHash("sha256").update(identity).digest().readUInt32BE(0) % PORT_COUNT;
  const offsets = Array.from({ length: PORT_COUNT }, (_, step) => (start + step) % PORT_COUNT);
  const free = offsets.find((offset) => !taken.has(FIRST_PORT + offset)) ?? start;
  return FIRST_PORT + free;
}
