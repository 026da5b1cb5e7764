#!/usr/bin/env node
// twine-restore: replaces all data of the running cluster by a backup or by RDB files: all or nothing.
//
//   prepare and check every file -> ask the user -> both phases (backup/restore/restore-cluster.ts)
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { hostname, tmpdir } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { readIdentities } from "../backup/encryption.ts";
import { listBackups } from "../backup/list-backups.ts";
import type { Manifest } from "../backup/manifest.ts";
import { chosenSource } from "../backup/restore/chosen-source.ts";
import type { ReadyNode } from "../backup/restore/feed-nodes.ts";
import { reachCluster, restoreInto } from "../backup/restore/into-cluster.ts";
import { prepareBackup, type Prepared, type PrepareOptions } from "../backup/restore/prepare.ts";
import { newestWrites, type NewestWrites } from "../backup/restore/newest-writes.ts";
import { prepareFiles } from "../backup/restore/prepare-files.ts";
import { privateFiles } from "../backup/restore/private-files.ts";
import { sourceFunction } from "../backup/restore/source-function.ts";
import { withScratch } from "../backup/restore/scratch.ts";
import { progressLine } from "../backup/restore/progress-line.ts";
import { restoreKeys } from "../backup/restore/restore-keys.ts";
import type { Selection } from "../backup/restore/some-keys.ts";
import { doneText, overwrittenText } from "../backup/restore/restore-text.ts";
import { openTargets } from "../backup/targets/open-targets.ts";
import { interruption } from "../cli/interruption.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../cli/tool.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { credentialsOf, type Secret } from "../core/credentials.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import { isSameHashing, requireSameHashing } from "../core/hashing.ts";
import type { View } from "../core/view.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import type { Partitioner } from "../ports/partitioner.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { openNodeSocket } from "../replication/node-socket.ts";
import { mark } from "../ports/timeline.ts";
import { readChosenView } from "../register/chosen-view.ts";

/** The user answered no. */
const DECLINED = 4;

type Options = ToolOptions & {
  readonly rdb?: readonly string[];
  readonly aof?: readonly string[];
  readonly allowTruncated?: boolean;
  readonly identity?: string;
  readonly yes?: boolean;
  readonly shiftTtl?: boolean;
  readonly scratch?: string;
  readonly keys?: string;
  readonly toFile?: string;
  readonly prefix?: string;
  readonly to?: string;
  readonly partition?: number;
};

const clock = systemClock;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-restore",
    summary:
      "Replaces all data of the running cluster by a backup or by files of Redis, completely or not at all. No partition is served meanwhile.",
    examples: [
      "$ twine-restore latest",
      "$ twine-restore backups/twine-20261130T170405Z-1a2b3c --yes",
      "$ twine-restore --rdb /var/lib/redis/dump.rdb",
      "$ twine-restore --to 2026-11-30T17:04:05Z",
      "$ twine-restore --to 2026-11-30T17:04:05Z --partition 1",
      "$ twine-restore --aof /var/lib/redis/appendonlydir",
      "$ twine-restore latest --keys 'cart:42*' --prefix restored:",
    ],
    exitCodes: {
      [DECLINED]: "you declined; nothing was changed",
      130: "interrupted before any node changed; the cluster serves its old data",
    },
  });
  program
    .argument("[backup]", "ID, path of a copy, or latest")
    .option(
      "--to <time>",
      "the last moment of the whole cluster at or before this time, or latest; needs the archive (backup-archive)",
    )
    .option(
      "--partition <n>",
      "with --to: this partition alone, to the very second; the others stay as they are",
      partitionNumber,
    )
    .option(
      "--rdb <file...>",
      "restore these RDB files instead; their keys are routed by the hash of twine.conf",
    )
    .option(
      "--aof <file...>",
      "restore these append only files, or folders of them, instead, as --rdb does",
    )
    .option("--allow-truncated", "with --aof: one may end in the middle of a command")
    .option("--identity <file>", "the secret key of age, for a backup that is encrypted")
    .option("--yes", "do not ask")
    .option(
      "--shift-ttl",
      "let every key expire as long after now as it would have after the backup",
    )
    .option("--keys <pattern>", "only keys that fit, as KEYS takes it; nothing else is touched")
    .option("--to-file <file>", "with --keys: write them into an RDB file")
    .option(
      "--prefix <text>",
      "with --keys: give them back to the cluster with this before their names",
    )
    .option(
      "--scratch <folder>",
      "folder for the checked files (default: the system's temporary folder)",
    );
  program.parse();
  const options = program.opts<Options>();
  const [which] = program.args;
  requireOneSource(which, options);
  requireOneWay(options);
  const { config, warnings } = loadConf(options);
  requireTwinesMonitors(
    config,
    "twine-restore",
    "stop the cluster and put dump.rdb into the nodes' data folders",
  );
  printWarnings(warnings);
  const home = resolve(options.scratch ?? tmpdir());
  return withScratch(home, (folder) => restore(config, which, options, folder));
}

