// A partition function of the user's own in a whole local cluster: known by what it does, whatever its path.
import { execFile } from "node:child_process";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

/** By the last byte, or by the first: half of all keys lie elsewhere. */
const BY_LAST = "export default (key, partitions) => (key.at(-1) ?? 0) % partitions;\n";
const BY_FIRST = "export default (key, partitions) => (key.at(0) ?? 0) % partitions;\n";

let cluster: FaultCluster;

const inFolder = (name: string): string => join(cluster.folder, name);

interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Runs a tool on the cluster's twine.conf, or on `conf`. */
async function run(tool: string, args: readonly string[], conf = "twine.conf"): Promise<Ran> {
  const env = { ...process.env, TWINE_CONF: inFolder(conf) };
  const ran = promisify(execFile)(process.execPath, [binPath(tool, "runtime"), ...args], { env });
  return ran.then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: unknown) => {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, output: stdout + stderr };
    },
  );
}

describe.skipIf(isMissing("redis-server"))(
  "a cluster with a partition function of the user's own",
  () => {
    beforeAll(async () => {
      cluster = await FaultCluster.create(`${TWO_PARTITIONS}hash ./mine.mjs\ncluster own-hash\n`);
      await writeFile(inFolder("mine.mjs"), BY_LAST);
      await cluster.start();
    });

    afterAll(async () => {
      await cluster.remove();
    });

    test("the view names the function with its fingerprint", async () => {
      const { hashing } = (await cluster.view()) ?? {};
      expect(hashing).toMatchObject({
        kind: "module",
        name: "./mine.mjs",
        partitions: 2,
        tag: null,
      });
      expect(hashing?.fingerprint).toMatch(/^[0-9a-f]{16}$/);
      expect(await cluster.ask("r1", "SET", "1b", "kept")).toBe("OK");
    });

    test("another function under the same path is refused by every tool, with both fingerprints", async () => {
      await writeFile(inFolder("mine.mjs"), BY_FIRST);
      const fingerprint = (await cluster.view())?.hashing?.fingerprint ?? "";
      const asked = await run("twine", ["get", "1b"]);
      expect(asked.code).not.toBe(0);
      expect(asked.output).toMatch(
        /the keys are placed by .*fingerprint .*this twine\.conf says .*fingerprint/,
      );
      expect(asked.output).toContain(fingerprint);
      const status = await run("twine-status", []);
      expect(status.output).toContain("sends keys to other partitions");
      // What runs still has the old function.
      expect(await cluster.ask("r1", "GET", "1b")).toBe("kept");
    });

    test("a router that starts with it routes nothing and says why; a monitor does not lead", async () => {
      await cluster.kill("r1");
      await cluster.heal();
      const ask = (): Promise<unknown> =>
        cluster.ask("r1", "GET", "1b").catch((error: unknown) => String(error));
      await until("the router answers", async () => !/ECONN/.test(String(await ask())));
      await until("the router has the view", async () =>
        /nothing is routed/.test(String(await ask())),
      );
      expect(await ask()).toMatch(
        /TWINEDOWN nothing is routed: the keys are placed by .*fingerprint/,
      );
      await cluster.kill("m1", "m2", "m3");
      const before = await cluster.view();
      await cluster.heal();
      await until("a monitor refuses to lead", async () => {
        const lines = await Promise.all(["m1", "m2", "m3"].map((name) => cluster.log(name)));
        return lines
          .flat()
          .some(({ msg, why }) => msg === "-conf" && /fingerprint/.test(String(why)));
      });
      expect((await cluster.view())?.epoch).toBe(before?.epoch);
    });

    test("the same function under another path is accepted", async () => {
      await writeFile(inFolder("mine.mjs"), BY_LAST);
      await cluster.kill("r1", "m1", "m2", "m3");
      await cluster.heal();
      await cluster.viewWhere("OK", ({ state }) => state === "OK");
      await rename(inFolder("mine.mjs"), inFolder("moved.mjs"));
      const conf = `${TWO_PARTITIONS}hash ./moved.mjs\ncluster own-hash\n`;
      const text = conf.replace(/\{([A-Za-z0-9]+)\}/g, (_, name: string) =>
        String(cluster.port(name)),
      );
      await writeFile(inFolder("twine.conf"), text);
      expect(await run("twine", ["get", "1b"])).toEqual({ code: 0, output: "kept\n" });
      for (const name of ["m1", "m2", "m3"]) process.kill(await cluster.pid(name), "SIGHUP");
      await cluster.viewWhere("the new path", ({ hashing }) => hashing?.name === "./moved.mjs");
      expect((await run("twine-status", [])).output).toContain("Nothing is wrong.");
    });

    test("a view of the previous version is read, and the next alpha records the fingerprint", async () => {
      // Method: no monitor runs, the view is written anew with the sentence that the previous version wrote.
      await cluster.kill("m1", "m2", "m3");
      const view = await cluster.view();
      if (view === null) throw new Error("there is no view");
      const { config } = cluster;
      const ports = { config, password: undefined, clock: systemClock, openLink: openRedisLink };
      const opened = openAcceptors({ ...ports, user: "monitor" }, () => undefined);
      const proposer = createProposer({
        ...{ name: "m1", cluster: "own-hash", acceptors: opened.acceptors },
        ...{ random: systemRandom, clock: systemClock },
      });
      await until("a promise", async () => (await proposer.prepare()).kind === "prepared");
      const old = { ...view, hashing: "./moved.mjs over 2 partitions, no hash tag" };
      const [epoch, revision] = [view.epoch + 1, view.revision + 1];
      const body = JSON.stringify({ ...old, epoch, revision });
      expect(await proposer.write({ body, epoch, revision })).toMatchObject({ kind: "chosen" });
      opened.close();
      expect(await run("twine", ["get", "1b"])).toEqual({ code: 0, output: "kept\n" });
      await cluster.heal();
      const { hashing } = await cluster.viewWhere("a new alpha", (seen) => seen.epoch > epoch);
      expect(hashing?.fingerprint).toBe(view.hashing?.fingerprint);
    });
  },
);
