// read-settings.test.ts: `pulumi config`, which is all text, as the component's arguments.
import { expect, test } from "vitest";
import { readSettings, secretsInClear } from "../../../infra/docker/read-settings.ts";

function read(config: Record<string, string>): object {
  const entries = Object.entries(config).map(([key, value]) => [`twine:${key}`, value] as const);
  return readSettings(Object.fromEntries([...entries, ["aws:region", "nowhere"]]));
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

test("passwords that are no secrets of the stack are told apart", () => {
  const config = { "twine:password": "a", "twine:smtpPassword": "b", "twine:memory": "1gb" };
  expect(secretsInClear(config, '["twine:password"]')).toEqual(["twine:smtpPassword"]);
  expect(secretsInClear(config, "[]")).toEqual(["twine:password", "twine:smtpPassword"]);
  expect(secretsInClear({ "twine:memory": "1gb" }, "[]")).toEqual([]);
  expect(secretsInClear(config, undefined)).toEqual([]);
});

test("an empty password is handed on: nobody but a person can have set it", () => {
  expect(read({ password: "" })).toEqual({ password: "" });
  expect(read({ smtpPassword: "" })).toEqual({ smtpPassword: "" });
});

test("a key that there is not is handed on, to be complained about", () => {
  expect(read({ conf: "twine.conf", engin: "tcp://ci:2376" })).toEqual({ engin: "tcp://ci:2376" });
});

test("what is declared as an object and is none is handed on, to be complained about", () => {
  expect(read({ engine: "tcp://ci:2376", engineAccess: "/certs" })).toEqual({
    engine: "tcp://ci:2376",
    engineAccess: "/certs",
  });
});
