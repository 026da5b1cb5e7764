// images.ts: the two images of a cluster on one engine, each pinned by its id: a tag that moves on changes nothing
// until the next `up` that is told to, and a running cluster never mixes two builds of one name.
// Both stay on the engine when the stack goes: others may use them.
import * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import type { ImageContext } from "./image-context.ts";

export interface Images {
  /** sha256:... */
  readonly redis: pulumi.Output<string>;
  readonly runtime: pulumi.Output<string>;
}

/** Either an image's name, or what to build one from. */
export type RuntimeSource = string | ImageContext;

/** The images on one engine. `place` tells them apart when there are several engines. */
export function engineImages(
  place: string,
  redisImage: string,
  runtime: RuntimeSource,
  options: pulumi.CustomResourceOptions,
): Images {
  const redis = new docker.RemoteImage(
    `${place}-redis`,
    { name: redisImage, keepLocally: true },
    options,
  );
  return { redis: redis.imageId, runtime: runtimeImage(place, runtime, options).imageId };
}

function runtimeImage(
  place: string,
  source: RuntimeSource,
  options: pulumi.CustomResourceOptions,
): docker.RemoteImage {
  if (typeof source === "string") {
    return new docker.RemoteImage(`${place}-runtime`, { name: source, keepLocally: true }, options);
  }
  const built = new docker.Image(
    `${place}-runtime-build`,
    {
      imageName: source.tag,
      build: { context: source.folder, dockerfile: `${source.folder}/Dockerfile` },
      skipPush: true,
    },
    options,
  );
  // The tag is a hash of the content, so it is a text that is known beforehand and the build comes first by order only.
  return new docker.RemoteImage(
    `${place}-runtime`,
    { name: source.tag, keepLocally: true },
    { ...options, dependsOn: [built] },
  );
}
