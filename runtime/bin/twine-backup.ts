#!/usr/bin/env node
// twine-backup: saves every partition into every backup-dir of twine.conf; lists, verifies and deletes backups.
//
// It reads from replicas through Redis's own replication and changes nothing in the cluster. For a cut of all partitions at
// one moment, the alpha pauses writes for some milliseconds (backup/consistent-cut.ts).
// Modules of other tasks are loaded when they are asked for: a quarter of a backup's processor time was its start.
import { randomInt, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { interruption, interruptionOrOrphaned } from "../cli/interruption.ts";
import { binPath } from "../cli/package-root.ts";
import {
  loadTwinesConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  twineVersion,
  type ToolOptions,
} from "../cli/tool.ts";
import { archiveText, bytesText, listText, savedText, spansText } from "../backup/backup-text.ts";
import { cutPorts } from "../backup/ask-cut.ts";
import { choose, listBackups, type FoundBackup, type Listing } from "../backup/list-backups.ts";
import { readIdentities, readRecipients, type Recipients } from "../backup/encryption.ts";
import { chosenBackup, notFound } from "../backup/restore/chosen-backup.ts";
import { requireNoRestore, watchForRestore } from "../backup/no-restore.ts";
import { startProgress } from "../backup/saving-progress.ts";
import { takeBackup } from "../backup/take-backup.ts";
import { openTargets, type TargetPorts } from "../backup/targets/open-targets.ts";
import type { BackupTarget } from "../backup/targets/target.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import { EXIT, TwineError, formatProblem, type Problem, usageError } from "../core/errors.ts";
import { requireSameHashing } from "../core/hashing.ts";
import { systemClock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { mark } from "../ports/timeline.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { readChosenView } from "../register/chosen-view.ts";
import { openSharedHashes } from "../register/shared-hashes.ts";
import { openRdbStream } from "../replication/rdb-stream.ts";

/** Some backup-dir has no copy, the backup has no cut, or an old backup could not be removed. */
const INCOMPLETE = 3;

type Options = ToolOptions & {
  readonly cut: boolean;
  readonly archive?: boolean;
  readonly list?: boolean;
  readonly verify?: string;
  readonly rehearse?: string | true;
  readonly scratch?: string;
  readonly delete?: string;
  readonly identity?: string;
};

const clock = systemClock;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-backup",
    summary: "Saves every partition of the running cluster into every backup-dir of twine.conf.",
    examples: [
      "$ twine-backup",
      "$ twine-backup --list",
      "$ twine-backup --verify latest",
      "$ twine-backup --rehearse",
      "$ twine-backup --delete twine-20261130T170405Z-1a2b3c",
    ],
    exitCodes: {
      [INCOMPLETE]:
        "the backup can be restored, but a backup-dir has no copy of it, or its partitions have a moment each, or an older one was not removed",
      130: "interrupted; nothing of this backup is left",
    },
  });
  program
    .option("--no-cut", "let no write wait: each partition is saved at a moment of its own")
    .option(
      "--archive",
      "record every write into every backup-dir until it is interrupted; the alpha runs it by itself (backup-archive)",
    )
    .option("--list", "print the backups, newest first")
    .option(
      "--verify <backup>",
      "read a backup again and compare it with its manifest: ID, its path or latest",
    )
    .option(
      "--rehearse [backup]",
      "restore a backup into a scratch cluster on this machine and compare: ID, its path or latest",
    )
    .option(
      "--scratch <folder>",
      "for --rehearse: where its files lie (default: the system's temporary folder)",
    )
    .option(
      "--identity <file>",
      "for --verify and --rehearse: the secret key of age, to read what is encrypted",
    )
    .option("--delete <backup>", "delete a backup from every backup-dir: ID or its path");
  program.parse();
  const options = program.opts<Options>();
  requireOneTask(options);
  const { config, warnings } = loadTwinesConf(options, "twine-backup", "redis-cli --rdb");
  printWarnings(warnings);
  const targets = openTargets(config, targetPorts());
  const isJson = options.json === true;
  if (options.archive === true) return archive(config, targets, isJson);
  if (options.list === true) return list(targets, isJson);
  if (options.verify !== undefined) return verify(config, targets, options.verify, options);
  if (options.rehearse !== undefined) {
    return rehearsal(config, options.rehearse === true ? "latest" : options.rehearse, options);
  }
  if (options.delete !== undefined) return remove(targets, options.delete, isJson);
  return backup(config, targets, options);
}

function requireOneTask(options: Options): void {
  const { archive: isArchive, list: isList, verify: verified } = options;
  const { rehearse: rehearsed, delete: deleted } = options;
  const tasks = [isArchive, isList, verified, rehearsed, deleted];
  if (tasks.filter((what) => what !== undefined).length > 1) {
    const remedy = "give one of --archive, --list, --verify, --rehearse, --delete";
    throw usageError("TWO_ASKED", "two things were asked for", remedy);
  }
  if (options.identity !== undefined && verified === undefined && rehearsed === undefined) {
    const remedy = "leave it out; backups are encrypted with the public key alone (backup-key)";
    throw usageError("IDENTITY_UNUSED", "--identity is for --verify and --rehearse", remedy);
  }
}

