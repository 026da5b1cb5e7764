// A stack belongs to no folder and to no machine: another checkout sees no change, and the image is built for the engine's
// own processor, whatever the machine has that runs pulumi.
// Method: the engine's machine is amd64 and the provider pretends to run on arm64, or the other way round.
import { cp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { ROOT } from "../support/source-files.ts";
import { openShipped } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import { openStack, type StackRunner } from "./stack-runner.ts";

const CONF = [
  "a1=data 0 db1 6666 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
  "r1=router db1 6400",
];
const PLATFORM = `linux/${process.arch === "arm64" ? "arm64" : "amd64"}`;
const OTHER_PLATFORM = `linux/${process.arch === "arm64" ? "amd64" : "arm64"}`;

describe.skipIf(isMissingForPulumi())("a stack", () => {
  let fleet: EngineFleet;
  let pods: EngineHost;
  let runner: StackRunner;
  let conf = "";

  beforeAll(async () => {
    fleet = await startEngines(["pods"]);
    pods = fleet.host("pods");
    await importBaseImages([pods], fleet.folder);
    conf = join(fleet.folder, "drift.conf");
    await writeFile(conf, `${CONF.join("\n")}\n`);
    runner = await openShipped(fleet, "drift", {
      "twine:conf": { value: conf },
      "twine:engine": { value: pods.endpoint },
    });
  });

  afterAll(async () => {
    await runner.destroy();
    await fleet.stop();
  });

  test("gets images of its engine's platform, and the provider has no advice about it", async () => {
    const previewed = await runner.stack.preview({ color: "never" });
    const { stdout } = await runner.stack.up({ color: "never" });
    for (const shown of [previewed.stdout, stdout]) expect(shown).not.toMatch(/platform/);
    const [build] = await builds(runner);
    expect(build).toMatchObject({ platform: PLATFORM });
    const container = await pods.docker.getContainer("drift-m1").inspect();
    const image = await pods.docker.getImage(container.Image).inspect();
    expect(`${image.Os}/${image.Architecture}`).toBe(PLATFORM);
  });

  test("is the same from another folder, also from a checkout with another umask", async () => {
    const other = join(fleet.folder, "somewhere", "else");
    await mkdir(other, { recursive: true });
    for (const name of await readdir(ROOT)) {
      if ([".git", ".cache", "partitions"].includes(name)) continue;
      if (/^Pulumi\..+\.yaml$/.test(name)) continue;
      // Its dependencies may be anywhere; its own code must be here.
      if (name === "node_modules") await symlink(join(ROOT, name), join(other, name));
      else await cp(join(ROOT, name), join(other, name), { recursive: true });
    }
    execFileSync("chmod", ["-R", "go-rwx", other]);
    const settings = await runner.stack.getAllConfig();
    const folder = join(fleet.folder, "stacks", "drift");
    const elsewhere = await openStack(folder, "drift", other, settings);
    expect(await elsewhere.preview()).toEqual({});
    await elsewhere.pulumi("preview", "--expect-no-changes");
    expect(await elsewhere.up()).toEqual({});
    expect(await readdir(join(other, ".cache/runtime-image"))).toHaveLength(1);
    await runner.pulumi("preview", "--expect-no-changes", "--refresh");
  });

  test("tells a changed twine.conf in twine-plan's words, in the preview and before it is done", async () => {
    const unchanged = await runner.stack.preview({ color: "never" });
    expect(unchanged.stdout).not.toMatch(/no key changes partition/);
    await writeFile(conf, `${[...CONF, "redis maxmemory 100mb"].join("\n")}\n`);
    const { stdout } = await runner.stack.preview({ color: "never" });
    const told = "redis maxmemory: (not set) -> 100mb: Redis can change it while it runs";
    expect(stdout).toContain(told);
    expect(stdout).toMatch(
      /host db1: a1, m1, r1 get a new configuration\s+no key changes partition/,
    );
    await writeFile(conf, `${CONF.join("\n")}\n`);
  });

  test("of a platform that its engine's base images have not fails at the build, with what to do", async () => {
    await runner.stack.setConfig("twine:platform", { value: OTHER_PLATFORM });
    const told = await runner.up().catch((error: unknown) => String(error));
    expect(told).toMatch(/the runtime's image twine-runtime:\w+ can't be created on the engine/);
    expect(told).toContain(`twine:platform ${OTHER_PLATFORM}`);
    await runner.stack.removeConfig("twine:platform");
    await runner.up();
    expect(await runner.up()).toEqual({});
  });
});

/** The `build` of every docker.Image in the state. */
async function builds(runner: StackRunner): Promise<unknown[]> {
  const exported = await runner.stack.exportStack();
  const { resources } = exported.deployment as {
    resources: readonly { type: string; inputs?: { build?: unknown } }[];
  };
  return resources
    .filter(({ type }) => type === "docker:index/image:Image")
    .map(({ inputs }) => inputs?.build);
}
