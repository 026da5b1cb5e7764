// data-form.ts: starts a node so that it loads the data in its folder.
// Redis loads only one file: with `appendonly yes` the append only file, otherwise dump.rdb. A node whose setting was
// changed while it was stopped, or whose folder was copied from elsewhere, would start empty and overwrite its data at the
// next save.
//
//   in the folder     redis.conf        what happens
//   dump.rdb alone    appendonly yes    started with --appendonly no, then switched on while it runs
//   append only file  appendonly no     refused: Redis can't write an RDB from it before it is a node of the cluster
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { withNode } from "../ask.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere } from "../files/files.ts";
import { askAddress, type Target } from "../targets.ts";
import { errorText } from "../../../runtime/core/error-text.ts";

const LOOK_EVERY_MS = 50;

/** How to start the node so that it loads its data. */
export type Loading = "as configured" | "rdb first";

/** Throws DATA_IN_AOF. */
export async function loadingOf({ service, paths }: Target): Promise<Loading> {
  if (service.kind !== "data") return "as configured";
  const conf = (await readIfThere(join(paths.folder, "redis.conf"))) ?? "";
  const data = join(paths.folder, service.dataFolder ?? "data");
  const hasAof = await holdsAof(data);
  if (!isOn(conf)) {
    if (hasAof) throw dataInAof(service.name, data);
    return "as configured";
  }
  return !hasAof && (await isFull(join(data, "dump.rdb"))) ? "rdb first" : "as configured";
}

/** The last `appendonly` line counts, as for Redis. */
function isOn(conf: string): boolean {
  const values = [...conf.matchAll(/^\s*appendonly\s+"?(\w+)/gim)];
  return values.at(-1)?.[1]?.toLowerCase() === "yes";
}

/** A manifest since Redis 7; before that a single file, which Redis 7 still accepts. */
async function holdsAof(data: string): Promise<boolean> {
  const names = await readdir(join(data, "appendonlydir")).catch(() => []);
  const hasManifest = names.some((name) => name.endsWith(".manifest"));
  return hasManifest || (await isFull(join(data, "appendonly.aof")));
}

async function isFull(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && found.size > 0,
    () => false,
  );
}

function dataInAof(name: string, data: string): TwineError {
  return new TwineError({
    code: "DATA_IN_AOF",
    message:
      `node ${name} has its data in an append only file in ${data}, and its redis.conf says appendonly no: ` +
      "Redis would not load it",
    remedy:
      "write `redis appendonly yes` again, run twine-setup and twine-start; then, on every data node while it runs: " +
      "CONFIG SET appendonly no, BGSAVE, and when LASTSAVE has changed move data/appendonlydir away; " +
      "then remove the line and run twine-setup",
  });
}

/**
 * Switches the append only file on in a node that runs without it, and returns when the file holds all data.
 * Throws AOF_FAILED when Redis can't write it.
 */
export async function switchAofOn(
  context: LocalContext,
  { service, paths }: Target,
  signal: AbortSignal,
): Promise<void> {
  const node = {
    address: askAddress(service),
    port: service.health.port,
    credentials: credentialsOf("monitor", context.password),
  };
  const switchOn = async (redis: Redis): Promise<void> => {
    await untilInfo(redis, signal, (info) => info("loading") === "0");
    await redis.config("SET", "appendonly", "yes");
    await untilInfo(redis, signal, (info) => {
      if (info("aof_last_bgrewrite_status") === "err") throw new Error("the rewrite failed");
      const isAtWork =
        info("aof_rewrite_in_progress") === "1" || info("aof_rewrite_scheduled") === "1";
      return info("aof_enabled") === "1" && !isAtWork;
    });
  };
  try {
    // A node with much memory answers late, because it forks.
    await withNode(node, switchOn, null);
  } catch (cause) {
    const why = errorText(cause);
    throw new TwineError(
      {
        code: "AOF_FAILED",
        message: `node ${service.name} loaded dump.rdb and can't write its append only file: ${why}`,
        remedy: `its data is safe in ${join(paths.folder, "data/dump.rdb")}; see ${paths.logFile} (often a full disk) and start it again`,
      },
      { cause },
    );
  }
}

async function untilInfo(
  redis: Redis,
  signal: AbortSignal,
  isDone: (field: (name: string) => string | undefined) => boolean,
): Promise<void> {
  for (;;) {
    const text = await redis.info("persistence");
    if (isDone((name) => new RegExp(`^${name}:(\\w+)`, "m").exec(text)?.[1])) return;
    signal.throwIfAborted();
    await delay(LOOK_EVERY_MS);
  }
}
