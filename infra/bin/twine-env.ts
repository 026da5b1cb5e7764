#!/usr/bin/env node
// twine-env: temporary clusters of local processes, or of containers on one Docker engine: up, down, list, chaos.
//   up     starts a keeper (keep), waits until the cluster is OK, prints its endpoints as JSON
//   keep   the process that keeps one cluster; started by up and by startCluster()
import { requireTwinesMonitors } from "../../runtime/core/not-with-sentinel.ts";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { twineHome } from "../../runtime/cli/package-root.ts";
import {
  findConf,
  loadConf,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { parseDuration } from "../../runtime/core/conf/durations.ts";
import { EXIT, TwineError, usageError } from "../../runtime/core/errors.ts";
import {
  envsRoot,
  folderOf,
  isKept,
  listEnvironments,
  readEnvironment,
  unknownName,
  type Environment,
} from "../env/env-folder.ts";
import { chaosLines, isKept as isKeptAll, renderChaosPage } from "../env/chaos/report-page.ts";
import { runChaos } from "../env/chaos/run-chaos.ts";
import { keepOnEngine, removeLeft } from "../env/docker-keeper.ts";
import { keep } from "../env/keeper.ts";
import { startKeeper } from "../env/start-cluster.ts";
import { interruption } from "../local/interruption.ts";
import { startTimeOf } from "../local/processes/processes.ts";
import { plainProgress } from "../local/progress.ts";

interface EnvOptions extends ToolOptions {
  readonly ttl?: string;
  readonly wait: string;
  readonly owner?: string;
  readonly minutes: string;
  readonly seed?: string;
  readonly report?: string;
  readonly cuts: boolean;
  readonly local?: boolean;
  readonly engine?: string;
  readonly redisImage?: string;
}

const DOWN_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 50;
const MINUTES_MAX = 60;
const SEED_MAX = 2 ** 32 - 1;
/** chaos: a guarantee was broken. */
const BROKEN = 3;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-env",
    summary:
      "Temporary clusters: processes on this machine, each cluster with its own addresses (127.A.B.C), or with --engine containers on a Docker engine, each with its own ports. Many run side by side.",
    dir: "ignored: environments lie in $TWINE_ENVS, else ~/.local/state/twine/envs",
    examples: [
      "$ twine-env up ci --conf twine.conf --ttl 30m",
      "$ URL=$(twine-env up ci --owner $$ | jq -r '.routerUrls[0]')",
      "$ twine-env up ci --engine unix:///var/run/docker.sock",
      "$ twine-env list",
      "$ twine-env down ci",
      "$ twine-env chaos ci --minutes 5 --seed 7   # writes chaos-ci/report.html and report.json",
      "$ twine-env chaos ci --seed 7 --no-cuts     # kills and pauses alone; cuts need root and nft",
    ],
    exitCodes: {
      0: "up: the cluster is OK; down: nothing is left",
      3: "chaos: something that the settings promise was not kept; the report says what",
      130: "interrupted; up: nothing is left; chaos: every node runs again",
    },
  });
  program
    .argument("<command>", "up NAME, down NAME, chaos NAME, or list")
    .argument("[name]", "of the environment")
    .option("--ttl <time>", "up: end it after this time, e.g. 30m")
    .option("--local", "up: processes of this machine, which is what there is without --engine")
    .option(
      "--engine <url>",
      "up: containers on this Docker engine, by Pulumi, whose CLI is on PATH",
    )
    .option("--redis-image <image>", "up with --engine: image of Redis or Valkey")
    .option("--wait <time>", "up: how long the cluster may take to be OK", "60s")
    .option("--owner <pid>", "up: end it when this process ends")
    .option("--minutes <number>", "chaos: how long, at most 60", "5")
    .option("--seed <number>", "chaos: decides the faults; at random when absent")
    .option("--no-cuts", "chaos: kill and pause nodes, but cut none off the network")
    .option("--report <folder>", "chaos: where the report goes (default: chaos-NAME)");
  program.parse();
  const [command = "", name] = program.args;
  const options = program.opts<EnvOptions>();
  switch (command) {
    case "up":
      return await up(named(name, program), options);
    case "down":
      return await down(named(name, program));
    case "chaos":
      return await chaos(named(name, program), options);
    case "list":
      return await list(options);
    case "keep":
      return await keepOne(named(name, program), options);
    default:
      throw usage(`there is no command ${command}`);
  }
}