function targetPorts(): TargetPorts {
  const onWaiting = (text: string): void => void process.stderr.write(`${text}\n`);
  return { clock, owner: { host: hostname(), pid: process.pid }, env: process.env, onWaiting };
}

/** Runs until it is interrupted, or the monitor that started it has ended. */
async function archive(
  config: ClusterConfig,
  targets: readonly BackupTarget[],
  isJson: boolean,
): Promise<number> {
  const { archiveCluster } = await import("../backup/archive/archive-cluster.ts");
  let shown = "";
  await archiveCluster({
    ...{ config, targets, clock, password: readPassword(), twineVersion: twineVersion() },
    recipients: await recipientsOf(config),
    signal: interruptionOrOrphaned(),
    onState: (state) => {
      const text = isJson ? JSON.stringify(state) : archiveText(state);
      // A user needs only changes; a monitor needs every line as a sign of life.
      if (isJson || text !== shown) process.stdout.write(`${text}\n`);
      shown = text;
    },
  });
  return EXIT.ok;
}

async function recipientsOf({ file, settings }: ClusterConfig): Promise<Recipients | undefined> {
  const { backupKey } = settings;
  return backupKey === undefined ? undefined : readRecipients(resolve(dirname(file), backupKey));
}

async function backup(
  config: ClusterConfig,
  targets: BackupTarget[],
  { json: isJson = false, cut }: Options,
): Promise<number> {
  const signal = interruption();
  const recipients = await recipientsOf(config);
  const password = readPassword();
  const ports = { config, password, clock, openLink: openRedisLink } as const;
  const readView = () => readChosenView({ ...ports, user: "app" });
  mark("view");
  const view = await readView();
  requireNoRestore(view);
  const board = openSharedHashes({ ...ports, user: "monitor" });
  const watch = watchForRestore({ clock, readView });
  const by = `process ${process.pid} on ${hostname()}`;
  const partitioner = await loadPartitioner(config);
  const progress = startProgress(clock, await expectedBytes(targets), isJson);
  try {
    requireSameHashing(view, config, partitioner.hashing);
    const taken = await takeBackup({
      cluster: config.settings.cluster,
      conf: readFileSync(config.file, "utf8"),
      hashing: partitioner.hashing,
      view,
      targets,
      keep: config.settings.backupKeep,
      compression: config.settings.backupCompress,
      recipients,
      twineVersion: twineVersion(),
      suffix: randomInt(0x1000).toString(16).padStart(3, "0"),
      openStream: openRdbStream,
      credentials: credentialsOf("monitor", password),
      tls: loadNodesTls(config),
      signal: AbortSignal.any([signal, watch.signal]),
      beforeCommit: () => watch.last(),
      clock,
      ...(cut ? { cutting: cutPorts({ board, readView, clock, by, newId: randomUUID }) } : {}),
      partitionOf: (key) => partitioner.partitionOf(key),
      onBytes: (_, bytes) => {
        progress.add(bytes);
      },
    });
    mark("done");
    progress.end();
    const { manifest, whyNoCut, failures, removed, retentionFailures } = taken;
    process.stdout.write(
      isJson
        ? `${JSON.stringify({ ok: failures.length === 0, id: manifest.id, manifest, whyNoCut, targets: taken.targets, removed: Object.fromEntries(removed) })}\n`
        : savedText(manifest, taken.targets),
    );
    return reported([
      ...(whyNoCut === "" ? [] : [noCut(whyNoCut)]),
      ...[...failures, ...retentionFailures].map(({ problem }) => problem),
    ]);
  } catch (error) {
    if (!signal.aborted) throw watch.signal.aborted ? watch.signal.reason : error;
    process.stderr.write("interrupted: nothing of this backup is left\n");
    return EXIT.interrupted;
  } finally {
    progress.end();
    await watch.stop();
    await board.close();
    await partitioner.close();
  }
}

function noCut(why: string): Problem {
  return {
    code: "NO_CUT",
    message: `the backup is there, but each partition has a moment of its own: ${why}`,
    remedy: "see what is wrong (twine-status), mend that, and take another backup",
  };
}

/** Prints problems that did not end the work. */
function reported(problems: readonly Problem[]): number {
  for (const problem of problems) process.stderr.write(`error: ${formatProblem(problem)}\n`);
  return problems.length === 0 ? EXIT.ok : INCOMPLETE;
}

/** The size of the last backup: the next one has about the same size. */
async function expectedBytes(targets: readonly BackupTarget[]): Promise<number | undefined> {
  const { copies } = await listBackups(targets);
  return copies[0]?.manifest.partitions.reduce((sum, { rdbBytes }) => sum + rdbBytes, 0);
}

