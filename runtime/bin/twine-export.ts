#!/usr/bin/env node
// twine-export: a running cluster's data into a Redis Cluster or a Redis, once or live. The way from Twine to core Redis.
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
import type { Secret } from "../core/credentials.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import { exportAll, type ExportPhase } from "../move/export/export.ts";
import { openExportTarget } from "../move/export/open-target.ts";
import type { CopyProgress } from "../move/reshard/copying.ts";
import { untilAborted } from "../move/until-aborted.ts";
import { clusterSide } from "../move/verify/cluster-side.ts";
import { parsePlace, urlSide } from "../move/verify/url-side.ts";
import { verify, type Verified } from "../move/verify/verify.ts";
import { verifiedText } from "../move/verify/verified-text.ts";
import { systemClock as clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { openRedisLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { readChosenView } from "../register/chosen-view.ts";
import { NodeError } from "../replication/node-error.ts";

/** Everything was exported, and the target differs. */
const DIFFERENT = 10;
const PASSES = 5;
const PASSWORD_VARIABLE = "TWINE_TARGET_PASSWORD_FILE";

interface Options extends ToolOptions {
  readonly once?: boolean;
  readonly verify: boolean;
  readonly scratch?: string;
}

function program() {
  return tool({
    name: "twine-export",
    summary:
      "Copies all keys of the running cluster into a Redis Cluster or a Redis, and keeps that up to date until it is interrupted. The cluster is only read.",
    examples: [
      "$ twine-export cluster://10.0.0.1:7000",
      "$ twine-export redis://10.0.0.9:6379 --once",
    ],
    exitCodes: {
      [DIFFERENT]: "everything was exported, but some keys differ in the target",
      130: "interrupted before everything was copied, or a second time: the target may hold a part",
    },
  })
    .argument("<target>", "cluster://HOST:PORT or redis://HOST:PORT; it must hold no key")
    .option("--once", "end when everything up to that moment is in the target")
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
  const url = command.args[0] ?? "";
  const place = targetPlace(url);
  const { config, warnings } = loadTwinesConf(options, "twine-export", "redis-cli --rdb");
  printWarnings(warnings);
  const password = readPassword();
  const asked = { config, password, clock, openLink: openRedisLink } as const;
  const view = await readChosenView({ ...asked, user: "app" });
  const targetPassword = readSecret(PASSWORD_VARIABLE, "TARGET_PASSWORD", process.env)?.trim();
  const tls = loadNodesTls(config);
  const run = new Run(options);
  const { signal } = run;
  const target = await openExportTarget(place, { password: targetPassword, clock, signal }).catch(
    (error: unknown) => {
      throw error instanceof NodeError ? unreachable(url, error) : error;
    },
  );
  const sides = { view, file: config.file, password, tls, url, targetPassword };
  try {
    return await withScratch(resolve(options.scratch ?? tmpdir()), async (folder) => {
      const feeds = join(folder, "feeds");
      await mkdir(feeds, { mode: 0o700 });
      let verified: Verified | undefined;
      const copied = await exportAll({
        ...{ view, target, password, tls, clock, signal, folder: feeds },
        onPhase: (phase, progress) => {
          run.show(phase, progress);
        },
        whileFollowing: async (lasting) => {
          if (!options.verify) return;
          verified = await comparedUntil(run.told, lasting, (during) =>
            compare({ ...sides, folder, signal: during }),
          );
          if (verified === undefined) run.say("interrupted: not all keys were compared");
          else if (options.json !== true) process.stdout.write(verifiedText(verified));
        },
        untilTold: (lasting) => run.untilTold(lasting),
      });
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ ok: verified?.isSame !== false, keys: copied.keys, verified })}\n`
          : `${url} has all data: ${copied.keys} keys were copied, then every later write\n`,
      );
      return verified?.isSame === false ? DIFFERENT : EXIT.ok;
    });
  } catch (error) {
    if (run.isAborted) {
      process.stderr.write(
        "interrupted: the target holds a part of the keys; empty it before the next try\n",
      );
      return EXIT.interrupted;
    }
    if (error instanceof NodeError) throw broken(error);
    throw error;
  } finally {
    target.close();
  }
}

/** Throws USAGE. */
function targetPlace(url: string) {
  const { isCluster, addresses } = parsePlace(
    url,
    PASSWORD_VARIABLE,
    "cluster://HOST:PORT or redis://HOST:PORT",
  );
  const [address, ...others] = addresses;
  if (address !== undefined && others.length === 0) return { isCluster, address };
  throw new TwineError(
    {
      code: "USAGE",
      message: "one target is needed",
      remedy: "name one server; of a Redis Cluster one node is enough: cluster://HOST:PORT",
    },
    { exitCode: EXIT.usage },
  );
}

function unreachable(url: string, error: NodeError): TwineError {
  const remedy =
    error.kind === "denied"
      ? `let ${PASSWORD_VARIABLE} name a file with the password of its user default`
      : "nothing was changed; see whether it runs and can be reached from here";
  const message = `${url}: ${error.message}`;
  return new TwineError({ code: "EXPORT_UNREACHABLE", message, remedy }, { cause: error });
}

function broken(error: NodeError): TwineError {
  return new TwineError(
    {
      code: "EXPORT_BROKEN",
      message: `a node of the cluster or of the target went away: ${error.message}`,
      remedy:
        "the cluster is untouched; empty the target (FLUSHALL on each of its masters), and export again",
    },
    { cause: error },
  );
}

interface Compared {
  readonly view: View;
  readonly file: string;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly url: string;
  readonly targetPassword: string | undefined;
  readonly folder: string;
  readonly signal: AbortSignal;
}

async function compare(options: Compared): Promise<Verified> {
  const { view, file, password, tls, url, targetPassword, signal } = options;
  const folder = join(options.folder, "verify");
  await mkdir(folder, { mode: 0o700 });
  return verify({
    source: clusterSide(view, file, { password, tls, clock, signal }),
    target: await urlSide(url, {
      ...{ password: targetPassword, clock, signal, passwordVariable: PASSWORD_VARIABLE },
    }),
    ...{ passes: PASSES, folder, clock, signal },
  });
}

/** undefined: somebody wanted the end before everything was compared. */
async function comparedUntil(
  told: AbortSignal,
  lasting: AbortSignal,
  task: (signal: AbortSignal) => Promise<Verified>,
): Promise<Verified | undefined> {
  try {
    return await task(AbortSignal.any([told, lasting]));
  } catch (error) {
    if (told.aborted && !lasting.aborted) return undefined;
    throw error;
  }
}

const LINE_EVERY_MS = 5_000;

/** What a person sees of it, and says to it: an interruption ends the copying, but lets the following come to its end. A
    second one ends that at once. */
class Run {
  readonly #options: Options;
  readonly #abort = new AbortController();
  readonly #told = new AbortController();
  #phase: ExportPhase | "" = "";
  #shownAtMs = -Infinity;

  constructor(options: Options) {
    this.#options = options;
    onInterruption((reason) => {
      if (this.#phase === "following" && !this.#told.signal.aborted) this.#told.abort(reason);
      else this.#abort.abort(reason);
    });
  }

  /** Everything is to end at once. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The following is to end. */
  get told(): AbortSignal {
    return this.#told.signal;
  }

  get isAborted(): boolean {
    return this.#abort.signal.aborted;
  }

  async untilTold(lasting: AbortSignal): Promise<void> {
    if (this.#options.once === true) return;
    this.say(
      "the target has all keys and follows each write. To finish: stop the writes to this cluster, press Ctrl-C here, then let the application use the target",
    );
    await untilAborted(this.told, lasting);
  }

  show(phase: ExportPhase, { keys, keysTotal, lagBytes }: CopyProgress): void {
    const nowMs = clock.nowMs();
    if (phase === this.#phase && nowMs - this.#shownAtMs < LINE_EVERY_MS) return;
    const isNew = phase !== this.#phase;
    this.#phase = phase;
    this.#shownAtMs = nowMs;
    if (phase === "copying") this.say(`copying: ${keys} of about ${keysTotal} keys`);
    else if (isNew || process.stderr.isTTY) this.say(`${phase}: ${lagBytes} bytes behind`);
  }

  say(line: string): void {
    if (this.#options.json !== true) process.stderr.write(`${line}\n`);
  }
}

await runTool(main);
