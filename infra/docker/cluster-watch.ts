// cluster-watch.ts: records the resources of one cluster for its hooks. It is filled while the resources are created, and
// read when an engine is about to be used (engine-guard.ts) or a resource can't be created (failure-hook.ts).
import type * as pulumi from "@pulumi/pulumi";
import { assert } from "../../runtime/core/errors.ts";
import type { Plan } from "../plan/plan.ts";
import { engineGuard, warnIfDead, type GuardedEngine } from "./engine-guard.ts";
import { LOCAL_ENGINE, type EndpointArgs } from "./endpoints.ts";
import { enginePlatform } from "./engine-platform.ts";
import { failureHook, hasHooks, watchKey, type Watched } from "./failure-hook.ts";
import type { Place } from "./failure-remedy.ts";
import type { ClusterHooks } from "./host.ts";
import type { RuntimeSource } from "./images.ts";
import { warnOfTakenPorts } from "./port-check.ts";
import type { PublishedPort } from "./published-ports.ts";
import { EXAMPLES, type DockerSettings } from "./settings.ts";

export class ClusterWatch {
  /** Empty in Pulumi's own test mode. */
  readonly hooks: ClusterHooks;
  readonly #plan: Plan;
  readonly #settings: DockerSettings;
  readonly #stackName: string;
  readonly #watched = new Map<string, Watched>();
  readonly #engines = new Map<string, GuardedEngine>();
  readonly #hasHooks = hasHooks();

  /** `stackName`: prefix of the containers' names: <stackName>-<node>. */
  constructor(plan: Plan, settings: DockerSettings, stackName: string) {
    this.#plan = plan;
    this.#settings = settings;
    this.#stackName = stackName;
    this.hooks = this.#hasHooks
      ? {
          engine: engineGuard(plan.cluster, this.#engines),
          failure: { onError: [failureHook(plan.cluster, this.#watched)] },
        }
      : { engine: {}, failure: {} };
  }

  /** The engine of a host, or of all; `resource` is its provider's name. Call it before the provider is created. */
  engine(resource: string, host?: string): void {
    const hosts = this.#plan.hosts.filter(({ name }) => host === undefined || name === host);
    const services = hosts.flatMap(({ services }) => services.map(({ name }) => name));
    const path = host === undefined ? "twine:engine" : `twine:hosts["${host}"]`;
    const { engine, protectData } = this.#settings;
    // An endpoint with access settings is an object; its address is one level deeper.
    const isBare = host === undefined || Object.keys(this.#endpointOf(host)).length === 1;
    const command = `pulumi config set --path '${path}${isBare ? "" : ".docker"}'`;
    this.#engines.set(resource, {
      host,
      key: path,
      command: engine === undefined ? command : "pulumi config set twine:engine",
      example: host === undefined ? LOCAL_ENGINE : `ssh://root@${host}`,
      endpoint: this.#endpointOf(host ?? ""),
      cluster: this.#plan.cluster,
      names: new Set(services.map((name) => `${this.#stackName}-${name}`)),
      isProtected: protectData,
    });
  }

  /** Also warns when an unchanged engine does not answer. */
  provider(resource: string, provider: pulumi.ProviderResource): void {
    const engine = this.#engines.get(resource);
    assert(engine !== undefined, `the engine of ${resource} is known before its provider`);
    if (this.#hasHooks) warnIfDead(engine, provider);
  }

  /** The platform that images are built for: twine:platform, else that of the engine itself. */
  platform(resource: string): pulumi.Input<string | undefined> {
    const engine = this.#engines.get(resource);
    assert(engine !== undefined, `the engine of ${resource} is known before its images`);
    const { platform } = this.#settings;
    if (platform !== undefined || !this.#hasHooks) return platform;
    return enginePlatform(engine.endpoint);
  }

  /** The images of one place, with the names that images.ts gives them. */
  images(place: string, host: string, runtime: RuntimeSource, component: pulumi.Resource): void {
    const { redisImage, nutcrackerImage, platform } = this.#settings;
    const redis = { key: "twine:redisImage", example: EXAMPLES.redisImage };
    const ours = { key: "twine:runtimeImage", example: EXAMPLES.runtimeImage };
    const isBuilt = typeof runtime !== "string";
    const tag = isBuilt ? runtime.tag : runtime;
    this.#watched
      .set(watchKey("image", `${place}-redis`), {
        kind: "image",
        what: `${redis.key} ${redisImage}`,
        setting: redis,
        host,
        component,
      })
      .set(watchKey("image", `${place}-runtime`), {
        kind: "image",
        what: `${ours.key} ${tag}`,
        setting: ours,
        host,
        component,
      })
      .set(watchKey("build", `${place}-runtime-build`), {
        kind: "build",
        what: `the runtime's image ${tag}`,
        setting: ours,
        host,
        component,
        platform,
      })
      .set(watchKey("build", `${place}-monitor-build`), {
        kind: "build",
        what: `the monitors' image, of twine-runtime and ${redisImage}`,
        setting: ours,
        host,
        component,
        platform,
      })
      .set(watchKey("build", `${place}-twemproxy-build`), {
        kind: "build",
        what: `the routers' image, of twine-runtime and ${nutcrackerImage ?? "Debian's nutcracker"}`,
        setting: { key: "twine:nutcrackerImage", example: EXAMPLES.nutcrackerImage },
        host,
        component,
        platform,
      });
  }

  network(resource: string, name: string, component: pulumi.Resource): void {
    const what = `the pods' network ${name}`;
    const host = "the engine";
    this.#watched.set(watchKey("network", resource), {
      kind: "network",
      what,
      setting: undefined,
      host,
      component,
    });
  }

  /** A node's or pod's container, and its volume if it has one. */
  container(
    resource: string,
    place: Omit<Place, "cluster">,
    component: pulumi.Resource,
    volume?: pulumi.Resource,
  ): void {
    const { host, container } = place;
    const { cluster } = this.#plan;
    const isProtected = this.#settings.protectData;
    const endpoint = this.#endpointOf(host);
    const one = { ...place, cluster, endpoint, component, volume, isProtected };
    this.#watched.set(watchKey("container", resource), one);
    if (volume === undefined) return;
    const what = `the volume ${container}`;
    this.#watched.set(watchKey("volume", resource), {
      kind: "volume",
      what,
      setting: undefined,
      host,
      component,
    });
  }

  /** Warns when other programs have a pod's ports. */
  ports(host: string, ports: readonly PublishedPort[], pod: pulumi.Resource): void {
    if (this.#hasHooks) warnOfTakenPorts(this.#endpointOf(host), ports, pod);
  }

  #endpointOf(host: string): EndpointArgs {
    const endpoint = this.#settings.engine ?? this.#settings.hosts?.get(host);
    assert(endpoint !== undefined, `the host ${host} has a checked endpoint`);
    return endpoint;
  }
}
