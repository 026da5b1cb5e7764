// outputs.ts: the outputs of a cluster. Pure except for Pulumi's secret values.
import * as pulumi from "@pulumi/pulumi";
import { addressOf, type ClusterConfig, type NodeKind } from "../../runtime/core/cluster.ts";
import { byName } from "../../runtime/core/natural-order.ts";
import type { Plan } from "../plan/plan.ts";
import type { ClusterNodeComponent } from "./node.ts";
import type { PublishedPort } from "./published-ports.ts";
import type { DockerSettings } from "./settings.ts";

export interface NodeOutput {
  readonly name: string;
  readonly kind: NodeKind;
  readonly host: string;
  readonly port: number;
  readonly container: string;
}

export interface KeptVolume {
  readonly host: string;
  readonly volume: string;
}

/** For a StackReference: everything that a client needs. */
export interface Connection {
  readonly cluster: string;
  readonly routers: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
  }[];
  /** Whether the routers speak TLS. */
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
}

export interface ClusterOutputs {
  /** redis:// URLs, rediss:// with a tls-cert; secret when they contain a password. */
  readonly routerUrls: pulumi.Output<readonly string[]>;
  /** http:// URLs of the monitors: /healthz, /status.json. None with `failover sentinel`. */
  readonly monitorUrls: pulumi.Output<readonly string[]>;
  readonly nodes: pulumi.Output<readonly NodeOutput[]>;
  /** Digest of the deployed twine.conf, the same as in the view. */
  readonly confHash: pulumi.Output<string>;
  /** The volumes that remain after `pulumi destroy`, in natural order. */
  readonly keptVolumes: pulumi.Output<readonly KeptVolume[]>;
  readonly connection: pulumi.Output<Connection>;
}

interface OutputsInput {
  readonly config: ClusterConfig;
  readonly plan: Plan;
  readonly settings: DockerSettings;
  readonly password: pulumi.Output<string> | undefined;
  readonly ports: ReadonlyMap<string, readonly PublishedPort[]>;
  readonly nodes: ReadonlyMap<string, ClusterNodeComponent>;
  readonly stackName: string;
}

interface Place {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export function outputsOf(input: OutputsInput): ClusterOutputs {
  const { plan, password } = input;
  const { tlsCert, router, failover } = input.config.settings;
  const tls = tlsCert !== undefined;
  // twemproxy has no users: the password alone is sent.
  const user = router === "twemproxy" ? "" : "app";
  const routers = placesOf(input, "router", "router");
  const passwordOrNone = password ?? pulumi.output<string | undefined>(undefined);
  return {
    routerUrls: passwordOrNone.apply((secret) =>
      routers.map((place) => redisUrl(place, tls, user, secret)),
    ),
    monitorUrls: pulumi.output(
      // A Sentinel has no HTTP port.
      (failover === "sentinel" ? [] : placesOf(input, "monitor", "http")).map(
        ({ host, port }) => `http://${bracketed(host)}:${port}`,
      ),
    ),
    nodes: pulumi.output(nodesOf(input)),
    confHash: pulumi.output(plan.confDigest),
    keptVolumes: pulumi.output(keptVolumesOf(input)),
    connection: passwordOrNone.apply((secret) => ({
      cluster: plan.cluster,
      routers,
      tls,
      username: secret === undefined || user === "" ? null : user,
      password: secret ?? null,
    })),
  };
}

/** Where nodes of a kind are reached from outside: on their hosts, or at the ports that the engine publishes. */
function placesOf(
  { config, settings, ports }: OutputsInput,
  kind: "router" | "monitor",
  purpose: "router" | "http",
): Place[] {
  const nodes = byName(config.nodes.filter((node) => node.kind === kind));
  if (settings.engine === undefined) {
    return nodes.map(({ name, host, port }) => {
      const address = settings.hosts?.get(host)?.address ?? addressOf(host);
      return { name, host: address, port };
    });
  }
  const published = [...ports.values()].flat();
  return nodes.flatMap(({ name }) =>
    published
      .filter((port) => port.node === name && port.purpose === purpose)
      .map(({ address, external }) => ({ name, host: address, port: external })),
  );
}

function nodesOf({ config, stackName }: OutputsInput): NodeOutput[] {
  return byName(config.nodes).map(({ name, kind, host, port }) => ({
    name,
    kind,
    host,
    port,
    container: `${stackName}-${name}`,
  }));
}

function keptVolumesOf({ settings, config, nodes }: OutputsInput): KeptVolume[] {
  if (!settings.protectData) return [];
  return byName(config.nodes).flatMap(({ name, host }) => {
    const volume = nodes.get(name)?.volumeName;
    return volume === undefined ? [] : [{ host, volume }];
  });
}

function redisUrl(
  { host, port }: Place,
  tls: boolean,
  user: string,
  password: string | undefined,
): string {
  const who = password === undefined ? "" : `${user}:${encodeURIComponent(password)}@`;
  return `${tls ? "rediss" : "redis"}://${who}${bracketed(host)}:${port}`;
}

/** IPv6 in a URL. */
function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
