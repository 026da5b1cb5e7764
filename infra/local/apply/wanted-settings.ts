// wanted-settings.ts: computes what CONFIG GET of a data node must return, from its redis.conf: starts a redis-server
// without a port on a copy of the file in a private folder, asks it, and ends it.
//
// So every setting is compared in Redis's own form, a removed line means the server's default, and a line that Redis
// refuses is found before any node has changed.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { TwineError } from "../../../runtime/core/errors.ts";
import {
  parseRedisConf,
  wantedSettings as wantedOf,
  type SettingDifference,
} from "../../../runtime/core/conf/redis-values.ts";
import { endChild, hasEnded } from "../processes/end-child.ts";
import { isOfTwine } from "../processes/running-conf.ts";
import type { RedisProgram } from "../install/redis-program.ts";

const UP_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 10;
const END_WITHIN_MS = 2000;

export type Settings = ReadonlyMap<string, string>;

/** Lines with a path, a role or a secret: they belong to the node, and would disturb it or the machine. */
const PLACES =
  /^\s*(port|bind|dir|logfile|pidfile|aclfile|masteruser|masterauth|replicaof|unixsocket|daemonize|supervised|replica-announce-\S+)\s/i;

/** Settings of the process and its machine: they differ in a second process. */
const OF_THE_PROCESS =
  /^(unixsocket.*|pidfile|daemonize|supervised|aclfile|user|oom-score-adj.*|cluster-announce-.*)$/;

/** CONFIG GET of all settings. Throws CONF_REFUSED with Redis's error when it does not start with this file. */
export async function settingsWith(program: RedisProgram, confText: string): Promise<Settings> {
  const folder = await mkdtemp(join(tmpdir(), "twine-conf-"));
  try {
    const lines = confText.split("\n").filter((line) => !PLACES.test(line));
    const own = ["port 0", "unixsocket socket", `dir ${folder}`, 'logfile ""'];
    const conf = join(folder, "redis.conf");
    await writeFile(conf, [...lines, ...own, ""].join("\n"), { mode: 0o600 });
    return await askScratch(program, folder, conf);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

async function askScratch(program: RedisProgram, folder: string, conf: string): Promise<Settings> {
  let words = "";
  const child = spawn(program.path, [conf], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const hear = (chunk: Buffer): void => {
    words = (words + chunk.toString()).slice(-4096);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.on("error", (error) => {
    words = error.message;
  });
  try {
    return await whenUp(child, join(folder, "socket"), () => words);
  } finally {
    // It has no data: nothing has to be saved.
    child.kill("SIGKILL");
    if (child.pid !== undefined) await endChild(child, END_WITHIN_MS);
  }
}

async function whenUp(child: ChildProcess, path: string, words: () => string): Promise<Settings> {
  const endMs = performance.now() + UP_WITHIN_MS;
  for (;;) {
    const found = await configAt(path).catch(() => undefined);
    if (found !== undefined) return found;
    if (child.pid === undefined || hasEnded(child) || performance.now() > endMs) {
      throw refused(words());
    }
    await delay(LOOK_EVERY_MS);
  }
}

async function configAt(path: string): Promise<Settings> {
  const redis = new Redis({
    path,
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    commandTimeout: UP_WITHIN_MS,
  });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return pairsOf((await redis.call("CONFIG", "GET", "*")) as string[]);
  } finally {
    redis.disconnect();
  }
}

export function pairsOf(flat: readonly string[]): Settings {
  const pairs = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.set(flat[at] ?? "", flat[at + 1] ?? "");
  return pairs;
}

function refused(words: string): TwineError {
  return new TwineError({
    code: "CONF_REFUSED",
    message: `redis-server does not start with the new redis.conf; nothing was changed. It says:\n${words.trim().split("\n").slice(-6).join("\n")}`,
    remedy: "correct the `redis` line of twine.conf that it names, and run twine-apply again",
  });
}

/**
 * The settings that differ in the running node. `isSameServer`: both have the same version; with another version only the
 * lines of the file are compared, because defaults change between versions.
 */
export function differencesOf(
  wanted: Settings,
  actual: Settings,
  confText: string,
  isSameServer: boolean,
): SettingDifference[] {
  const named = wantedOf(parseRedisConf(confText), () => false);
  return [...wanted].flatMap(([setting, value]) => {
    const has = actual.get(setting);
    if (has === undefined || has === value) return [];
    if (isOfTwine(setting) || OF_THE_PROCESS.test(setting) || isAlias(setting, wanted)) return [];
    // Redis lowers it to the number of files that its process may open, and the scratch process may have another limit.
    if (setting === "maxclients" && !named.has(setting)) return [];
    if (!isSameServer && !named.has(setting)) return [];
    return [{ setting, wanted: value, actual: has }];
  });
}

/** CONFIG GET shows some settings under an older name as well. */
function isAlias(setting: string, all: Settings): boolean {
  if (setting === "lua-time-limit") return all.has("busy-reply-threshold");
  const newer = setting.replace("ziplist", "listpack").replace(/\bslave/, "replica");
  return newer !== setting && all.has(newer);
}
