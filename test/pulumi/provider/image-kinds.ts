// image-kinds.ts: RemoteImage (an image by name, found locally or pulled) and Image (built from a Dockerfile).
//
// A local image needs no registry: the real provider looks locally first, and so does this. Images are built by the
// engine's BuildKit (build-kit.ts). As the real provider does, a build without a platform takes the architecture of the
// machine that runs pulumi, puts it into the inputs, and says so each time. Of .dockerignore only plain names at the top
// are followed.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { buffer } from "node:stream/consumers";
import type Docker from "dockerode";
import { buildWithKit } from "./build-kit.ts";
import { isGone, messageOf } from "./engine.ts";
import type { Created, ResourceKind } from "./resource-kind.ts";
import { UNKNOWN, bag, flag, text, textMap, type Bag } from "./values.ts";

/** The image's id, after a pull if this engine lacks it. @throws Error in the real provider's words. */
export async function findOrPull(docker: Docker, name: string): Promise<Docker.ImageInspectInfo> {
  const local = await inspectImage(docker, name);
  if (local !== undefined) return local;
  try {
    const stream = await docker.pull(name);
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(stream, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  } catch (cause) {
    throw new Error(
      `unable to pull image ${name}: error pulling image ${name}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  const pulled = await inspectImage(docker, name);
  if (pulled === undefined) throw new Error(`unable to find or pull image ${name}`);
  return pulled;
}

async function inspectImage(
  docker: Docker,
  name: string,
): Promise<Docker.ImageInspectInfo | undefined> {
  try {
    return await docker.getImage(name).inspect();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export const REMOTE_IMAGE: ResourceKind = {
  type: "docker:index/remoteImage:RemoteImage",
  isBridged: true,
  computed: ["imageId", "repoDigest"],
  replacing: new Set(["name", "platform", "pullTriggers", "triggers", "build"]),
  unordered: new Set(["pullTriggers"]),
  defaults: { keepLocally: false, forceRemove: false },
  deletesFirst: false,
  autonames: false,
  check: (inputs) => ({
    inputs,
    problems:
      inputs["build"] === undefined
        ? []
        : [{ property: "build", reason: "the stand-in builds through docker.Image only" }],
  }),
  async create(docker, inputs) {
    const name = text(inputs["name"]) ?? "";
    const image = await findOrPull(docker, name);
    return describeImage(name, image, inputs);
  },
  async read(docker, _id, state) {
    const name = text(state["name"]) ?? "";
    const image = await inspectImage(docker, name);
    return image === undefined ? undefined : describeImage(name, image, state);
  },
  update: (_docker, _id, olds, news) => Promise.resolve({ ...olds, ...news }),
  async delete(docker, _id, state) {
    if (flag(state["keepLocally"])) return;
    try {
      await docker
        .getImage(text(state["name"]) ?? "")
        .remove({ force: flag(state["forceRemove"]) });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  },
};

function describeImage(name: string, image: Docker.ImageInspectInfo, inputs: Bag): Created {
  const repoDigest = image.RepoDigests[0] ?? "";
  return { id: image.Id + name, state: { ...inputs, imageId: image.Id, repoDigest } };
}

const ADVICE =
  "To ensure you are building for the correct platform, consider explicitly setting the `platform` field on ImageBuildOptions.";

/** What the machine that runs pulumi is taken for: a test may pretend that it has another processor than its engines. */
function machinePlatform(): string {
  const names: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };
  const own = names[process.arch] ?? process.arch;
  return `linux/${process.env["TWINE_TEST_MACHINE"] ?? own}`;
}

export const IMAGE: ResourceKind = {
  type: "docker:index/image:Image",
  isBridged: false,
  computed: ["baseImageName", "registryServer", "repoDigest", "context", "dockerfile", "platform"],
  replacing: new Set(["imageName", "registry"]),
  unordered: new Set(),
  defaults: { skipPush: false, buildOnPreview: false },
  deletesFirst: false,
  autonames: false,
  check(inputs) {
    const { context, dockerfile } = placesOf(inputs);
    if (inputs["build"] === undefined || inputs["build"] === UNKNOWN)
      return { inputs, problems: [] };
    if (!flag(inputs["skipPush"])) {
      const reason = "the stand-in has no registry: skipPush must be true";
      return { inputs, problems: [{ property: "skipPush", reason }] };
    }
    if (!existsSync(dockerfile)) {
      const reason = `unable to open dockerfile ${dockerfile}`;
      return { inputs, problems: [{ property: "build.dockerfile", reason }] };
    }
    const build = bag(inputs["build"]);
    const asked = text(build["platform"]);
    const platform = asked ?? machinePlatform();
    const contextDigest = digestOf(context, dockerfile);
    return {
      // As they are, relative ones too: what is in the inputs is what another folder is compared with.
      inputs: { ...inputs, build: { ...build, context, dockerfile, contextDigest, platform } },
      problems: [],
      ...(asked === undefined
        ? { advice: `Building your image for ${platform} architecture.\n${ADVICE}` }
        : {}),
    };
  },
  create: buildImage,
  async read(docker, id, state) {
    const image = await inspectImage(docker, text(state["imageName"]) ?? "");
    return image === undefined ? undefined : { id, state };
  },
  async update(docker, _id, _olds, news) {
    return (await buildImage(docker, news)).state;
  },
  // The real provider leaves the image on the engine.
  delete: () => Promise.resolve(),
};

function placesOf(inputs: Bag): { context: string; dockerfile: string } {
  const build = bag(inputs["build"]);
  const context = text(build["context"]) ?? ".";
  return { context, dockerfile: text(build["dockerfile"]) ?? join(context, "Dockerfile") };
}

/** Of names, modes and contents: a changed file is a change of the resource. */
function digestOf(context: string, dockerfile: string): string {
  const digest = createHash("sha256").update(readFileSync(dockerfile));
  for (const file of filesUnder(context, context)) {
    const { mode } = statSync(file);
    digest.update(`\0${relative(context, file)} ${mode & 0o777}\0`).update(readFileSync(file));
  }
  return digest.digest("hex");
}

/** Regular files of the context in a fixed order; top folders named in .dockerignore are left out. */
function filesUnder(folder: string, root: string): string[] {
  const ignoreFile = join(root, ".dockerignore");
  const ignored = existsSync(ignoreFile)
    ? readFileSync(ignoreFile, "utf8")
        .split("\n")
        .map((line) => line.trim().replace(/\/$/, ""))
    : [];
  return readdirSync(folder)
    .sort()
    .filter((name) => name !== ".git" && !ignored.includes(relative(root, join(folder, name))))
    .flatMap((name) => {
      const path = join(folder, name);
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined) return [];
      return found.isDirectory() ? filesUnder(path, root) : found.isFile() ? [path] : [];
    });
}

async function buildImage(docker: Docker, inputs: Bag): Promise<Created> {
  const name = text(inputs["imageName"]) ?? "";
  const { context, dockerfile } = placesOf(inputs);
  const build = bag(inputs["build"]);
  const inside = relative(context, dockerfile);
  if (inside.startsWith("..")) throw new Error(`${dockerfile} lies outside of ${context}`);
  const [target, network] = [text(build["target"]), text(build["network"])];
  const platform = text(build["platform"]) ?? machinePlatform();
  await buildWithKit(docker, await packContext(context), {
    t: name,
    dockerfile: inside,
    platform,
    buildargs: JSON.stringify(textMap(build["args"]) ?? {}),
    ...(target === undefined ? {} : { target }),
    ...(network === undefined ? {} : { networkmode: network }),
  });
  const image = await docker.getImage(name).inspect();
  const made = { baseImageName: name, repoDigest: image.Id, registryServer: "", platform };
  return { id: name, state: { ...inputs, ...made, context, dockerfile } };
}

/** The context as a tar archive, by the machine's own tar, which reads the names from its input. */
function packContext(context: string): Promise<Buffer> {
  const names = filesUnder(context, context).map((path) => relative(context, path));
  const tar = spawn("tar", ["-C", context, "--null", "-T", "-", "-ch"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  tar.stdin.end(names.map((name) => `${name}\0`).join(""));
  return buffer(tar.stdout);
}