async function list(targets: readonly BackupTarget[], isJson: boolean): Promise<number> {
  const { backups, problems } = await listBackups(targets);
  const { archiveSpans } = await import("../backup/archive/archive-spans.ts");
  const { spans, problems: more } = await archiveSpans(targets);
  const nowMs = Date.parse(clock.wallTime());
  process.stdout.write(
    isJson
      ? `${JSON.stringify({ backups, archive: spans, problems: [...problems, ...more] })}\n`
      : listText(backups, nowMs) + spansText(spans),
  );
  return reported([...problems, ...more]);
}

/** The copies of one backup. Throws BACKUP_UNKNOWN. */
function copiesOf(listing: Listing, which: string): readonly FoundBackup[] {
  const { copies } = listing;
  const found = choose(copies, which);
  if (found.length > 0) return found;
  throw notFound(which, listing, {
    code: "BACKUP_UNKNOWN",
    message: which === "latest" ? "there is no backup yet" : `there is no backup ${which}`,
    remedy: copies.length === 0 ? "take one: twine-backup" : "twine-backup --list names them",
  });
}

async function verify(
  config: ClusterConfig,
  targets: readonly BackupTarget[],
  which: string,
  { identity, json: isJson = false }: Options,
): Promise<number> {
  const signal = interruption();
  const identities = identity === undefined ? undefined : await readIdentities(identity);
  const copies = copiesOf(await listBackups(targets), which);
  const { verifyBackup } = await import("../backup/verify-backup.ts");
  const partitioner = await loadPartitioner(config);
  const problems: Problem[] = [];
  try {
    for (const { target, manifest } of copies) {
      const isSame = manifest.hashing.fingerprint === partitioner.hashing.fingerprint;
      const wrong = await verifyBackup(target, manifest, {
        signal,
        identities,
        ...(isSame ? { partitionOf: (key) => partitioner.partitionOf(key) } : {}),
      });
      problems.push(...wrong);
      const note = { at: clock.wallTime(), ok: wrong.length === 0 };
      await target.writeNote(manifest.id, "verified.json", `${JSON.stringify(note)}\n`);
    }
  } finally {
    await partitioner.close();
  }
  if (problems.length > 0) throw new TwineError(problems);
  const { manifest } = copies[0] ?? {};
  const bytes = manifest?.partitions.reduce((sum, saved) => sum + saved.bytes, 0) ?? 0;
  const names = copies.map(({ target }) => target.name);
  const unread =
    manifest?.encryption === undefined || identities !== undefined
      ? ""
      : "it is encrypted: only its digests were compared; --identity FILE reads it as well\n";
  process.stdout.write(
    isJson
      ? `${JSON.stringify({ ok: true, id: manifest?.id, targets: names, isRead: unread === "" })}\n`
      : `${manifest?.id ?? ""}: ${bytesText(bytes)} in ${names.join(", ")} are as the manifest says\n${unread}`,
  );
  return EXIT.ok;
}

async function rehearsal(
  config: ClusterConfig,
  which: string,
  { identity, scratch, json: isJson = false }: Options,
): Promise<number> {
  const signal = interruption();
  const identities = identity === undefined ? undefined : await readIdentities(identity);
  const { rehearsalText, rehearseBackup } = await import("../backup/rehearse/rehearse-backup.ts");
  const found = await chosenBackup(config, which, targetPorts());
  try {
    const done = await rehearseBackup(found, {
      ...{ config, identities, clock, signal, home: resolve(scratch ?? tmpdir()) },
      env: process.env,
      envTool: [process.execPath, binPath("twine-env", "infra")],
      onStep: (text) => {
        if (!isJson) process.stderr.write(`${text}\n`);
      },
    });
    process.stdout.write(
      isJson ? `${JSON.stringify({ ok: true, ...done })}\n` : rehearsalText(done),
    );
    return EXIT.ok;
  } catch (error) {
    if (!signal.aborted || error instanceof TwineError) throw error;
    process.stderr.write("interrupted: nothing of the rehearsal is left\n");
    return EXIT.interrupted;
  }
}

async function remove(
  targets: readonly BackupTarget[],
  which: string,
  isJson: boolean,
): Promise<number> {
  if (which === "latest") {
    const remedy = "name it by its id; twine-backup --list names them";
    throw usageError("NAME_NEEDED", "--delete takes no 'latest'", remedy);
  }
  const copies = copiesOf(await listBackups(targets), which);
  for (const { target, manifest } of copies) await target.remove(manifest.id);
  const names = copies.map(({ target }) => target.name);
  const id = copies[0]?.manifest.id ?? "";
  process.stdout.write(
    isJson
      ? `${JSON.stringify({ ok: true, id, targets: names })}\n`
      : `${id} was deleted from ${names.join(", ")}\n`,
  );
  return EXIT.ok;
}

await runTool(main);
