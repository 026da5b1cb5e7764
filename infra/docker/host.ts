// host.ts: one host of twine.conf as a component: its engine, and as a pod the namespace that its containers share.
//
//   real host   provider (its own engine), images        containers use the host's network
//   pod         the cluster's engine and images          a sleeping container keeps the network namespace open
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { isLoopback } from "../../runtime/core/listen-addresses.ts";
import { CONTAINER_PATHS } from "../plan/container-files.ts";
import { REDIS_USER, hardening } from "./container-args.ts";
import { ALSO_REPLACED_BY } from "./node.ts";
import { lastDeployment } from "./live/last-deployment.ts";
import { isLive } from "./live/live-cluster.ts";
import { engineImages, type ImageSource, type Images } from "./images.ts";
import type { PublishedPort } from "./published-ports.ts";
import type { EndpointArgs } from "./endpoints.ts";

export interface RealHostArgs {
  /** By its name in twine.conf. */
  readonly host: string;
  readonly endpoint: EndpointArgs;
  readonly images: ImageSource;
  readonly hooks: ClusterHooks;
}

/** Hooks that run before a provider is used, and when one of its resources can't be created. */
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

/** One host: `networkMode` and `images` are used by its containers. */
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
      const resourceOptions = { parent: this, provider: this.provider, hooks: failure };
      this.images = engineImages(name, args.images, resourceOptions);
      this.networkMode = "host";
    } else {
      this.provider = args.provider;
      this.images = args.images;
      const pod = new docker.Container(name, podArgs(args, podImage(name, args.images)), {
        parent: this,
        provider: args.provider,
        dependsOn: [args.network],
        replaceOnChanges: [...ALSO_REPLACED_BY],
        hooks: args.hooks.failure,
      });
      // By id and not by name: Docker stores the id anyway, so nothing differs after a refresh, and a new pod has a new id,
      // so the containers that share its namespace are replaced with it (docs/adr/0008-pods-by-id.md).
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

/** The image that the pod already has: it only sleeps, and a new pod would replace every container of its host at once. */
function podImage(name: string, { redis }: Images): pulumi.Input<string> {
  if (!isLive()) return redis;
  const last = pulumi.output(lastDeployment().then((all) => all.imageOf(name)));
  return last.apply((image) => (image === undefined ? redis : pulumi.output(image)));
}

/** No input may change often: replacing the pod replaces everything in it. */
function podArgs(args: PodArgs, image: pulumi.Input<string>): docker.ContainerArgs {
  const { host, networkName, ports } = args;
  // A name that resolves to a loopback address is each container itself.
  const isNamed = !isLoopback(host);
  return {
    ...hardening(POD_MEMORY_BYTES, args.labels),
    name: args.podName,
    image,
    user: REDIS_USER,
    readOnly: true,
    // The image declares /data as a volume; without this every pod would leave an anonymous volume on the engine.
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
