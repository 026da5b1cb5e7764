// changes.ts: every change of examples/three-hosts.conf as one `pulumi up` on three Docker engines of this machine, under a checked
// writer through the routers: what was replaced, errors, handovers, the longest gap of a client, and what was lost.
// `node bench/changes.ts --help`; needs what test/pulumi needs (docs/testing-pulumi.md), and `npm run build` before.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { loadavg } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { REDIS_IMAGE, importBaseImages } from "../test/support/base-images.ts";
import { startEngines, type EngineFleet } from "../test/support/docker-engines.ts";
import { ROOT } from "../test/support/source-files.ts";
import { beginChanges, type ChangeRun, type ChangeSeen } from "../test/pulumi/changes.ts";
import { hostsConfig, openShipped, untilOk } from "../test/pulumi/cluster-probe.ts";
import type { StackRunner } from "../test/pulumi/stack-runner.ts";

const HOSTS = ["db1", "db2", "db3"];
const PASSWORD = "correct-horse-battery";
const OTHER_PASSWORD = "another-word";
const OTHER_IMAGE = "redis:7.0.15-other";
const NEWER_IMAGE = "redis:newer";
/** Parts of glibc that an older build asks for by name. */
const LIBRARIES = ["libdl.so.2", "librt.so.1", "libpthread.so.0"];

const LOG_SIZE = { maxBuffer: 256 * 1024 * 1024 };

type Step = readonly [name: string, edit: (conf: string) => string, before?: () => Promise<void>];

const { json, newer, only } = new Command("bench/changes.ts")
  .description("Makes each change in turn and prints what clients saw of it, as a table.")
  .option("--newer <file>", "another redis-server: the last change is to an image with it")
  .option("--only <words...>", "only the changes whose name has one of these words")
  .option("--json <file>", "where every change is written down", ".cache/bench/changes.json")
  .parse()
  .opts<{ json: string; newer?: string; only?: string[] }>();

const same = (text: string): string => text;

/** In this order: each begins where the one before it ended. */
function stepsOf(fleet: EngineFleet, { stack }: StackRunner): readonly Step[] {
  const secret = (key: string, value: string) => stack.setConfig(key, { value, secret: true });
  return [
    ["nothing", same],
    ["a directive that Redis takes while it runs", (text) => `${text}redis hz 20\n`],
    ["the same directive away", (text) => text.replace("redis hz 20\n", "")],
    ["`down-after`, of monitors and routers", (text) => `${text}down-after 2s\n`],
    ["a replica added", (text) => `${text}a4=data 0 db1 6669 0\n`],
    ["a router added", (text) => `${text}r3=router db3 6420\n`],
    ["a replica moved", (text) => text.replace("a4=data 0 db1", "a4=data 0 db2")],
    ["a master removed", (text) => text.replace(/^b1=.*\n/m, "")],
    [
      "another password, the old one counts",
      same,
      async () => {
        await secret("twine:oldPassword", PASSWORD);
        await secret("twine:password", OTHER_PASSWORD);
      },
    ],
    ["a directive that is taken at the start", (text) => `${text}redis tcp-backlog 100\n`],
    [
      "the image of Redis",
      same,
      async () => {
        for (const host of HOSTS) makeOtherImage(fleet, host);
        await stack.setConfig("twine:redisImage", { value: OTHER_IMAGE });
      },
    ],
    ...(newer === undefined ? [] : [newerStep(fleet, stack, newer)]),
  ];
}

function newerStep(fleet: EngineFleet, stack: StackRunner["stack"], program: string): Step {
  const before = async (): Promise<void> => {
    for (const host of HOSTS) makeNewerImage(fleet, host, program);
    await stack.setConfig("twine:redisImage", { value: NEWER_IMAGE });
  };
  return ["another version of Redis", same, before];
}

/** The image with another redis-server, which its PATH finds first. */
function makeNewerImage(fleet: EngineFleet, host: string, program: string): void {
  const docker = (...args: string[]): string =>
    execFileSync("docker", ["-H", fleet.host(host).endpoint, ...args])
      .toString()
      .trim();
  const id = docker("create", REDIS_IMAGE, "true");
  docker("cp", "-L", program, `${id}:/usr/local/bin/redis-server`);
  for (const library of LIBRARIES) {
    const file = `/lib/x86_64-linux-gnu/${library}`;
    docker("cp", "-L", file, `${id}:${file}`);
  }
  docker("commit", id, NEWER_IMAGE);
  docker("rm", id);
}