async function restore(
  config: ClusterConfig,
  which: string | undefined,
  options: Options,
  folder: string,
): Promise<number> {
  const signal = interruption();
  const password = readPassword();
  const ports = { config, password, clock, openLink: openRedisLink } as const;
  mark("view");
  const view = await readChosenView({ ...ports, user: "app" });
  const partitioner = await loadPartitioner(config);
  const sockets: { destroy(): void }[] = [];
  try {
    requireSameHashing(view, config, partitioner.hashing);
    const progress = progressLine(clock, options.json === true);
    const dbOf = (partition: number): number =>
      view.nodes.find((node) => node.partition === partition)?.db ?? 0;
    mark("prepare");
    const prepared = await prepare(config, which, options, {
      folder,
      files: privateFiles,
      hashing: partitioner.hashing,
      partitionOf: (key) => partitioner.partitionOf(key),
      dbOf,
      signal,
      clock,
    });
    const cluster = {
      ...{ config, password, tls: loadNodesTls(config), clock, signal },
      ...{ openSocket: openNodeSocket, files: privateFiles },
    };
    if (options.keys !== undefined) {
      const selection = { prepared, pattern: options.keys, dbOf, signal };
      await someKeys(selection, options, { view, partitioner, password, tls: cluster.tls });
      return EXIT.ok;
    }
    mark("reach");
    const { ready, away } = await reachCluster(cluster, view, prepared);
    sockets.push(...ready.map(({ socket }) => socket));
    const kept = options.json === true ? undefined : await newestKept(config);
    const newest = newestWrites(ready, kept, partitioner.hashing);
    if (!(await isAgreed(config, { prepared, ready, newest }, options))) {
      process.stderr.write("nothing was changed\n");
      return DECLINED;
    }
    try {
      await restoreInto(cluster, view, { prepared, ready, onProgress: progress.show });
    } finally {
      progress.end();
    }
    mark("done");
    process.stdout.write(doneText({ prepared, ready, away, isJson: options.json === true }));
    return EXIT.ok;
  } catch (error) {
    if (!signal.aborted || error instanceof TwineError) throw error;
    process.stderr.write("interrupted: no node has changed\n");
    return EXIT.interrupted;
  } finally {
    for (const socket of sockets) socket.destroy();
    await partitioner.close();
  }
}

interface KeysPorts {
  readonly view: View;
  readonly partitioner: Partitioner;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
}

/** --keys: only these keys are changed. */
async function someKeys(
  selection: Selection,
  { toFile, prefix, json }: Options,
  { view, partitioner, password, tls }: KeysPorts,
): Promise<void> {
  const { text, ...report } = await restoreKeys({
    ...{ selection, toFile, prefix, view, clock, tls },
    credentials: credentialsOf("app", password),
    partitionOf: (key) => partitioner.partitionOf(key),
  });
  process.stdout.write(`${json === true ? JSON.stringify({ ok: true, ...report }) : text}\n`);
}

function partitionNumber(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw usageError(
    "PARTITION_BAD",
    `--partition ${text}: this is no number`,
    "write --partition 0",
  );
}

