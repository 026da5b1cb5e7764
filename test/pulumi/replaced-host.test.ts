// One host of several is gone for good, and another machine takes its place under the same name.
// Method: a partition of two nodes on db1 and db2; db2's engine is killed, and the endpoint of db2 set to a third engine.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet } from "../support/docker-engines.ts";
import { expectNothingLeft, hostsConfig, openShipped, redis, untilOk } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";

const HOSTS = ["db1", "db2", "spare"];
const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
  "r1=router db1 6400",
];

describe.skipIf(isMissingForPulumi())("a host that is gone for good", () => {
  let fleet: EngineFleet;

  beforeAll(async () => {
    fleet = await startEngines(HOSTS);
    await importBaseImages(
      HOSTS.map((name) => fleet.host(name)),
      fleet.folder,
    );
  });

  afterAll(async () => {
    await fleet.stop();
  });

  test("is replaced by naming the new one, which gets its nodes and their data; a live one is not given up", async () => {
    const [db1, db2, spare] = [fleet.host("db1"), fleet.host("db2"), fleet.host("spare")];
    const conf = join(fleet.folder, "replaced.conf");
    await writeFile(conf, `${CONF.join("\n")}\n`);
    const runner = await openShipped(fleet, "replaced", {
      "twine:conf": { value: conf },
      "twine:password": { value: "correct-horse-battery", secret: true },
      ...hostsConfig(fleet, ["db1", "db2"]),
    });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "SET", "foo", "bar")).toBe("OK");

    const place = {
      "twine:hosts.db2.docker": { value: spare.endpoint },
      "twine:hosts.db2.address": { value: spare.address },
    };
    await runner.stack.setAllConfig(place, true);
    await expect(runner.up()).rejects.toThrow(
      `twine:hosts["db2"] ${spare.endpoint} is another Docker engine`,
    );
    expect(await spare.docker.listContainers({ all: true })).toEqual([]);

    await db2.kill();
    // It may fail where it looks for what the new one has not yet, and has written down where to look from now on.
    const told = await runner.stack.up({ color: "never" }).then(
      ({ stdout }) => stdout,
      (error: unknown) => String(error),
    );
    expect(told).toContain(
      `twine:hosts["db2"] ${spare.endpoint} replaces ${db2.endpoint}, which does not answer`,
    );
    await runner.up({ refresh: true });
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "GET", "foo")).toBe("bar");
    const names = (await spare.docker.listContainers()).flatMap((one) => one.Names);
    expect(names).toEqual(["/replaced-a2"]);
    expect(await runner.preview()).toEqual({});
    await runner.destroy();
    for (const host of [db1, spare]) await expectNothingLeft(host);
  });
});
