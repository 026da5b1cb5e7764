// A changed twine.conf is told in words by the preview: read from the last deployment of the stack itself.
// Method: the real Pulumi engine and a component without resources, so that no Docker engine is needed.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { logDifference } from "../../infra/docker/preview-words.ts";
import { planCluster } from "../../infra/plan/plan-cluster.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { configOf } from "../golden/render-cases.ts";
import { isMissingForPulumi } from "./requirements.ts";
import { openStack, type StackRunner } from "./stack-runner.ts";

const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
].join("\n");
const OPTIONS = {
  confPath: "/etc/twine/twine.conf",
  hasPassword: true,
  placement: "pods",
} as const;

/** What TwineCluster does with its conf, and nothing else. */
class ConfKeeper extends pulumi.ComponentResource {
  constructor(conf: string) {
    super("twine:docker:Cluster", "cluster", {}, {});
    const config = configOf(conf);
    logDifference(this, { config, plan: planCluster(config, OPTIONS) }, OPTIONS);
    this.registerOutputs({ conf: printConf(config) });
  }
}

describe.skipIf(isMissingForPulumi())("pulumi preview", () => {
  let folder = "";
  let runner: StackRunner;
  let conf = CONF;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-words-"));
    runner = await openStack(folder, "words", () => {
      new ConfKeeper(conf);
      return Promise.resolve();
    });
  });

  afterAll(async () => {
    await runner.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  test("says nothing at first and when nothing changed, and each change once there is one", async () => {
    const shown = async (): Promise<string> =>
      (await runner.stack.preview({ color: "never" })).stdout;
    expect(await shown()).not.toMatch(/partition/);
    await runner.up();
    expect(await shown()).not.toMatch(/partition/);
    conf = `${CONF.replace("db2", "db3")}\nredis maxmemory 100mb`;
    const told = await shown();
    expect(told).toContain(
      "partition 0: replica a2 moves from db2 to db3:6667: one full sync, no handover, no key changes partition",
    );
    expect(told).toContain(
      "redis maxmemory: (not set) -> 100mb: Redis can change it while it runs",
    );
    expect(told).toMatch(/host db2: a2 is removed\s+host db3: a2 is created\s+no key changes/);
    await runner.up();
    expect(await shown()).not.toMatch(/partition/);
  });
});
