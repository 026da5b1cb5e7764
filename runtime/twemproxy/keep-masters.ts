// keep-masters.ts: twemproxy's servers follow the masters. One pass after another: who is master? -> is it what nutcracker.yml
// says? -> change it. What fails leaves twemproxy as it is, and is tried again.
import { passwordsOf, type Secret } from "../core/credentials.ts";
import { errorText } from "../core/error-text.ts";
import { TwineError, formatProblem, type Problem } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { startPeriodicTask, type PeriodicTask } from "../ports/periodic-task.ts";
import { readIfThere } from "./live-file.ts";
import {
  POOL_FILE_BYTES_MAX,
  isSameAddress,
  printAddress,
  readServers,
  withPassword,
  withServers,
  type ServerAddress,
} from "./pool-file.ts";

/** Who is master: Sentinel, or the staging file. */
export interface MastersSource {
  read(): Promise<{
    readonly masters: readonly (ServerAddress | undefined)[];
    readonly problems: readonly Problem[];
  }>;
  follow(onChange: () => void): void;
  close(): void;
}

/** What takes a new text: a twemproxy that is restarted with it, or a staging file. */
export interface PoolKeeper {
  /** Whether it has yet to be started. */
  readonly isRunning: boolean;
  start(): Promise<void>;
  change(text: string): Promise<void>;
}

export interface KeepMastersOptions {
  readonly source: MastersSource;
  readonly keeper: PoolKeeper;
  /** The nutcracker.yml that is in use. */
  readonly file: string;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Sentinel reports a change at once; this is for what nobody reported. */
const REST_MS = 1000;

/** The first pass begins at once. */
export function keepMasters(options: KeepMastersOptions): PeriodicTask {
  const { source, log, clock } = options;
  const reported = new Set<string>();
  /** The same trouble is reported once, until it is over. */
  const report = (problems: readonly Problem[]): void => {
    const texts = problems.map((problem) => formatProblem(problem));
    for (const text of texts) if (!reported.has(text)) log.error(text);
    reported.clear();
    for (const text of texts) reported.add(text);
  };
  const task = startPeriodicTask({
    clock,
    restMs: () => REST_MS,
    run: async () => {
      report(await onePass(options));
    },
    onError: (error) => {
      report(problemsOf(error));
    },
  });
  source.follow(() => {
    task.trigger();
  });
  return task;
}

async function onePass(options: KeepMastersOptions): Promise<readonly Problem[]> {
  const { source, keeper, file, log } = options;
  // Before anything else: a Sentinel that is silent must not keep twemproxy from running with the masters that it knows.
  const troubles: Problem[] = await keepPassword(options);
  if (!keeper.isRunning)
    await keeper.start().catch((error: unknown) => troubles.push(...problemsOf(error)));
  const { masters, problems } = await source.read();
  troubles.push(...problems);
  const text = (await readIfThere(file, POOL_FILE_BYTES_MAX)) ?? "";
  const present = readServers(text, file);
  const wanted = present.map((server, partition) => masters[partition] ?? server);
  const changed = wanted.flatMap((server, partition) =>
    isSameAddress(server, present[partition]) ? [] : [`${partition}: ${printAddress(server)}`],
  );
  if (changed.length === 0) return troubles;
  await keeper.change(withServers(text, file, wanted));
  log.info("twemproxy follows new masters", { partitions: changed });
  return troubles;
}

/** twine-password changes the password file; its own is then the last program's to change. */
async function keepPassword({
  keeper,
  file,
  password,
  log,
}: KeepMastersOptions): Promise<Problem[]> {
  try {
    const text = await readIfThere(file, POOL_FILE_BYTES_MAX);
    if (text === undefined) return [];
    const wanted = withPassword(text, file, passwordsOf(password));
    if (wanted === text) return [];
    await keeper.change(wanted);
    log.info("twemproxy has the new password");
    return [];
  } catch (error) {
    return [...problemsOf(error)];
  }
}

export function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof TwineError) return error.problems;
  return [{ code: "FAILED", message: errorText(error), remedy: "it is tried again" }];
}
