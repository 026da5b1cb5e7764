// images.ts: the images of a cluster on one engine, each pinned by its id: a tag that moves on changes nothing
// until the name or digest in the configuration changes, and a running cluster never mixes two builds of one name.
// They stay on the engine when the stack goes: others may use them.
import { createHash } from "node:crypto";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { relative, sep } from "node:path";
import { usesRedisImage, type PlannedService } from "../plan/plan.ts";
import type { ImageContext } from "./image-context.ts";

export interface Images {
  /** sha256:... */
  readonly redis: pulumi.Output<string>;
  readonly runtime: pulumi.Output<string>;
  /** The runtime's, or with backups the one that has a redis-server, too. */
  readonly monitor: pulumi.Output<string>;
  /** The runtime's, with `router twemproxy` the one that has nutcracker, too. */
  readonly router: pulumi.Output<string>;
}

/** Either an image's name, or the context to build one from. */
export type RuntimeSource = string | ImageContext;

export interface ImageSource {
  readonly redisImage: string;
  readonly runtime: RuntimeSource;
  /** twine:platform. Absent: an engine pulls images for its own platform. */
  readonly platform: string | undefined;
  /**
   * Only for an image that is built. Always set, because the docker provider would take the platform of the machine that
   * runs pulumi: from a laptop with another processor every container would fail, and two machines would change the stack
   * back and forth.
   */
  readonly buildPlatform: pulumi.Input<string | undefined>;
  /** Monitors take and restore backups, which needs a redis-server beside them. */
  readonly hasBackups: boolean;
  /** Routers are twemproxies, which need nutcracker beside them. */
  readonly hasTwemproxy: boolean;
  /** An image with nutcracker in it. Absent: Debian's package is installed while the image is built. */
  readonly nutcrackerImage: string | undefined;
}

/** The images on one engine. `place` distinguishes them when there are several engines. */
export function engineImages(
  place: string,
  source: ImageSource,
  given: pulumi.CustomResourceOptions,
): Images {
  // If the old image went first, Pulumi would first remove every container that has it, and only then begin with the chain.
  const options = { ...given, deleteBeforeReplace: false };
  const redis = remoteImage(`${place}-redis`, source.redisImage, source, options);
  const runtime = runtimeImage(place, source, options);
  const context = source.runtime;
  const monitor =
    typeof context === "string" || !source.hasBackups
      ? runtime
      : monitorImage(place, { source, context, redis }, options);
  const router =
    typeof context === "string" || !source.hasTwemproxy
      ? runtime
      : twemproxyImage(place, { source, context, redis }, options);
  return {
    ...{ redis: redis.imageId, runtime: runtime.imageId },
    ...{ monitor: monitor.imageId, router: router.imageId },
  };
}

/** The image of a node's container. */
export function imageOf(
  service: Pick<PlannedService, "kind" | "stack">,
  { redis, monitor, router }: Images,
): pulumi.Output<string> {
  if (usesRedisImage(service)) return redis;
  return service.kind === "monitor" ? monitor : router;
}

function remoteImage(
  resource: string,
  name: string,
  { platform }: ImageSource,
  options: pulumi.CustomResourceOptions,
): docker.RemoteImage {
  const args = { name, keepLocally: true, ...(platform === undefined ? {} : { platform }) };
  return new docker.RemoteImage(resource, args, options);
}

function runtimeImage(
  place: string,
  source: ImageSource,
  options: pulumi.CustomResourceOptions,
): docker.RemoteImage {
  const { runtime, buildPlatform } = source;
  if (typeof runtime === "string") {
    return remoteImage(`${place}-runtime`, runtime, source, options);
  }
  const { tag } = runtime;
  const build = { context: runtime, target: "runtime", tag, platform: buildPlatform } as const;
  const built = builtImage(`${place}-runtime`, build, options);
  return remoteImage(`${place}-runtime`, tag, source, { ...options, dependsOn: [built] });
}

interface BuiltFrom {
  readonly source: ImageSource;
  readonly context: ImageContext;
  readonly redis: docker.RemoteImage;
}

