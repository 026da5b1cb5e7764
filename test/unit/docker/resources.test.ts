// resources.test.ts: what a twine.conf becomes on Docker, held to the property: every URN, every input, every order.
// `TWINE_GOLDEN=accept vitest run --project unit test/unit/docker` rewrites the golden files; a diff is a change in
// what users' `pulumi up` does, a changed URN replaces what they have.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import type { TwineClusterArgs } from "../../../infra/docker/cluster.ts";
import {
  CONTAINER,
  VOLUME,
  confText,
  outputValue,
  recordProgram,
  withSecrets,
  withoutSecrets,
  type Recorded,
} from "./recorded-program.ts";

const isAccepting = process.env["TWINE_GOLDEN"] === "accept" && process.env["CI"] === undefined;
const PASSWORD = "not-a-secret";

const POD_ARGS: TwineClusterArgs = {
  conf: confText("twine.conf"),
  engine: "unix:///var/run/docker.sock",
  redisImage: "redis:7.2-bookworm",
  runtimeImage: "twine-runtime:test",
};
const HOST_ARGS: TwineClusterArgs = {
  conf: confText("examples/three-hosts.conf"),
  hosts: {
    db1: { docker: "ssh://root@db1", sshOpts: ["-o", "ControlMaster=auto"] },
    db2: { docker: "tcp://db2:2376", certPath: "/certs/db2" },
    db3: { docker: "ssh://root@db3", address: "10.0.0.3" },
  },
  runtimeImage: "registry.example.com/twine-runtime@sha256:0123",
  password: PASSWORD,
  labels: { team: "storage" },
};
const CASES: readonly (readonly [string, TwineClusterArgs])[] = [
  ["shipped-pods", POD_ARGS],
  ["three-hosts", HOST_ARGS],
  ["three-hosts-as-pods", { ...POD_ARGS, conf: HOST_ARGS.conf }],
];

/** Long texts by their digest: they are held whole by test/golden. */
function shortened(value: unknown): unknown {
  if (typeof value === "string" && value.includes("\n")) {
    return `${value.length} characters, ${createHash("sha256").update(value).digest("hex").slice(0, 16)}`;
  }
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shortened(inner)]));
}

function goldenText(resources: readonly Recorded[]): string {
  const shown = resources.map(({ urn, inputs, protect, retainOnDelete, dependsOn, takesFrom }) => ({
    urn,
    dependsOn,
    takesFrom,
    ...(protect ? { protect } : {}),
    ...(retainOnDelete ? { retainOnDelete } : {}),
    inputs: shortened(withSecrets(inputs)),
  }));
  return `${JSON.stringify(shown, null, 2)}\n`;
}

describe.each(CASES)("%s", (name, args) => {
  test("its URNs, inputs and order are those that were accepted", async () => {
    const { resources } = await recordProgram(args);
    const file = join(import.meta.dirname, "golden", `${name}.json`);
    const text = goldenText(resources);
    if (isAccepting) {
      mkdirSync(join(file, ".."), { recursive: true });
      writeFileSync(file, text);
    }
    expect(text).toBe(readFileSync(file, "utf8"));
  });

  test("no node takes a value from another node, so that replacing one replaces no other", async () => {
    const { resources } = await recordProgram(args);
    const pods = resources
      .filter((one) => one.type === "twine:docker:Host")
      .map((one) => `${CONTAINER} ${one.name}`);
    const sources = new Set(resources.flatMap((one) => one.takesFrom));
    const containers = [...sources].filter((source) => source.startsWith(CONTAINER));
    expect(containers.filter((source) => !pods.includes(source))).toEqual([]);
    expect([...sources].filter((source) => source.startsWith(VOLUME))).toEqual([]);
  });

  test("within a partition the last node comes first, and each waits for the one before", async () => {
    const { resources } = await recordProgram(args);
    const orderOf = (node: string): readonly string[] =>
      resources.find((one) => one.type === CONTAINER && one.name === node)?.dependsOn ?? [];
    const [first, second, third] =
      name === "shipped-pods"
        ? (["a6666", "a6667", "a6668"] as const)
        : (["a1", "a2", "a3"] as const);
    expect(orderOf(first)).toContain(second);
    expect(orderOf(second)).toContain(third);
    expect(orderOf(third)).toContain("m3");
  });
});

