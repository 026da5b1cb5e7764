// node.ts: the nodes of twine.conf as components, one class per kind, each with its container and, where it keeps
// something, its volume. A volume's inputs are its name alone and that never changes, so whatever becomes of the
// container, the data stays.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { NodeKind } from "../../runtime/core/cluster.ts";
import { containerArgs, type ContainerInput } from "./container-args.ts";

export interface NodeArgs {
  readonly container: ContainerInput;
  readonly provider: docker.Provider;
  /** The containers that must be healthy first. */
  readonly after: readonly docker.Container[];
  readonly protectData: boolean;
  /** Tells why the container or its volume could not be made. */
  readonly hooks: pulumi.ResourceHookBinding;
}

/**
 * Beside what the provider replaces by itself: it would report the first three as updated and leave them as they are.
 * The last is the engine's own mark (initErrorSpecialKey, pulumi/pulumi pkg/resource/deploy/step_generator.go) of a
 * container that was made and never got healthy. Otherwise the next `up` would call it updated, without a look at its
 * health, and go on to the partition's next node.
 */
export const ALSO_REPLACED_BY: readonly string[] = ["healthcheck", "tmpfs", "init", "#initerror"];

/** What all kinds share; the kind is in the type's name. */
export class ClusterNodeComponent extends pulumi.ComponentResource {
  readonly container: docker.Container;
  readonly volume: docker.Volume | undefined;
  readonly volumeName: string | undefined;

  constructor(
    type: string,
    name: string,
    { container, provider, after, protectData, hooks }: NodeArgs,
    options: pulumi.ComponentResourceOptions,
  ) {
    super(type, name, {}, options);
    const its = { parent: this, provider };
    const args = containerArgs(container);
    this.volumeName = args.volumes === undefined ? undefined : container.name;
    this.volume =
      this.volumeName === undefined
        ? undefined
        : new docker.Volume(
            name,
            { name: this.volumeName },
            { ...its, protect: protectData, retainOnDelete: protectData, hooks },
          );
    this.container = new docker.Container(name, args, {
      ...its,
      dependsOn: [...(this.volume === undefined ? [] : [this.volume]), ...after],
      replaceOnChanges: [...ALSO_REPLACED_BY],
      hooks,
    });
    this.registerOutputs({ containerName: container.name, volumeName: this.volumeName });
  }
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