function requireOneSource(
  which: string | undefined,
  { rdb, aof, allowTruncated, to, partition }: Options,
): void {
  const hasFiles = rdb !== undefined || aof !== undefined;
  if (partition !== undefined && to === undefined) {
    const remedy = "say which moment of it: --to TIME or --to latest";
    throw usageError("PARTITION_NEEDS_TIME", "--partition is for --to", remedy);
  }
  const isNamed = which !== undefined || to !== undefined;
  if (isNamed === hasFiles) {
    throw usageError(
      "SOURCE_NEEDED",
      "name either a backup, a time (--to), or files: --rdb FILE, --aof FILE",
      "twine-backup --list names the backups",
    );
  }
  if (allowTruncated === true && aof === undefined) {
    throw usageError("TRUNCATED_UNUSED", "--allow-truncated is for --aof", "leave it out");
  }
}

function requireOneWay({ keys, toFile, prefix }: Options): void {
  const ways = [toFile, prefix].filter((way) => way !== undefined).length;
  if (ways === (keys === undefined ? 0 : 1)) return;
  throw usageError(
    "KEYS_NEED_A_WAY",
    "--keys PATTERN goes with either --to-file FILE or --prefix TEXT",
    "name the one that you want",
  );
}

async function prepare(
  config: ClusterConfig,
  which: string | undefined,
  { rdb = [], aof = [], allowTruncated = false, shiftTtl = false, ...wanted }: Options,
  options: PrepareOptions,
): Promise<Prepared> {
  const { identity, to, partition } = wanted;
  if (which === undefined && to === undefined) {
    if (shiftTtl) {
      throw usageError(
        "SHIFT_NEEDS_BACKUP",
        "a file of Redis does not say when it was taken",
        "leave --shift-ttl out",
      );
    }
    return prepareFiles({ rdb, aof, allowTruncated }, options);
  }
  const identities = identity === undefined ? undefined : await readIdentities(identity);
  const owner = { host: hostname(), pid: process.pid };
  const { signal } = options;
  const found = await chosenSource(
    config,
    { which, to, partition, identities, signal },
    { clock, owner, env: process.env },
  );
  const { target, manifest, takenAtMs, readFeed, moment } = found;
  if (partition !== undefined && !isSameHashing(manifest.hashing, options.hashing)) {
    throw new TwineError({
      code: "OTHER_LAYOUT",
      message: `${manifest.id} has other partitions than the cluster: its partition ${partition} is another one`,
      remedy: "restore everything: leave --partition out",
    });
  }
  const shiftExpiryMs = shiftTtl ? Date.parse(clock.wallTime()) - takenAtMs : 0;
  const source = await sourceFunction(manifest.hashing, config.file);
  try {
    const prepared = await prepareBackup(target, manifest, {
      ...options,
      identities,
      shiftExpiryMs,
      readFeed,
      sourcePartitionOf: source === undefined ? undefined : (key) => source.partitionOf(key),
    });
    const partitions = prepared.partitions.filter(
      (one) => partition === undefined || one.partition === partition,
    );
    const backup = { id: manifest.id, at: new Date(takenAtMs).toISOString() };
    return { ...prepared, partitions, moment, backup };
  } finally {
    await source?.close();
  }
}

/** The newest backup in any backup-dir that can be read; only shown, so nothing depends on it. */
async function newestKept(config: ClusterConfig): Promise<Manifest | undefined> {
  if (config.settings.backupDirs.length === 0) return undefined;
  const owner = { host: hostname(), pid: process.pid };
  const onWaiting = (text: string): void => void process.stderr.write(`${text}\n`);
  const targets = openTargets(config, { clock, owner, env: process.env, onWaiting });
  const { copies } = await listBackups(targets);
  return copies[0]?.manifest;
}

/** Shows what will be overwritten, and asks. */
async function isAgreed(
  { settings: { cluster, partitions } }: ClusterConfig,
  replaced: {
    readonly prepared: Prepared;
    readonly ready: readonly ReadyNode[];
    readonly newest: NewestWrites;
  },
  { yes, json, shiftTtl = false }: Options,
): Promise<boolean> {
  if (json !== true) {
    process.stderr.write(
      overwrittenText({ cluster, partitions, ...replaced, isShifted: shiftTtl }),
    );
  }
  if (yes === true) return true;
  if (!process.stdin.isTTY) {
    throw usageError(
      "YES_NEEDED",
      "standard input is not a terminal, so the tool can't ask for confirmation",
      "check the text above, then repeat the command with --yes",
    );
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question("type the cluster's name to go on: ");
  asking.close();
  return answer.trim() === cluster;
}

await runTool(main);
