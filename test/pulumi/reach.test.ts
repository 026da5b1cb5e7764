// Engines on other machines: tcp:// with TLS certificates and ssh:// with options, one host each of the same cluster.
// Method: pulumi itself runs in the network of db1, since nobody else can reach the hosts' addresses.
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet } from "../support/docker-engines.ts";
import { TLS_PORT, makeCertificates, startSshd } from "../support/engine-doors.ts";
import { spaceOf } from "../support/engine-sweep.ts";
import { isMissing } from "../support/programs.ts";
import { pulumiRoot } from "./cli/pulumi-cli.ts";
import { expectNothingLeft, openShipped, redis, untilOk } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";

const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db1 6400",
];

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
    // As the docs advise: one connection that the others share.
    const shared = ["-o", "ControlMaster=auto", "-o", `ControlPath=${fleet.folder}/%C`];
    const options = [...sshOpts, ...shared, "-o", "ControlPersist=60s"];
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
    expect(await redis(runner, db2, "SET", "foo", "bar")).toBe("OK");
    expect(await runner.up()).toEqual({});

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