/** Of the same context; its redis-server is that of the cluster's own Redis image, which must be on the engine before. */
function monitorImage(
  place: string,
  from: BuiltFrom,
  options: pulumi.CustomResourceOptions,
): docker.RemoteImage {
  const { source, context, redis } = from;
  const { redisImage, buildPlatform: platform } = source;
  const tag = monitorTag(context, redisImage);
  const args = { REDIS_IMAGE: redisImage };
  const build = { context, target: "monitor", tag, platform, args } as const;
  const built = builtImage(`${place}-monitor`, build, { ...options, dependsOn: [redis] });
  return remoteImage(`${place}-monitor`, tag, source, { ...options, dependsOn: [built] });
}

/** e.g. twine-monitor:3f2a91c04d7e: another Twine or another name of the Redis image is another tag. */
export function monitorTag({ tag }: ImageContext, redisImage: string): string {
  const hash = createHash("sha256").update(`${tag}\0${redisImage}`).digest("hex");
  return `twine-monitor:${hash.slice(0, 12)}`;
}

/** Of the same context, with nutcracker. The only build that may need a network: for Debian's package. */
function twemproxyImage(
  place: string,
  { source, context, redis }: BuiltFrom,
  options: pulumi.CustomResourceOptions,
): docker.RemoteImage {
  const { redisImage, nutcrackerImage, buildPlatform: platform } = source;
  const tag = twemproxyTag(context, nutcrackerImage);
  // An engine without BuildKit builds every stage above the target.
  const args = {
    REDIS_IMAGE: redisImage,
    ...(nutcrackerImage === undefined ? {} : { NUTCRACKER_IMAGE: nutcrackerImage }),
  };
  const network = nutcrackerImage === undefined ? "default" : "none";
  const build = { context, target: "twemproxy", tag, platform, args, network } as const;
  const built = builtImage(`${place}-twemproxy`, build, { ...options, dependsOn: [redis] });
  return remoteImage(`${place}-twemproxy`, tag, source, { ...options, dependsOn: [built] });
}

/** e.g. twine-twemproxy:3f2a91c04d7e: another Twine or another source of nutcracker is another tag. */
export function twemproxyTag({ tag }: ImageContext, nutcrackerImage: string | undefined): string {
  const hash = createHash("sha256")
    .update(`${tag}\0${nutcrackerImage ?? ""}`)
    .digest("hex");
  return `twine-twemproxy:${hash.slice(0, 12)}`;
}

/** The tag is a hash of the content, so it is known beforehand, and the build comes first by order only. */
function builtImage(
  resource: string,
  build: {
    readonly context: ImageContext;
    readonly target: "runtime" | "monitor" | "twemproxy";
    readonly tag: string;
    readonly platform: pulumi.Input<string | undefined>;
    readonly args?: Readonly<Record<string, string>>;
    /** none unless given: what a build runs asks nobody, and there are engines whose containers reach nobody. */
    readonly network?: "none" | "default";
  },
  options: pulumi.CustomResourceOptions,
): docker.Image {
  const { tag, target, platform, args, network = "none" } = build;
  const context = fromProviderFolder(build.context.folder);
  const dockerfile = `${context}/Dockerfile`;
  const inputs = {
    ...{ context, dockerfile, target, platform, ...(args === undefined ? {} : { args }) },
    network,
  };
  return new docker.Image(
    `${resource}-build`,
    { imageName: tag, build: inputs, skipPush: true },
    options,
  );
}

/**
 * The path that the docker provider gets. An absolute path would be stored in the state, and the same stack from another
 * folder would show a change. `pulumi` starts the provider in the folder in which it runs the program, so a relative path
 * works; an inline program of the Automation API has no such folder.
 */
function fromProviderFolder(folder: string): string {
  if (pulumi.runtime.getRootDirectory() === "") return folder;
  return relative(process.cwd(), folder).replaceAll(sep, "/");
}

/** The major version in an image's tag; 7 when there is none, as in a digest. */
export function redisMajorOf(image: string): number {
  const [, major] = /(?:^|\/)redis:v?(\d+)(?:[.-]|$|@)/.exec(image) ?? [];
  return major === undefined ? 7 : Number(major);
}
