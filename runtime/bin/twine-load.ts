#!/usr/bin/env node
// twine-load: a running Redis, Sentinel set, twemproxy pool or Redis Cluster into the running cluster, once or live.
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onInterruption } from "../cli/interruption.ts";
import { readSecret } from "../cli/secret-file.ts";
import {
  loadTwinesConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../cli/tool.ts";
import { withScratch } from "../backup/restore/scratch.ts";
import { parseDuration } from "../core/conf/durations.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import { errorText } from "../core/error-text.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import { load } from "../move/load/load.ts";
import type { CheckpointFile, LoadMode } from "../move/load/load-options.ts";
import { LoadScreen } from "../move/load/load-screen.ts";
import { endText, loadFailure, reportJson } from "../move/load/load-text.ts";
import { parseSource, SOURCES, type SourcePlace } from "../move/load/source-place.ts";
import { poolPassword, type SourceAccess } from "../move/load/source-set.ts";
import { RULES, type CopyRule } from "../move/load/scattered-keys.ts";
import { systemClock as clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { silentLog } from "../ports/log.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { CONF_BYTES_MAX } from "../ports/small-file.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import type { StatusNodesOptions } from "../register/acceptors.ts";
import { readChosenView } from "../register/chosen-view.ts";
import { followView } from "../register/follow.ts";
import type { ViewSource } from "../register/view-source.ts";
import { readIfThere, replaceFile } from "../twemproxy/live-file.ts";

/** Everything was loaded, and some keys differ. */
const DIFFERENT = 10;

interface Options extends ToolOptions {
  readonly once?: boolean;
  readonly cutover?: boolean;
  readonly until?: string;
  readonly merge?: boolean;
  readonly replace?: boolean;
  readonly duplicates: string;
  readonly pool?: string;
  readonly checkpoint?: string;
  readonly sourceCa?: string;
  readonly verify: boolean;
  readonly scratch?: string;
}

function program() {
  return tool({
    name: "twine-load",
    summary:
      "Copies all keys of another running system into the running cluster, and follows every write until the application is switched. The source is only read.",
    examples: [
      "$ twine-load redis://10.0.0.9:6379 --once",
      "$ twine-load sentinel://10.0.0.1:26379/mymaster --checkpoint load.json",
      "$ twine-load nutcracker.yml --duplicates home --cutover",
      "$ twine-load cluster://10.0.0.1:7000 --cutover --until 10m",
    ],
    exitCodes: {
      [DIFFERENT]: "everything was loaded, but some keys differ",
      130: "interrupted before everything was copied, or a second time; the cluster may hold a part",
    },
  })
    .argument("<source>", SOURCES)
    .option("--once", "end when everything up to that moment is in the cluster")
    .option(
      "--cutover",
      "when nothing is written at the source any more, say that the application may switch; without it SIGUSR1, or Enter on a terminal, asks for that",
    )
    .option(
      "--until <duration>",
      "how long to follow the source after the switch (such as 10m); without it until Ctrl-C",
    )
    .option("--merge", "the cluster may hold keys; one that the source has too is an error")
    .option("--replace", "the cluster may hold keys; the source's value replaces the cluster's")
    .option(
      "--duplicates <rule>",
      `which copy counts of a key that several servers of nutcracker.yml have: ${RULES.join(", ")}`,
      "fail",
    )
    .option("--pool <name>", "which pool of nutcracker.yml")
    .option(
      "--checkpoint <file>",
      "a file for the progress; the same command with the same file goes on from there",
    )
    .option(
      "--source-ca <file>",
      "connect to the source by TLS; the file has the CA of its certificates (PEM)",
    )
    .option("--no-verify", "do not compare every key afterwards")
    .option(
      "--scratch <folder>",
      "folder for changes that wait to be copied (default: the system's temporary folder)",
    );
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const source = command.args[0] ?? "";
  const place = parseSource(source);
  const mode = modeOf(options);
  const duplicates = ruleOf(options);
  const untilMs = durationOf(options.until);
  const { config, warnings } = loadTwinesConf(options, "twine-load", "redis-cli --pipe");
  printWarnings(warnings);
  const password = readPassword();
  // What may throw comes before the connections that have to be closed.
  const tls = loadNodesTls(config);
  const sourceAccess = accessOf(place, options);
  const status = { config, password, clock, openLink: openRedisLink } as const;
  const views = followView({ ...status, user: "app", log: silentLog });
  const screen = new LoadScreen({
    ...{ clock, isJson: options.json === true, isTerminal: process.stderr.isTTY },
    write: (text) => void process.stderr.write(text),
    ...{ untilMs, asksAtOnce: options.cutover === true, isOnce: options.once === true },
  });
  listen(screen);
  const ports = screen.ports();
  const access = { ...sourceAccess, signal: ports.signal };
  try {
    await firstView(views, status);
    return await withScratch(resolve(options.scratch ?? tmpdir()), async (folder) => {
      let attempts = 0;
      const report = await load({
        ...{ source, place, access, duplicates, mode, views, password, tls, clock },
        ...{ isOnce: options.once === true, compares: options.verify },
        ...{ cluster: config.settings.cluster, file: config.file },
        checkpoint: options.checkpoint === undefined ? undefined : fileOf(options.checkpoint),
        newFolder: async () => {
          const own = join(folder, `attempt-${++attempts}`);
          await mkdir(own, { mode: 0o700 });
          return own;
        },
        ...ports,
      });
      process.stdout.write(
        options.json === true ? reportJson(report) : endText(source, report, screen.isSwitched),
      );
      return report.verified?.isSame === false ? DIFFERENT : EXIT.ok;
    });
  } catch (error) {
    if (!screen.isAborted) {
      const { checkpoint } = options;
      throw loadFailure(source, error, { checkpoint, isSwitched: screen.isSwitched });
    }
    process.stderr.write(`${screen.leftText}\n`);
    return EXIT.interrupted;
  } finally {
    screen.close();
    await views.close();
  }
}

const VIEW_WITHIN_MS = 10_000;

/** Throws what readChosenView throws, also for a cluster that twine.conf does not describe. */
async function firstView(views: ViewSource, status: StatusNodesOptions): Promise<void> {
  const endMs = clock.nowMs() + VIEW_WITHIN_MS;
  while (views.current() === undefined && clock.nowMs() < endMs) await clock.delay(20);
  const view = views.current();
  if (view === undefined) await readChosenView({ ...status, user: "app" });
  else requireSameCluster(view, status.config);
  while (views.current() === undefined) await clock.delay(20);
}

/** Ctrl-C, SIGUSR1, and Enter on a terminal. */
function listen(screen: LoadScreen): void {
  onInterruption((reason) => {
    screen.interrupt(reason);
  });
  process.on("SIGUSR1", () => {
    screen.askCutover();
  });
  if (!process.stdin.isTTY) return;
  process.stdin.on("data", () => {
    screen.askCutover();
  });
  process.stdin.unref();
}

/** Throws USAGE. */
function modeOf({ merge, replace }: Options): LoadMode {
  if (merge === true && replace === true) {
    throw usageError("USAGE", "--merge and --replace exclude each other", "give one of them");
  }
  return merge === true ? "merge" : replace === true ? "replace" : "empty";
}

function ruleOf({ duplicates }: Options): CopyRule {
  const rule = RULES.find((one) => one === duplicates);
  if (rule !== undefined) return rule;
  throw usageError(
    "USAGE",
    `--duplicates ${duplicates} is no rule`,
    `write one of ${RULES.join(", ")}`,
  );
}

function durationOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? undefined : parseDuration(text);
  if (ms !== undefined || text === undefined) return ms;
  throw usageError("USAGE", `--until ${text} is no duration`, "write it as 30s, 10m or 1h");
}

function accessOf(place: SourcePlace, { pool, sourceCa }: Options): Omit<SourceAccess, "signal"> {
  const own = readSecret("TWINE_SOURCE_PASSWORD_FILE", "SOURCE_PASSWORD", process.env)?.trim();
  const sentinelPassword = readSecret(
    "TWINE_SENTINEL_PASSWORD_FILE",
    "SENTINEL_PASSWORD",
    process.env,
  )?.trim();
  const isTls = sourceCa !== undefined || (place.kind === "redis" && place.isTls);
  const tls: LinkTls | undefined = isTls
    ? { minVersion: "TLSv1.2", ...(sourceCa === undefined ? {} : { ca: authority(sourceCa) }) }
    : undefined;
  const access = { sentinelPassword, tls, pool, clock };
  return { ...access, password: own ?? poolPassword(place, pool) };
}

function authority(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const message = `--source-ca ${file}: ${errorText(cause)}`;
    throw new TwineError(
      { code: "TLS_UNREADABLE", message, remedy: "name a readable PEM file" },
      { cause },
    );
  }
}

function fileOf(name: string): CheckpointFile {
  return {
    name,
    read: () => readIfThere(name, CONF_BYTES_MAX),
    write: (text) => replaceFile(name, text),
  };
}

await runTool(main);
