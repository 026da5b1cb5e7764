// Engines on other machines: tcp:// with TLS certificates and ssh:// with options, one host each of the same cluster, whose
// router has users and a certificate of its own, from files beside twine.conf.
// Method: pulumi itself runs in the network of db1, since nobody else can reach the hosts' addresses.
import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { authorityIn } from "../support/certificates.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { TLS_PORT, makeCertificates, startSshd } from "../support/engine-doors.ts";
import { spaceOf } from "../support/engine-sweep.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { pulumiRoot } from "./cli/pulumi-cli.ts";
import { expectNothingLeft, openShipped, outputs, redis, untilOk } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import type { StackRunner } from "./stack-runner.ts";

const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db1 6400",
  "users-file users",
  "tls-cert router.crt",
  "tls-key router.key",
];

function digestOf(password: string): string {
  return createHash("sha256").update(password).digest("hex");
}

const isSkipped = isMissingForPulumi() || isMissing("sshd", "ssh", "openssl");

describe.skipIf(isSkipped)("engines on other machines", () => {
  let fleet: EngineFleet;
  let sshOpts: readonly string[] = [];
  let root = "";

  beforeAll(async () => {
    const door = async (folder: string, address: string): Promise<readonly string[]> =>
      (await makeCertificates(join(folder, "certs"), address)).options;
    fleet = await startEngines(["db1", "db2"], { db1: door });
    await importBaseImages([fleet.host("db1"), fleet.host("db2")], fleet.folder);
    sshOpts = await startSshd(fleet.host("db2"), join(fleet.folder, "ssh"));
    root = join(fleet.folder, "root");
    await mkdir(join(root, "bin"), { recursive: true });
    const enter = `exec nsenter --net=/run/netns/${spaceOf("db1")} ${pulumiRoot()}/bin/pulumi "$@"`;
    await writeFile(join(root, "bin/pulumi"), `#!/bin/sh\n${enter}\n`);
    await chmod(join(root, "bin/pulumi"), 0o755);
  });

  afterAll(async () => {
    await fleet.stop();
  });

  test("tcp:// with certificates and ssh:// with options: one cluster on both, unchanged by a second up", async () => {
    const [db1, db2] = [fleet.host("db1"), fleet.host("db2")];
    const conf = join(fleet.folder, "reach.conf");
    await writeFile(conf, `${CONF.join("\n")}\n`);
    const users = join(fleet.folder, "users");
    await writeFile(users, `shop ${digestOf("apples")}\n`);
    const authority = await authorityIn(fleet.folder, "routers");
    const { key: routerKey } = await authority.issue("router", [`IP:${db1.address}`]);
    // As the docs advise: one connection that the others share, open before many begin at once.
    const shared = ["-o", "ControlMaster=auto", "-o", `ControlPath=${fleet.folder}/%C`];
    const options = [...sshOpts, ...shared, "-o", "ControlPersist=10m"];
    db1.begin("ssh", ...options, "-o", "ControlMaster=yes", "-N", `root@${db2.address}`);
    const isShared = async (): Promise<boolean> =>
      db1.run("ssh", ...options, "-O", "check", `root@${db2.address}`).then(
        () => true,
        () => false,
      );
    await until("the shared connection is open", isShared, 60_000);
    const list = options.map((option, index) => [
      `twine:hosts.db2.sshOpts[${index}]`,
      { value: option },
    ]);
    const tcp = `tcp://${db1.address}:${TLS_PORT}`;
    const config = {
      "twine:conf": { value: conf },
      "twine:password": { value: "correct-horse-battery", secret: true },
      "twine:hosts.db1.docker": { value: tcp },
      "twine:hosts.db1.certPath": { value: join(fleet.folder, "certs") },
      "twine:hosts.db1.address": { value: db1.address },
      "twine:hosts.db2.docker": { value: `ssh://root@${db2.address}` },
      "twine:hosts.db2.address": { value: db2.address },
      ...(Object.fromEntries(list) as Record<string, { value: string }>),
    };
    const runner = await openShipped(fleet, "far", config, root);
    await runner.up();
    await untilOk(runner, db1);
    const trust = ["--cacert", authority.ca];
    expect(await redis(runner, db2, ...trust, "SET", "foo", "bar")).toBe("OK");
    expect(await runner.up()).toEqual({});

    // The users file and the certificate count in the container, and Pulumi and Docker keep what is secret of them.
    const as = (user: string, ...args: string[]): Promise<string> =>
      asUser(runner, db2, user, ...trust, ...args);
    expect(await as("shop:apples", "GET", "foo")).toBe("bar");
    const plain = await db2.run("redis-cli", "-h", db1.address, "-p", "6400", "PING");
    expect(plain.trim()).toBe("ERR twine: this router speaks TLS");
    const [keyLine = ""] = (await readFile(routerKey, "utf8")).split("\n").slice(1);
    const inspected = await db1.docker.getContainer("far-r1").inspect();
    for (const shown of [await runner.stateText(), JSON.stringify(inspected)]) {
      expect(shown).not.toContain(keyLine);
      expect(shown).not.toContain(digestOf("apples"));
    }

    // The router takes a changed file while it runs; a missing one is told at the preview, with its line.
    await writeFile(users, `shop ${digestOf("pears")} read-only\n`);
    expect(await runner.up()).toEqual({});
    expect(await as("shop:pears", "GET", "foo")).toBe("bar");
    expect(await as("shop:pears", "SET", "foo", "bar")).toMatch(/^NOPERM /);
    expect(await as("shop:apples", "GET", "foo")).toMatch(/WRONGPASS|NOAUTH/);
    await rename(routerKey, `${routerKey}.away`);
    await expect(runner.pulumi("preview")).rejects.toThrow(
      /reach\.conf:8:1: tls-key router\.key: ENOENT: .*\n.*remedy: create the file on the machine/,
    );
    await rename(`${routerKey}.away`, routerKey);

    // Certificates of somebody else are refused by the engine, and the error names the engine.
    const other = await makeCertificates(join(fleet.folder, "other-certs"), db1.address);
    const key = "twine:hosts.db1.certPath";
    await runner.stack.setAllConfig({ [key]: { value: other.certPath } }, true);
    const refused = `twine:hosts["db1"] ${tcp}: no Docker engine answers there`;
    await expect(runner.pulumi("preview")).rejects.toThrow(refused);
    await runner.stack.setAllConfig({ [key]: { value: join(fleet.folder, "certs") } }, true);
    await runner.pulumi("preview", "--expect-no-changes");
    await runner.destroy();
    for (const host of [db1, db2]) await expectNothingLeft(host);
  });

  /** redis-cli through the first router, as `user`: NAME:PASSWORD. */
  async function asUser(
    runner: StackRunner,
    on: EngineHost,
    user: string,
    ...args: string[]
  ): Promise<string> {
    const [url = ""] = await outputs(runner, "routerUrls");
    expect(url).toMatch(/^rediss:\/\/app:/);
    const other = url.replace(/\/\/.*@/, `//${user}@`);
    return (await on.run("redis-cli", "--no-auth-warning", "-u", other, ...args)).trim();
  }

  test("twine:engine with certificates takes them from twine:engineAccess", async () => {
    const tcp = `tcp://${fleet.host("db1").address}:${TLS_PORT}`;
    const config = {
      "twine:engine": { value: tcp },
      "twine:engineAccess.certPath": { value: join(fleet.folder, "certs") },
    };
    const runner = await openShipped(fleet, "near", config, root);
    expect(await runner.pulumi("preview")).toMatch(/\+ \d\d to create/);
    await runner.stack.setAllConfig({ "twine:engineAccess.certpath": { value: "/x" } }, true);
    const refused = runner.pulumi("preview");
    await expect(refused).rejects.toThrow(
      /twine:engineAccess\.certpath is no property of an endpoint; .*did you mean certPath\?/,
    );
  });
});
