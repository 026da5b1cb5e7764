// node.ts: the nodes of twine.conf as components, one class per kind, each with its container and, if it stores data, its
// volume. A volume's only input is its name, which never changes, so the data stays whatever happens to the container.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { NodeKind } from "../../runtime/core/cluster.ts";
import { containerArgs, uploadsOf, type ContainerInput } from "./container-args.ts";
import type { EndpointArgs } from "./endpoints.ts";
import { applied, filesAndLabels, isLive, type LiveService } from "./live/live-cluster.ts";

export interface NodeArgs {
  readonly container: ContainerInput;
  readonly provider: docker.Provider;
  readonly endpoint: EndpointArgs;
  /** The nodes that must be ready first. */
  readonly after: readonly ClusterNodeComponent[];
  readonly protectData: boolean;
  /** Do not wait for it, and do not check its health once it exists. */
  readonly isAtOnce: boolean;
  /** Resolves when the change may be made. */
  readonly gate: Promise<void>;
  /** Report why the container or its volume could not be created. */
  readonly hooks: pulumi.ResourceHookBinding;
}

/**
 * In addition to the properties for which the provider itself replaces a container: it would report the first three as
 * updated and not change them. The last one is the engine's own mark (initErrorSpecialKey, pulumi/pulumi
 * pkg/resource/deploy/step_generator.go) of a container that was created and never became healthy. Otherwise the next `up`
 * would report it as updated, without checking its health, and continue with the partition's next node.
 */
export const ALSO_REPLACED_BY: readonly string[] = ["healthcheck", "tmpfs", "init", "#initerror"];

/** Shared by all kinds; the kind is in the type's name. */
export class ClusterNodeComponent extends pulumi.ComponentResource {
  readonly container: docker.Container;
  readonly volume: docker.Volume | undefined;
  readonly volumeName: string | undefined;
  /** Resolves when the container is healthy and uses the files of this twine.conf; immediately in a preview. */
  readonly ready: Promise<void>;
  readonly live: LiveService;

  constructor(
    type: string,
    name: string,
    { container, provider, endpoint, after, protectData, gate, hooks, isAtOnce }: NodeArgs,
    options: pulumi.ComponentResourceOptions,
  ) {
    super(type, name, {}, options);
    const resourceOptions = { parent: this, provider };
    const { service, password } = container;
    const uploads = uploadsOf(container);
    this.live = { resource: name, service, endpoint, uploads, password };
    const rest = containerArgs(container);
    const wait = isAtOnce ? { wait: false } : {};
    const args = { ...rest, ...filesAndLabels(this.live, rest), ...wait };
    this.volumeName = args.volumes === undefined ? undefined : container.name;
    this.volume =
      this.volumeName === undefined
        ? undefined
        : new docker.Volume(
            name,
            { name: this.volumeName },
            {
              ...resourceOptions,
              ...{ protect: protectData, retainOnDelete: protectData, hooks },
              ...(isLive() ? { dependsOn: dependenciesOf(undefined, [], gate) } : {}),
            },
          );
    this.container = new docker.Container(name, args, {
      ...resourceOptions,
      dependsOn: dependenciesOf(this.volume, after, gate),
      replaceOnChanges: [...ALSO_REPLACED_BY],
      hooks,
    });
    this.ready = isAtOnce ? Promise.resolve() : applied(this.live, this.container, this);
    // The code that waits for it reports the error; there may be none.
    this.ready.catch(() => undefined);
    this.registerOutputs({ containerName: container.name, volumeName: this.volumeName });
  }
}

/** Not before the previous nodes are ready: a dependency on containers alone would not wait for changes of running ones. */
function dependenciesOf(
  volume: docker.Volume | undefined,
  after: readonly ClusterNodeComponent[],
  gate: Promise<void>,
): pulumi.Input<pulumi.Resource[]> {
  const resources = [
    ...(volume === undefined ? [] : [volume]),
    ...after.map(({ container }) => container),
  ];
  if (!isLive()) return resources;
  const waited = Promise.all([gate, ...after.map(({ ready }) => ready)]);
  return pulumi.output(waited.then(() => 0)).apply(() => resources);
}

/** A redis-server that holds a partition's keys. */
export class DataNode extends ClusterNodeComponent {
  constructor(name: string, args: NodeArgs, options: pulumi.ComponentResourceOptions) {
    super("twine:docker:DataNode", name, args, options);
  }
}

/** A redis-server that holds the status register. */
export class StatusNode extends ClusterNodeComponent {
  constructor(name: string, args: NodeArgs, options: pulumi.ComponentResourceOptions) {
    super("twine:docker:StatusNode", name, args, options);
  }
}

/** A twined. */
export class Monitor extends ClusterNodeComponent {
  constructor(name: string, args: NodeArgs, options: pulumi.ComponentResourceOptions) {
    super("twine:docker:Monitor", name, args, options);
  }
}

/** A twine-router. */
export class Router extends ClusterNodeComponent {
  constructor(name: string, args: NodeArgs, options: pulumi.ComponentResourceOptions) {
    super("twine:docker:Router", name, args, options);
  }
}

/** The component of each kind. */
export const NODE_COMPONENTS: Readonly<
  Record<
    NodeKind,
    new (
      name: string,
      args: NodeArgs,
      options: pulumi.ComponentResourceOptions,
    ) => ClusterNodeComponent
  >
> = { data: DataNode, status: StatusNode, monitor: Monitor, router: Router };