/** The same programs under another id. */
function makeOtherImage(fleet: EngineFleet, host: string): void {
  const docker = (...args: string[]): string =>
    execFileSync("docker", ["-H", fleet.host(host).endpoint, ...args])
      .toString()
      .trim();
  const id = docker("create", REDIS_IMAGE, "true");
  docker("commit", "--change", "LABEL twine=other", id, OTHER_IMAGE);
  docker("rm", id);
}

async function measure(steps: readonly Step[], run: ChangeRun): Promise<ChangeSeen[]> {
  const seen: ChangeSeen[] = [];
  for (const [name, edit, before] of steps) {
    if (only !== undefined && !only.some((word) => name.includes(word))) continue;
    await before?.();
    const one = await run.change(name, edit);
    process.stderr.write(`${JSON.stringify(one)}\n`);
    seen.push(one);
  }
  return seen;
}

function rowOf({ name, operations, seconds, errors, longestGapMs, handovers }: ChangeSeen): string {
  const done = Object.entries(operations).map(([kind, count]) => `${kind} ${count}`);
  const failed = Object.entries(errors).map(([kind, count]) => `${count} ${kind}`);
  const words = [
    ...[name, done.join(", ") || "none", String(seconds), failed.join(", ") || "0"],
    ...[longestGapMs.toFixed(0), String(handovers)],
  ];
  return `| ${words.join(" | ")} |`;
}

async function keepLogs(engines: EngineFleet): Promise<void> {
  for (const name of HOSTS) {
    const { docker, endpoint } = engines.host(name);
    for (const { Id: id, Names: names } of await docker.listContainers({ all: true })) {
      const file = resolve(`${json}-logs${names[0] ?? id}.log`);
      mkdirSync(dirname(file), { recursive: true });
      const log = execFileSync("sh", ["-c", `docker -H ${endpoint} logs -t ${id} 2>&1`], LOG_SIZE);
      writeFileSync(file, log);
    }
  }
  process.stderr.write(`the logs of all containers: ${resolve(`${json}-logs`)}\n`);
}

const fleet = await startEngines(HOSTS);
try {
  await importBaseImages(
    HOSTS.map((name) => fleet.host(name)),
    fleet.folder,
  );
  const confFile = join(fleet.folder, "three-hosts.conf");
  await cp(join(ROOT, "examples/three-hosts.conf"), confFile);
  const runner = await openShipped(fleet, "production", {
    "twine:conf": { value: confFile },
    ...hostsConfig(fleet, HOSTS),
    "twine:password": { value: PASSWORD, secret: true },
  });
  const on = fleet.host("db1");
  await runner.up();
  await untilOk(runner, on);
  const routers = [
    { name: "r1", host: on.address, port: 6400 },
    { name: "r2", host: fleet.host("db2").address, port: 6410 },
  ];
  const run = beginChanges({
    fleet,
    runner,
    on,
    confFile,
    routers,
    password: PASSWORD,
    hosts: HOSTS,
  });
  const loadBefore = loadavg()[0] ?? 0;
  const seen = await measure(stepsOf(fleet, runner), run);
  const check = await run.end();
  const file = resolve(json);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ seen, check }, null, 2)}\n`);
  const head = "| change | containers and volumes | s | errors | longest gap ms | handovers |";
  const lines = [head, "| --- | --- | ---: | --- | ---: | ---: |", ...seen.map(rowOf)];
  process.stdout.write(`${lines.join("\n")}\n`);
  const loads = `load ${loadBefore.toFixed(0)} before, ${(loadavg()[0] ?? 0).toFixed(0)} after`;
  process.stdout.write(
    `${check.acknowledged} keys acknowledged, ${check.lost} lost, ${check.unread} not read; ${loads}\n`,
  );
} catch (error) {
  // The engines and their logs are gone in a moment.
  await keepLogs(fleet);
  throw error;
} finally {
  await fleet.stop();
}
