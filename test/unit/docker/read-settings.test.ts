// read-settings.test.ts: `pulumi config`, which is all text, as the component's arguments.
import * as pulumi from "@pulumi/pulumi";
import { beforeEach, expect, test } from "vitest";
import { readSettings } from "../../../infra/docker/read-settings.ts";

beforeEach(async () => {
  await pulumi.runtime.setMocks({
    newResource: ({ name }) => ({ id: name, state: {} }),
    call: () => ({}),
  });
});

function read(config: Record<string, string>): object {
  const entries = Object.entries(config).map(([key, value]) => [`twine:${key}`, value]);
  pulumi.runtime.setAllConfig(Object.fromEntries(entries) as Record<string, string>);
  return readSettings(new pulumi.Config("twine"));
}

test("the defaults of Pulumi.yaml count as not set", () => {
  const empty = { engine: "", engineAccess: "{}", hosts: "{}", labels: "{}", memory: "" };
  expect(read(empty)).toEqual({});
});

test("objects, lists and booleans are decoded", () => {
  const hosts = { db1: { docker: "ssh://root@db1", sshOpts: ["-4"] } };
  expect(read({ hosts: JSON.stringify(hosts), protectData: "true", publish: '["none"]' })).toEqual({
    hosts,
    protectData: true,
    publish: ["none"],
  });
});

test("twine:engineAccess joins twine:engine, which is a text because it is declared as one", () => {
  expect(read({ engine: "tcp://ci:2376", engineAccess: '{"certPath":"/certs"}' })).toEqual({
    engine: { docker: "tcp://ci:2376", certPath: "/certs" },
  });
});

test("twine:engineAccess that is no object is handed on, to be complained about", () => {
  expect(read({ engine: "tcp://ci:2376", engineAccess: "/certs" })).toEqual({
    engine: { docker: "tcp://ci:2376", engineAccess: "/certs" },
  });
});
