// resources.test.ts: what a twine.conf becomes on Docker, held to the property: every URN, every input, every order.
// `TWINE_GOLDEN=accept vitest run --project unit-pulumi test/unit/docker` rewrites the golden files; a diff is a change in
// what users' `pulumi up` does, a changed URN replaces what they have.
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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
  type RecordedProgram,
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

/** The smallest cluster, with every file that a router may be given. */
const FILES_ARGS: TwineClusterArgs = {
  ...POD_ARGS,
  conf: [
    "a1=data 0 db1 6666 0",
    "s1=status db1 6401 0",
    "m1=monitor db1 7601",
    "r1=router db1 6400",
    "hash ./hashes/my-hash.mjs",
    "users-file secret/users",
    "tls-cert certs/router.crt",
    "tls-key certs/router.key",
    "tls-ca /etc/ssl/our-ca.pem",
  ].join("\n"),
  password: PASSWORD,
  files: {
    hash: "export const partitionOf = () => 0;\n",
    "users-file": `reports ${"a".repeat(64)} read-only\n`,
    // Outputs, as another resource of the program has them: these are no certificates.
    "tls-cert": pulumi.output("the certificate\n"),
    "tls-key": pulumi.output("the key\n"),
    "tls-ca": pulumi.output("the authority\n"),
  },
};

const recorded = new Map<TwineClusterArgs, Promise<RecordedProgram>>();

/** The program of these arguments, run once for all tests that only look at it: it takes its time. */
function recordedOnce(args: TwineClusterArgs): Promise<RecordedProgram> {
  const program = recorded.get(args) ?? recordProgram(args);
  recorded.set(args, program);
  return program;
}

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

function expectAccepted(name: string, resources: readonly Recorded[]): void {
  const file = join(import.meta.dirname, "golden", `${name}.json`);
  const text = goldenText(resources);
  if (isAccepting) {
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text).toBe(readFileSync(file, "utf8"));
}

