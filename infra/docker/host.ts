// host.ts: one host of twine.conf as a component: its engine, and as a pod the namespace that its containers share.
//
//   real host   provider (its own engine), images        containers use the host's network
//   pod         the cluster's engine and images          a container that sleeps holds the network namespace
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { isLoopback } from "../../runtime/core/listen-addresses.ts";
import { CONTAINER_PATHS } from "../plan/container-files.ts";
import { REDIS_USER, hardening } from "./container-args.ts";
import { ALSO_REPLACED_BY } from "./node.ts";
import { engineImages, type Images, type RuntimeSource } from "./images.ts";
import type { PublishedPort } from "./published-ports.ts";
import type { EndpointArgs } from "./endpoints.ts";

export interface RealHostArgs {
  /** As twine.conf calls it. */
  readonly host: string;
  readonly endpoint: EndpointArgs;
  readonly redisImage: string;
  readonly runtime: RuntimeSource;
  readonly hooks: ClusterHooks;
}

/** What runs before a provider is used, and when one of its resources can't be made. */
export interface ClusterHooks {
  readonly engine: pulumi.ResourceHookBinding;
  readonly failure: pulumi.ResourceHookBinding;
}

export interface PodArgs {
  readonly host: string;
  /** <stack>-<host> */
  readonly podName: string;
  readonly provider: docker.Provider;
  readonly images: Images;
  readonly network: docker.Network;
  readonly networkName: string;
  readonly ports: readonly PublishedPort[];
  readonly labels: Readonly<Record<string, string>>;
  readonly hooks: ClusterHooks;
}

const POD_MEMORY_BYTES = 32 * 1024 ** 2;

/** One host: `networkMode` and `images` are what its containers need to know. */
export class Host extends pulumi.ComponentResource {
  readonly provider: docker.Provider;
  readonly images: Images;
  /** "host", or the namespace of the pod. */
  readonly networkMode: pulumi.Input<string>;

  constructor(
    name: string,
    args: RealHostArgs | PodArgs,
    options: pulumi.ComponentResourceOptions,
  ) {
    super("twine:docker:Host", name, {}, options);
    if ("endpoint" in args) {
      const { engine, failure } = args.hooks;
      this.provider = engineProvider(name, args.endpoint, { parent: this, hooks: engine });
      const its = { parent: this, provider: this.provider, hooks: failure };
      this.images = engineImages(name, args.redisImage, args.runtime, its);
      this.networkMode = "host";
    } else {
      this.provider = args.provider;
      this.images = args.images;
      const pod = new docker.Container(name, podArgs(args), {
        parent: this,
        provider: args.provider,
        dependsOn: [args.network],
        replaceOnChanges: [...ALSO_REPLACED_BY],
        hooks: args.hooks.failure,
      });
      // By id and not by name: Docker stores the id anyway, so nothing differs after a refresh, and a new pod has a new
      // one, so those that share its namespace are replaced with it (docs/adr/0008-pods-by-id.md).
      this.networkMode = pulumi.interpolate`container:${pod.id}`;
    }
    this.registerOutputs({ host: args.host });
  }
}

/** The provider of one engine. */
export function engineProvider(
  name: string,
  endpoint: EndpointArgs,
  options: pulumi.ResourceOptions,
): docker.Provider {
  const { docker: host, sshOpts, certPath, ca, cert, key } = endpoint;
  return new docker.Provider(
    name,
    {
      host,
      ...(sshOpts === undefined ? {} : { sshOpts: [...sshOpts] }),
      ...(certPath === undefined ? {} : { certPath }),
      ...(ca === undefined ? {} : { caMaterial: ca }),
      ...(cert === undefined ? {} : { certMaterial: cert }),
      ...(key === undefined ? {} : { keyMaterial: pulumi.secret(key) }),
    },
    options,
  );
}

/** Nothing in here follows from what changes often: with the pod everything in it is replaced. */
function podArgs(args: PodArgs): docker.ContainerArgs {
  const { host, networkName, ports } = args;
  // A name that stands for a loopback address is each container's own already.
  const isNamed = !isLoopback(host);
  return {
    ...hardening(POD_MEMORY_BYTES, args.labels),
    name: args.podName,
    image: args.images.redis,
    user: REDIS_USER,
    readOnly: true,
    // The image declares /data a volume; without this every pod would leave an anonymous one on the engine.
    tmpfs: { [CONTAINER_PATHS.data]: "size=64k,mode=555" },
    entrypoints: [
      "/bin/sh",
      "-c",
      "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done",
    ],
    ...(isNamed ? { hostname: host } : {}),
    networksAdvanced: [{ name: networkName, ...(isNamed ? { aliases: [host] } : {}) }],
    ...(ports.length === 0
      ? {}
      : {
          ports: ports.map(({ internal, external, address }) => ({
            internal,
            external,
            ip: address,
            protocol: "tcp",
          })),
        }),
    healthcheck: {
      tests: ["CMD", "/bin/sh", "-c", "kill -0 1"],
      interval: "30s",
      timeout: "5s",
      startPeriod: "5s",
      retries: 3,
    },
    stopTimeout: 5,
    destroyGraceSeconds: 5,
  };
}
