// monitor-image.test.ts: images: what monitors' containers have for restores and rehearsals, with their memory; in which order images change.
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { engineImages, type ImageSource } from "../../../infra/docker/images.ts";
import { memoryBytesOf } from "../../../infra/docker/memory.ts";
import { completeConfig } from "../../../runtime/core/conf/complete.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { confText, outputValue, recordProgram } from "./recorded-program.ts";

const WITHOUT_STACK = { hasTwemproxy: false, nutcrackerImage: undefined };

describe("the image of monitors", () => {
  const source = {
    redisImage: "redis:7.2-bookworm",
    runtime: { folder: "/somewhere/of-the-context", tag: "twine-runtime:0123456789ab" },
    ...{ platform: undefined, buildPlatform: "linux/amd64" },
  };

  async function made(args: Partial<ImageSource>): Promise<ReadonlyMap<string, unknown>> {
    const builds = new Map<string, unknown>();
    await pulumi.runtime.setMocks({
      newResource: ({ type, name, inputs }) => {
        const given = inputs as Record<string, unknown>;
        if (type === "docker:index/image:Image") builds.set(name, given);
        return { id: name, state: { ...given, imageId: `sha256:${name}` } };
      },
      call: () => ({}),
    });
    const images = engineImages(
      "db1",
      { ...source, ...WITHOUT_STACK, hasBackups: true, ...args },
      {},
    );
    const ids = [images.redis, images.runtime, images.monitor].map((id) => outputValue(id));
    builds.set("ids", await Promise.all(ids));
    return builds;
  }

  test("has the redis-server of the cluster's Redis image where there are backups, and is the routers' elsewhere", async () => {
    const builds = await made({});
    expect(builds.get("ids")).toEqual([
      "sha256:db1-redis",
      "sha256:db1-runtime",
      "sha256:db1-monitor",
    ]);
    expect(builds.get("db1-runtime-build")).toMatchObject({
      ...{ imageName: source.runtime.tag, build: { target: "runtime" } },
    });
    const monitorOf = (all: ReadonlyMap<string, unknown>) =>
      all.get("db1-monitor-build") as { readonly imageName: string; readonly build: unknown };
    const monitor = monitorOf(builds);
    expect(monitor.build).toMatchObject({
      ...{
        target: "monitor",
        args: { REDIS_IMAGE: source.redisImage },
        platform: "linux/amd64",
        network: "none",
      },
    });
    const other = monitorOf(await made({ redisImage: "redis:7.4-bookworm" }));
    expect(other.imageName).toMatch(/^twine-monitor:[0-9a-f]{12}$/);
    expect(other.imageName).not.toBe(monitor.imageName);

    for (const plain of [{ hasBackups: false }, { runtime: "registry.example.com/twine:1" }]) {
      const none = await made(plain);
      expect(none.has("db1-monitor-build")).toBe(false);
      expect(none.get("ids")).toEqual([
        ...["sha256:db1-redis", "sha256:db1-runtime", "sha256:db1-runtime"],
      ]);
    }
  });
});

describe("the memory of monitors", () => {
  const MB = 1024 ** 2;

  function memoryMb(kind: "monitor" | "data", ...lines: readonly string[]): number {
    const text = [confText("examples/three-hosts.conf"), ...lines, ""].join("\n");
    const { config } = parseConf(text, "twine.conf");
    if (config === undefined) throw new Error("the example is no twine.conf");
    return memoryBytesOf(kind, completeConfig(config).config, 1024 * MB) / MB;
  }

  test("has room for a partition's redis-server with backups, for all and one more with rehearsals", () => {
    expect(memoryMb("monitor")).toBe(384);
    expect(memoryMb("monitor", "backup-dir s3://bucket/twine")).toBe(384 + 1024);
    const rehearsed = ["backup-dir s3://bucket/twine", "backup-rehearse 7d"];
    expect(memoryMb("monitor", ...rehearsed)).toBe(384 + 3 * 1024);
    expect(memoryMb("data", ...rehearsed)).toBe(1024);
  });
});

test("an image is replaced after its containers, never with all of them before", async () => {
  const { resources } = await recordProgram({
    conf: confText("twine.conf"),
    engine: "unix:///var/run/docker.sock",
    redisImage: "redis:7.2-bookworm",
    runtimeImage: "twine-runtime:test",
  });
  const images = resources.filter(({ type }) => type.endsWith(":RemoteImage"));
  expect(images.map((one) => one.deleteBeforeReplace)).toEqual([false, false]);
});