describe.each(CASES)("%s", (name, args) => {
  test("its URNs, inputs and order are those that were accepted", async () => {
    expectAccepted(name, (await recordedOnce(args)).resources);
  });

  test("no node takes a value from another node, so that replacing one replaces no other", async () => {
    const { resources } = await recordedOnce(args);
    const pods = resources
      .filter((one) => one.type === "twine:docker:Host")
      .map((one) => `${CONTAINER} ${one.name}`);
    const sources = new Set(resources.flatMap((one) => one.takesFrom));
    const containers = [...sources].filter((source) => source.startsWith(CONTAINER));
    expect(containers.filter((source) => !pods.includes(source))).toEqual([]);
    expect([...sources].filter((source) => source.startsWith(VOLUME))).toEqual([]);
  });

  test("within a partition the last node comes first, and each waits for the one before", async () => {
    const { resources } = await recordedOnce(args);
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

describe("the files that twine.conf names", () => {
  test("lie in the router's container, the hash in the monitors' too, beside a twine.conf that says so", async () => {
    const { resources } = await recordedOnce(FILES_ARGS);
    expectAccepted("router-files", resources);
    const conf = (name: string): string =>
      uploadsOf(resources, name).find(({ file }) => file === "/etc/twine/twine.conf")?.content ??
      "";
    expect(conf("r1")).toMatch(/^hash \.\/my-hash\.mjs\n/m);
    expect(conf("r1")).toMatch(/^users-file router-users\ntls-cert tls-cert.pem\n/m);
    expect(conf("m1")).toBe(conf("r1"));
    const filesOf = (name: string): string[] =>
      uploadsOf(resources, name).map(({ file, owner = "root", permissions }) =>
        [file.replace("/etc/twine/", ""), owner, permissions].join(" "),
      );
    expect(filesOf("r1")).toEqual([
      "twine.conf root 0644",
      "password 1000 0400",
      "my-hash.mjs root 0755",
      "router-users 1000 0400",
      "tls-cert.pem root 0644",
      "tls-key.pem 1000 0400",
      "tls-ca.pem root 0644",
    ]);
    expect(filesOf("m1")).toEqual([
      "twine.conf root 0644",
      "password 1000 0400",
      "my-hash.mjs root 0755",
    ]);
  });

  test("that are compiled come to the router byte by byte", async () => {
    const folder = mkdtempSync(join(tmpdir(), "twine-compiled-"));
    try {
      writeFileSync(join(folder, "compiled"), Buffer.from([0x7f, 0xff, 0x00, 0xfe]));
      const conf = FILES_ARGS.conf.replace("./hashes/my-hash.mjs", "./compiled");
      const files = { ...FILES_ARGS.files };
      delete files.hash;
      const confFile = join(folder, "twine.conf");
      const { resources } = await recordProgram({ ...FILES_ARGS, conf, confFile, files });
      expect(uploadsOf(resources, "r1")).toContainEqual({
        file: "/etc/twine/compiled",
        contentBase64: "f/8A/g==",
        permissions: "0755",
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("change the router alone when their text changes, and nothing when only their path does", async () => {
    const before = await recordedOnce(FILES_ARGS);
    const changed = async (args: Partial<TwineClusterArgs>): Promise<string[]> => {
      const { resources } = await recordProgram({ ...FILES_ARGS, ...args });
      const texts = (all: readonly Recorded[]): string[] =>
        all.map((one) => JSON.stringify([one.urn, withSecrets(one.inputs)]));
      const were = texts(before.resources);
      return texts(resources).filter((text) => !were.includes(text));
    };
    const files = { ...FILES_ARGS.files, "users-file": "" };
    const [router = "", ...others] = await changed({ files });
    expect(others).toEqual([]);
    expect(router).toMatch(/Container::r1"/);
    expect(router).toContain(`{"content":"\\n","file":"/etc/twine/router-users"`);
    expect(await changed({ conf: FILES_ARGS.conf.replaceAll("certs/", "/elsewhere/") })).toEqual(
      [],
    );
  });

  test("are secret when they hold a secret: neither state nor docker inspect shows them", async () => {
    const { resources } = await recordedOnce(FILES_ARGS);
    const secrets = ["the key", "a".repeat(64)];
    const given = JSON.stringify(withSecrets(resources.map((one) => one.inputs)));
    expect(secrets.every((secret) => given.includes(secret))).toBe(true);
    const inClear = JSON.stringify(resources.map((one) => withoutSecrets(one.inputs)));
    expect(secrets.filter((secret) => inClear.includes(secret))).toEqual([]);
  });

  test("that are missing are refused together with wrong settings, and nothing is made", async () => {
    const wrong = { ...FILES_ARGS, files: {}, memory: "lots", confFile: "/nowhere/my.conf" };
    const refused = await recordProgram(wrong).then(String, (error: unknown) => String(error));
    expect(refused).toMatch(/my\.conf:6:1: users-file secret\/users: ENOENT.*'\/nowhere\/secret/);
    expect(refused).toMatch(/my\.conf:9:1: tls-ca \/etc\/ssl\/our-ca\.pem: ENOENT/);
    expect(refused).toMatch(/twine:memory must be a size/);
  });

  test("make the routers' URLs rediss:// when there is a certificate among them", async () => {
    const { cluster } = await recordedOnce(FILES_ARGS);
    expect(await outputValue(cluster.routerUrls)).toEqual([
      expect.stringMatching(`^rediss://app:${PASSWORD}@127\\.0\\.0\\.1:2\\d{4}$`),
    ]);
    expect(await outputValue(cluster.connection)).toMatchObject({ tls: true, username: "app" });
    const plain = await recordedOnce(HOST_ARGS);
    expect(await outputValue(plain.cluster.connection)).toMatchObject({ tls: false });
  });
});

describe("the mail relay's password", () => {
  const conf = `${HOST_ARGS.conf}\nalert-mail on-call@example.com\nalert-smtp smtp://twine@mail.example.com:587\n`;
  const args = { ...HOST_ARGS, conf, smtpPassword: "as the relay wants it" };

  test("is a file of the monitors alone, and secret", async () => {
    const { resources } = await recordedOnce(args);
    const file = "/etc/twine/smtp-password";
    const having = resources.filter((one) => JSON.stringify(one.inputs).includes(file));
    expect(having.map(({ name }) => name)).toEqual(["m1", "m2", "m3"]);
    expect(uploadsOf(resources, "m2")).toContainEqual({
      file,
      content: "as the relay wants it\n",
      owner: "1000",
      group: "0",
      permissions: "0400",
    });
    expect(having[0]?.inputs["envs"]).toContain(`TWINE_SMTP_PASSWORD_FILE=${file}`);
    const inClear = JSON.stringify(resources.map((one) => withoutSecrets(one.inputs)));
    expect(inClear).not.toContain("as the relay wants it");
  });
});

describe("what backups need", () => {
  const conf = `${HOST_ARGS.conf}\nbackup-dir s3://bucket/twine\nbackup-dir /backups\n`;
  const keys = { accessKeyId: "AKIA", secretAccessKey: "of the store", region: "eu-central-1" };
  const backup = { folder: "/srv/twine", endpoint: "https://minio:9000", ...keys };

  test("have the monitors alone: a secret profile and a folder of the host", async () => {
    const { resources } = await recordedOnce({ ...HOST_ARGS, conf, backup });
    const file = "/etc/twine/aws";
    const having = resources.filter((one) => JSON.stringify(one.inputs).includes(`"${file}"`));
    expect(having.map(({ name }) => name)).toEqual(["m1", "m2", "m3"]);
    const mounting = resources.filter((one) => JSON.stringify(one.inputs).includes("/srv/twine"));
    expect(mounting.map(({ name }) => name)).toEqual(["m1", "m2", "m3"]);
    const content = [
      "[default]",
      "endpoint_url = https://minio:9000",
      "region = eu-central-1",
      "aws_access_key_id = AKIA",
      "aws_secret_access_key = of the store",
      "",
    ].join("\n");
    expect(uploadsOf(resources, "m2")).toContainEqual({
      ...{ file, content, owner: "1000", group: "0", permissions: "0400" },
    });
    expect(having[0]?.inputs["envs"]).toEqual(
      expect.arrayContaining([`AWS_CONFIG_FILE=${file}`, `AWS_SHARED_CREDENTIALS_FILE=${file}`]),
    );
    expect(having[0]?.inputs["volumes"]).toContainEqual({
      ...{ hostPath: "/srv/twine", containerPath: "/backups" },
    });
    const inClear = JSON.stringify(resources.map((one) => withoutSecrets(one.inputs)));
    expect(inClear).not.toContain("of the store");
  });
});

interface Upload {
  readonly file: string;
  readonly content: string;
  readonly permissions: string;
  readonly owner?: string;
}

function uploadsOf(resources: readonly Recorded[], name: string): readonly Upload[] {
  const found = resources.find((one) => one.type === CONTAINER && one.name === name);
  return withSecrets(found?.inputs["uploads"]) as readonly Upload[];
}

describe("every container", () => {
  test.each(CASES)("of %s is limited, checked, without rights and pinned", async (_name, args) => {
    const { resources } = await recordedOnce(args);
    const containers = resources.filter((one) => one.type === CONTAINER);
    expect(containers.length).toBeGreaterThan(10);
    const unfit = containers.filter(({ inputs }) => !isFit(inputs)).map((one) => one.name);
    expect(unfit).toEqual([]);
  });

  test("has no secret in clear in state, in its environment or in its labels", async () => {
    const { resources } = await recordedOnce(HOST_ARGS);
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
    const { cluster } = await recordedOnce(HOST_ARGS);
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
    expect(kept).toHaveLength(12);
    expect(kept).toContainEqual({ host: "localhost", volume: "staging-m1" });
    expect(kept).toContainEqual({ host: "localhost", volume: "staging-a6666" });
    const volumes = resources.filter((one) => one.type === VOLUME);
    expect(volumes.every((one) => one.protect && one.retainOnDelete)).toBe(true);
  });

  test("a program may hold several clusters, each with names of its own", async () => {
    const { resources } = await recordProgram(POD_ARGS, "dev", "blue");
    expect(resources.every((one) => one.name.startsWith("blue"))).toBe(true);
  });
});
