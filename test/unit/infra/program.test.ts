// program.test.ts: the Pulumi program under Pulumi's own test mode: it reads the file that its configuration names.
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";

describe("the Pulumi program", () => {
  test("exports the nodes and the digest of the file named by twine:conf", async () => {
    process.env["PULUMI_CONFIG"] = JSON.stringify({ "twine:conf": "examples/three-hosts.conf" });
    await pulumi.runtime.setMocks(
      { newResource: (args) => ({ id: args.name, state: {} }), call: () => ({}) },
      "twine",
      "staging",
      true,
    );
    const program = await import("../../../infra/index.ts");
    expect(program.confHash).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(program.nodes.map((node) => node.host))).toEqual(new Set(["db1", "db2", "db3"]));
    expect(program.nodes.map((node) => node.kind)).toContain("router");
  });
});
