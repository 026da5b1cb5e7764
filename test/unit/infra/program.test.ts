// program.test.ts: the Pulumi program under Pulumi's own test mode: it reads the file that its configuration names.
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";

describe("the Pulumi program", () => {
  test("exports the nodes and the digest of the file named by twine:conf", async () => {
    process.env["PULUMI_CONFIG"] = JSON.stringify({
      "twine:conf": "examples/three-hosts.conf",
      "twine:engine": "unix:///var/run/docker.sock",
      "twine:runtimeImage": "twine-runtime:test",
    });
    await pulumi.runtime.setMocks(
      { newResource: (args) => ({ id: `${args.name}-id`, state: {} }), call: () => ({}) },
      "twine",
      "staging",
      true,
    );
    // The docker package reads the configuration when it is imported.
    const { outputValue } = await import("../docker/recorded-program.ts");
    const program = await import("../../../infra/index.ts");
    expect(await outputValue(program.confHash)).toMatch(/^[0-9a-f]{64}$/);
    const nodes = await outputValue(program.nodes);
    expect(new Set(nodes.map((node) => node.host))).toEqual(new Set(["db1", "db2", "db3"]));
    expect(nodes.map((node) => node.kind)).toContain("router");
  });
});