function named(name: string | undefined, program: Command): string {
  if (name !== undefined) return name;
  throw usage(`${program.args[0] ?? "it"} needs the name of an environment`);
}

function usage(message: string): TwineError {
  const remedy = "twine-env up NAME, twine-env down NAME, twine-env chaos NAME, or twine-env list";
  return usageError("USAGE", message, remedy);
}

async function up(name: string, options: EnvOptions): Promise<number> {
  const ttlMs = options.ttl === undefined ? undefined : durationOf("--ttl", options.ttl);
  const conf = findConf(options);
  // All errors in the file or the password are reported here, before a keeper is started.
  const { config } = loadConf(options);
  requireTwinesMonitors(config, "twine-env", "twine-up --conf FILE --dir FOLDER");
  readPassword();
  const { engine, redisImage } = engineOf(options);
  const signal = interruption();
  const { environment } = await startKeeper({
    name,
    conf,
    owner: "none",
    waitMs: durationOf("--wait", options.wait),
    signal,
    onNote: (line) => process.stderr.write(`${line}\n`),
    ...(engine === undefined ? {} : { engine }),
    ...(redisImage === undefined ? {} : { redisImage }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(options.owner === undefined ? {} : { ownerPid: ownerOf(options.owner) }),
  });
  process.stdout.write(`${JSON.stringify(environment, null, 2)}\n`);
  return EXIT.ok;
}

async function down(name: string): Promise<number> {
  const root = envsRoot();
  const environment = await readEnvironment(root, name);
  if (environment === undefined) throw await unknownName(root, name);
  if (await isKept(environment)) {
    process.kill(environment.pid, "SIGTERM");
    const endMs = performance.now() + DOWN_WITHIN_MS;
    while (await isKept(environment)) {
      if (performance.now() > endMs) throw keeperHangs(environment);
      await delay(LOOK_EVERY_MS);
    }
  }
  // The keeper was killed: its nodes were killed with it, but not those that had been restarted.
  await removeLeft(environment.conf, folderOf(root, name), environment.engine);
  process.stderr.write(`${name}: nothing is left\n`);
  return EXIT.ok;
}

/** Throws USAGE. */
function engineOf({ local, engine, redisImage }: EnvOptions): {
  readonly engine: string | undefined;
  readonly redisImage: string | undefined;
} {
  if (local === true && engine !== undefined)
    throw usage("--local and --engine exclude each other");
  if (redisImage !== undefined && engine === undefined) {
    throw usage("--redis-image needs --engine: local processes use the Redis of this machine");
  }
  if (engine !== undefined && !/^(unix|tcp|npipe):\/\/./.test(engine)) {
    throw usage(`--engine ${engine} is no unix://, npipe:// or tcp:// address`);
  }
  return { engine, redisImage };
}

function keeperHangs({ name, pid, folder }: Environment): TwineError {
  return new TwineError({
    code: "ENV_HANGS",
    message: `the keeper of ${name}, process ${pid}, did not end within ${DOWN_WITHIN_MS / 1000} s`,
    remedy: `see ${folder}/keeper.log; kill -9 ${pid} ends its nodes too, then run twine-env down ${name} again`,
  });
}

async function chaos(name: string, options: EnvOptions): Promise<number> {
  if (options.conf !== undefined) {
    throw usage("chaos takes the name of an environment, and no twine.conf");
  }
  const durationMs = numberOf("--minutes", options.minutes, MINUTES_MAX) * 60_000;
  const seed =
    options.seed === undefined
      ? randomInt(SEED_MAX)
      : Math.floor(numberOf("--seed", options.seed, SEED_MAX));
  const root = envsRoot();
  const environment = await readEnvironment(root, name);
  if (environment === undefined) throw await unknownName(root, name);
  if (environment.engine !== undefined) {
    throw usage("chaos does its faults to processes of this machine, and not to containers");
  }
  const signal = interruption();
  const home = twineHome();
  const report = await runChaos({
    environment,
    seed,
    durationMs,
    hasCuts: options.cuts,
    password: readPassword(),
    home,
    signal,
    onNote: (line) => process.stderr.write(`${line}\n`),
  });
  const folder = resolve(options.report ?? `chaos-${name}`);
  const template = await readFile(join(home.templatesFolder, "chaos.html.hbs"), "utf8");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(folder, "report.html"), renderChaosPage(report, template));
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(`${[...chaosLines(report), `report: ${folder}`].join("\n")}\n`);
  if (!isKeptAll(report)) return BROKEN;
  return signal.aborted ? EXIT.interrupted : EXIT.ok;
}

