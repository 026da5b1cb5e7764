// What is done in running containers: the stages of another password, the rules of users, what the last deployment tells.
import { describe, expect, test } from "vitest";
import { LastDeployment } from "../../../infra/docker/live/last-deployment.ts";
import { rotationStages } from "../../../infra/docker/live/rotate.ts";
import { textsOf, wantedFiles } from "../../../infra/docker/live/running-files.ts";
import { passwordChanges } from "../../../infra/docker/live/set-passwords.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];

describe("another password", () => {
  test("goes by way of both, so that what anybody uses first is accepted by everybody", () => {
    expect(rotationStages([["old"], ["old"]], ["new"])).toEqual([
      ["old", "new"],
      ["new", "old"],
      ["new"],
    ]);
  });

  test("that has begun goes on; nothing goes back once somebody uses the new one", () => {
    const rest = [["new", "old"], ["new"]];
    expect(rotationStages([["old", "new"], ["old"]], ["new"])).toHaveLength(3);
    expect(
      rotationStages(
        [
          ["new", "old"],
          ["old", "new"],
        ],
        ["new"],
      ),
    ).toEqual(rest);
    expect(rotationStages([["new"], ["new", "old"]], ["new"])).toEqual(rest);
  });

  test("stops where both count while the old one is named, and goes on when it is not", () => {
    expect(rotationStages([["old"]], ["new", "old"]).at(-1)).toEqual(["new", "old"]);
    expect(rotationStages([["new", "old"]], ["new", "old"])).toEqual([]);
    expect(rotationStages([["new", "old"]], ["new"]).at(-1)).toEqual(["new"]);
  });

  test("is nothing to do where it counts already, or where nothing runs", () => {
    expect(rotationStages([["new"], ["new"]], ["new"])).toEqual([]);
    expect(rotationStages([], ["new"])).toEqual([]);
  });

  test("is told user by user: first who may come, then who may not", () => {
    const acl = (digests: string): string =>
      `user default off resetpass ~* &* +@all\nuser app on ${digests} ~* +@all\nuser health on #${A} +info\n`;
    expect(passwordChanges(acl(`#${A}`), acl(`#${B}`))).toEqual([
      { user: "app", rules: [`#${B}`, `!${A}`] },
    ]);
    expect(passwordChanges(acl(`#${A}`), acl(`#${B} #${A}`))).toEqual([
      { user: "app", rules: [`#${B}`] },
    ]);
    expect(passwordChanges(acl(`#${A}`), acl(`#${A}`))).toEqual([]);
  });
});

describe("the last deployment", () => {
  const urn = "urn:pulumi:s::p::twine:docker:Cluster$docker:index/container:Container::a1";
  const outputs = {
    name: "s-a1",
    image: "sha256:1",
    networkMode: "host",
    labels: [{ label: "twine.name", value: "a1" }],
    uploads: [
      { file: "/etc/twine/x", content: "€", executable: false, owner: "", permissions: "0400" },
      { file: "/etc/twine/y", contentBase64: "AAE=", source: "" },
    ],
  };

  test("tells what a container was made with, without what the provider added", () => {
    const made = new LastDeployment(new Map([[urn, outputs]])).made("a1");
    expect(made?.uploads).toEqual([
      { file: "/etc/twine/x", content: "€", permissions: "0400" },
      { file: "/etc/twine/y", contentBase64: "AAE=" },
    ]);
    const files = wantedFiles(made?.uploads ?? []);
    expect(files.get("x")).toMatchObject({ content: Buffer.from("€"), mode: 0o400, uid: 0 });
    expect(textsOf(files).get("y")).toBe("\0\u0001");
  });

  test("tells nothing of what is not there, or in another form", () => {
    const of = (entry: Record<string, unknown>): unknown =>
      new LastDeployment(new Map([[urn, entry]])).made("a1");
    expect(of({})).toBeUndefined();
    expect(of({ ...outputs, uploads: null })).toBeUndefined();
    expect(of({ ...outputs, uploads: [{ content: "no file" }] })).toBeUndefined();
    expect(new LastDeployment(new Map([[urn, outputs]])).made("a2")).toBeUndefined();
  });
});
