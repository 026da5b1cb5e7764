#!/usr/bin/env node
// twine-verify: compares every key of two systems: clusters of Twine's, other Redis systems, and backups. Changes nothing.
import { createReadStream } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { mkdir } from "node:fs/promises";
import { readIdentities } from "../backup/encryption.ts";
import { bytesText } from "../backup/backup-text.ts";
import { chosenBackup } from "../backup/restore/chosen-backup.ts";
import { prepareBackup } from "../backup/restore/prepare.ts";
import { privateFiles } from "../backup/restore/private-files.ts";
import { withScratch } from "../backup/restore/scratch.ts";
import { sourceFunction } from "../backup/restore/source-function.ts";
import { interruption } from "../cli/interruption.ts";
import { readSecret } from "../cli/secret-file.ts";
import { loadTwinesConf, readPassword, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { nodesOf, type ClusterConfig } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import { isUrl } from "../move/place-url.ts";
import { clusterSide } from "../move/verify/cluster-side.ts";
import type { Side } from "../move/verify/read-side.ts";
import { urlSide } from "../move/verify/url-side.ts";
import { verifiedText } from "../move/verify/verified-text.ts";
import { verify } from "../move/verify/verify.ts";
import { systemClock as clock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { NodeError } from "../replication/node-error.ts";
import { readChosenView } from "../register/chosen-view.ts";

/** Both sides were read, and they differ. */
const DIFFERENT = 10;
const PASSES_MAX = 100;

interface Options extends ToolOptions {
  readonly backup?: string;
  readonly identity?: string;
  readonly passes: string;
  readonly scratch?: string;
  readonly server?: string;
}

function program() {
  return tool({
    name: "twine-verify",
    summary:
      "Compares every key of two systems, value and expiry, whatever their servers and their partitions are. It changes nothing, and both may be in use.",
    examples: [
      "$ twine-verify redis://10.0.0.1:6379",
      "$ twine-verify old/twine.conf new/twine.conf",
      "$ twine-verify twine.conf cluster://10.0.0.1:7000",
      "$ twine-verify --backup latest",
    ],
    exitCodes: {
      [DIFFERENT]: "they differ; the first keys are named",
      130: "interrupted",
    },
  })
    .argument(
      "[sides...]",
      "SOURCE and TARGET: twine.conf files, redis://HOST:PORT[,HOST:PORT...] (the keys of all of these servers) or cluster://HOST:PORT; with one, the source is the cluster of --conf",
    )
    .option(
      "--backup <backup>",
      "the target is this backup: ID, its path or latest, of the source's backup-dir",
    )
    .option(
      "--server <program>",
      "the redis-server that loads values to compare them (default: that of PATH); it should be as new as the newest of both sides",
    )
    .option("--identity <file>", "the secret key of age, for an encrypted backup")
    .option(
      "--passes <n>",
      "compare n times (2 to 100); only a key that differs each time is reported, so a write in between does not count",
      "3",
    )
    .option(
      "--scratch <folder>",
      "where files lie meanwhile (default: the system's temporary folder)",
    );
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const passes = /^\d+$/.test(options.passes) ? Number(options.passes) : 0;
  if (passes < 2 || passes > PASSES_MAX) {
    throw usageError(
      "USAGE",
      `--passes ${options.passes} is not a number from 2 to ${PASSES_MAX}`,
      "give one of them",
    );
  }
  const [source, target] = sidesOf(command.args, options);
  const signal = interruption();
  try {
    const verified = await withScratch(resolve(options.scratch ?? tmpdir()), async (folder) => {
      const ports = { folder, signal, options };
      const progress = progressLines(options.json === true);
      const sides = {
        source: await openSide(source, { ...ports, secret: "SOURCE" }),
        target:
          options.backup === undefined
            ? await openSide(target, { ...ports, secret: "TARGET" })
            : await backupSide(configOf(source, options), options.backup, ports),
      };
      const own = join(folder, "verify");
      await mkdir(own, { mode: 0o700 });
      const { server: program } = options;
      return verify({
        ...sides,
        passes,
        folder: own,
        clock,
        signal,
        program,
        onProgress: progress,
      });
    });
    process.stdout.write(
      options.json === true ? `${JSON.stringify(verified)}\n` : verifiedText(verified),
    );
    return verified.isSame ? EXIT.ok : DIFFERENT;
  } catch (error) {
    if (error instanceof NodeError && !signal.aborted) {
      const remedy = "nothing was changed; see whether it runs and can be reached from here";
      const problem = { code: "VERIFY_UNREADABLE", message: error.message, remedy };
      throw new TwineError(problem, { cause: error });
    }
    if (!signal.aborted) throw error;
    process.stderr.write("interrupted\n");
    return EXIT.interrupted;
  }
}

/** The texts of source and target; undefined: the cluster of --conf. */
function sidesOf(
  args: readonly string[],
  { backup, identity }: Options,
): readonly [string | undefined, string | undefined] {
  const count = args.length + (backup === undefined ? 0 : 1);
  if (identity !== undefined && backup === undefined) {
    throw usageError("USAGE", "--identity is for --backup", "leave it out, or add --backup");
  }
  if (backup !== undefined && args[0] !== undefined && isUrl(args[0])) {
    throw usageError("USAGE", "a backup is of a cluster of Twine's", "name its twine.conf");
  }
  if (count === 2) return [args[0], args[1]];
  if (count === 1) return [undefined, args[0]];
  throw usageError(
    "USAGE",
    count === 0 ? "there is nothing to compare with" : "two sides are compared, not more",
    "twine-verify SOURCE TARGET, or one of them, or --backup latest",
  );
}

interface SidePorts {
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly options: Options;
}

async function openSide(
  text: string | undefined,
  ports: SidePorts & { readonly secret: "SOURCE" | "TARGET" },
): Promise<Side> {
  const { secret, signal, options } = ports;
  const variable = `TWINE_${secret}_PASSWORD_FILE` as const;
  const password = readSecret(variable, `${secret}_PASSWORD`, process.env)?.trim();
  if (text !== undefined && isUrl(text)) {
    return urlSide(text, { password, clock, signal, passwordVariable: variable });
  }
  return openCluster(configOf(text, options), password ?? readPassword(), signal);
}

function configOf(text: string | undefined, options: Options): ClusterConfig {
  const chosen = text === undefined ? options : { ...options, conf: text };
  return loadTwinesConf(chosen, "twine-verify", "redis:// URLs of its masters").config;
}

async function openCluster(
  config: ClusterConfig,
  password: Secret | undefined,
  signal: AbortSignal,
): Promise<Side> {
  const view = await readChosenView({
    ...{ config, password, clock, openLink: openRedisLink, user: "app" },
  });
  const tls = loadNodesTls(config);
  return clusterSide(view, config.file, { password, tls, clock, signal });
}

async function backupSide(
  config: ClusterConfig,
  which: string,
  { folder, signal, options }: SidePorts,
): Promise<Side> {
  const { identity } = options;
  const identities = identity === undefined ? undefined : await readIdentities(identity);
  const onWaiting = (text: string): void => void process.stderr.write(`${text}\n`);
  const owner = { host: hostname(), pid: process.pid };
  const { target, manifest } = await chosenBackup(config, which, {
    ...{ clock, owner, env: process.env, onWaiting },
  });
  const partitioner = await loadPartitioner(config);
  const source = await sourceFunction(manifest.hashing, config.file);
  const nodes = nodesOf(config, "data");
  const dbOf = (partition: number): number =>
    nodes.find((node) => node.partition === partition)?.db ?? 0;
  try {
    const prepared = await prepareBackup(target, manifest, {
      ...{ folder, files: privateFiles, signal, clock, identities, dbOf },
      hashing: partitioner.hashing,
      partitionOf: (key) => partitioner.partitionOf(key),
      sourcePartitionOf: source === undefined ? undefined : (key) => source.partitionOf(key),
    });
    return {
      name: manifest.id,
      streams: prepared.partitions.map(({ partition, path }) => ({
        name: path,
        db: dbOf(partition),
        open: () => createReadStream(path, { signal }),
      })),
    };
  } finally {
    await source?.close();
    await partitioner.close();
  }
}

/** One line that is overwritten on a terminal; elsewhere a line for each pass. */
function progressLines(isJson: boolean) {
  const isTerminal = process.stderr.isTTY && !isJson;
  let [shownPass, shownAtMs] = [0, 0];
  return ({
    pass,
    bytes,
    suspects,
  }: {
    pass: number;
    bytes: number;
    suspects: number | undefined;
  }) => {
    if (isJson) return;
    const isNew = pass !== shownPass;
    const nowMs = clock.nowMs();
    if (!isNew && (!isTerminal || nowMs - shownAtMs < 200)) return;
    [shownPass, shownAtMs] = [pass, nowMs];
    const what = suspects === undefined ? "all keys" : `${suspects} keys that differed`;
    const line = `pass ${pass}: ${what}`;
    if (isTerminal) process.stderr.write(`\r\u001b[K${line}, ${bytesText(bytes)} read`);
    else process.stderr.write(`${line}\n`);
  };
}

await runTool(main);