function numberOf(option: string, text: string, max: number): number {
  const number = Number(text);
  if (text.trim() !== "" && number >= 0 && number <= max) return number;
  throw usage(`${option} ${text} is no number from 0 to ${max}`);
}

async function list({ json }: EnvOptions): Promise<number> {
  const found = await listEnvironments(envsRoot());
  const rows = await Promise.all(
    found.map(async (one) => ({ ...one, isRunning: await isKept(one) })),
  );
  if (json === true) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else {
    for (const { name, isRunning, since, until, routerUrls } of rows) {
      const state = isRunning ? "running" : "left over";
      const end = until === null ? "" : `, ends ${until}`;
      process.stdout.write(`${name}: ${state}, since ${since}${end}; ${routerUrls.join(" ")}\n`);
    }
  }
  return EXIT.ok;
}

async function keepOne(name: string, options: EnvOptions): Promise<number> {
  const tell = (line: object): void => {
    // The reader may have gone; the keeper then ends by its own rules.
    if (process.stdout.writable) process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  process.stdout.on("error", () => undefined);
  const over = new AbortController();
  const end = (): void => {
    over.abort();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
  watchOwner(options.owner, end, over.signal);
  try {
    const config = loadConf(options).config;
    const request = {
      name,
      folder: folderOf(envsRoot(), name),
      config,
      password: readPassword(),
      ttlMs: options.ttl === undefined ? undefined : durationOf("--ttl", options.ttl),
      waitMs: durationOf("--wait", options.wait),
      home: twineHome(),
      progress: plainProgress((note) => {
        tell({ note });
      }),
      signal: over.signal,
    };
    const onReady = (ready: Environment): void => {
      tell({ ready });
    };
    const { engine, redisImage } = options;
    if (engine === undefined) await keep(request, onReady);
    else await keepOnEngine({ ...request, engine, redisImage }, onReady);
    return EXIT.ok;
  } catch (error) {
    const problems = error instanceof TwineError ? error.problems : undefined;
    tell({ failed: problems ?? [{ code: "ENV_FAILED", message: String(error) }] });
    if (problems === undefined) throw error;
    return EXIT.failure;
  } finally {
    over.abort();
    process.stdin.destroy();
  }
}

/** pipe: the owner has ended when standard input has ended. */
function watchOwner(owner: string | undefined, end: () => void, signal: AbortSignal): void {
  if (owner === undefined) return;
  if (owner === "pipe") {
    process.stdin.resume();
    void once(process.stdin, "close").then(end, end);
    return;
  }
  void untilGone(ownerOf(owner), signal).then(end, end);
}

async function untilGone(pid: number, signal: AbortSignal): Promise<void> {
  const startTime = await startTimeOf(pid);
  while (startTime !== undefined && (await startTimeOf(pid)) === startTime) {
    await delay(500, undefined, { signal });
  }
}

function ownerOf(text: string): number {
  const pid = Number(text);
  if (Number.isSafeInteger(pid) && pid > 1) return pid;
  throw new TwineError(
    {
      code: "USAGE",
      message: `--owner ${text} is not a process id`,
      remedy: "for example --owner $$",
    },
    { exitCode: EXIT.usage },
  );
}

function durationOf(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new TwineError(
    {
      code: "USAGE",
      message: `${option} ${text} is not a duration`,
      remedy: `for example ${option} 30s`,
    },
    { exitCode: EXIT.usage },
  );
}

await runTool(main);