describe("every container", () => {
  test.each(CASES)("of %s is limited, checked, without rights and pinned", async (_name, args) => {
    const { resources } = await recordProgram(args);
    const containers = resources.filter((one) => one.type === CONTAINER);
    expect(containers.length).toBeGreaterThan(10);
    const unfit = containers.filter(({ inputs }) => !isFit(inputs)).map((one) => one.name);
    expect(unfit).toEqual([]);
  });

  test("has no secret in clear in state, in its environment or in its labels", async () => {
    const { resources } = await recordProgram(HOST_ARGS);
    const given = JSON.stringify(withSecrets(resources.map((one) => one.inputs)));
    const secrets = [PASSWORD, ...given.matchAll(/masterauth ([0-9a-f]{64})/g)].map((found) =>
      typeof found === "string" ? found : (found[1] ?? ""),
    );
    expect(secrets.length).toBeGreaterThan(6);
    const inClear = JSON.stringify(resources.map((one) => withoutSecrets(one.inputs)));
    expect(secrets.filter((secret) => inClear.includes(secret))).toEqual([]);
    // `docker inspect` shows all but the uploaded files.
    const inspected = JSON.stringify(
      resources.map((one) => withSecrets({ ...one.inputs, uploads: [] })),
    );
    expect(secrets.filter((secret) => inspected.includes(secret))).toEqual([]);
  });

  test("of a cluster with a password that is no single word is refused without repeating it", async () => {
    await expect(recordProgram({ ...HOST_ARGS, password: "two words" })).rejects.toThrow(
      /^twine:password must be one word/,
    );
  });
});

function isFit(inputs: Readonly<Record<string, unknown>>): boolean {
  const { memory, memorySwap, healthcheck, capabilities, image, user, restart } = inputs;
  return (
    typeof memory === "number" &&
    memory === memorySwap &&
    healthcheck !== undefined &&
    JSON.stringify(capabilities) === '{"drops":["ALL"]}' &&
    JSON.stringify(inputs["securityOpts"]) === '["no-new-privileges:true"]' &&
    JSON.stringify(inputs["ulimits"]).includes("nproc") &&
    JSON.stringify(inputs["logOpts"]).includes("max-size") &&
    typeof image === "string" &&
    image.startsWith("sha256:") &&
    typeof user === "string" &&
    user !== "0" &&
    restart === "unless-stopped"
  );
}

describe("outputs", () => {
  test("with a password the routers' URLs carry it and are secret", async () => {
    const { cluster } = await recordProgram(HOST_ARGS);
    expect(await outputValue(cluster.routerUrls)).toEqual([
      `redis://app:${PASSWORD}@db1:6400`,
      `redis://app:${PASSWORD}@db2:6410`,
    ]);
    expect(await pulumi.isSecret(cluster.routerUrls)).toBe(true);
    expect(await pulumi.isSecret(cluster.connection)).toBe(true);
    expect(await outputValue(cluster.monitorUrls)).toContain("http://10.0.0.3:7603");
  });

  test("of a stack of pods they name the published ports, which are the same every time", async () => {
    const urls = async (stack: string): Promise<readonly string[]> =>
      outputValue((await recordProgram(POD_ARGS, stack)).cluster.routerUrls);
    const first = await urls("staging");
    expect(first).toEqual([expect.stringMatching(/^redis:\/\/127\.0\.0\.1:2\d{4}$/)]);
    expect(await urls("staging")).toEqual(first);
    expect(await urls("another")).not.toEqual(first);
  });

  test("a port of one's own choice is taken", async () => {
    const { cluster } = await recordProgram({ ...POD_ARGS, publish: ["r1=16400"] });
    expect(await outputValue(cluster.routerUrls)).toEqual(["redis://127.0.0.1:16400"]);
    expect(await outputValue(cluster.monitorUrls)).toEqual([]);
  });

  test("volumes that are kept are protected and listed", async () => {
    const { cluster, resources } = await recordProgram({ ...POD_ARGS, protectData: true });
    const kept = await outputValue(cluster.keptVolumes);
    expect(kept).toHaveLength(9);
    expect(kept).toContainEqual({ host: "localhost", volume: "staging-a6666" });
    const volumes = resources.filter((one) => one.type === VOLUME);
    expect(volumes.every((one) => one.protect && one.retainOnDelete)).toBe(true);
  });

  test("a program may hold several clusters, each with names of its own", async () => {
    const { resources } = await recordProgram(POD_ARGS, "dev", "blue");
    expect(resources.every((one) => one.name.startsWith("blue"))).toBe(true);
  });
});
