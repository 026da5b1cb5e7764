// monit.ts: prevents monit and the tools from undoing each other's work.
//
//   twine-stop by hand    unmonitors first, or monit would start the node again; leaves NODE/stopped
//   twine-start by hand   removes NODE/stopped, monitors again
//   monit's own start     starts all nodes of the host except those stopped by hand: NODE/stopped
//   twine-apply           unmonitors a node while it restarts it, and has monit read a changed monitrc. It holds the host's
//                         lock, so a start by monit meanwhile fails, and monit tries again
import { execFile } from "node:child_process";
import { access, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere } from "../files/files.ts";
import { hostFolder } from "../files/layout.ts";
import { findProgram } from "../install/redis-program.ts";
import { startTimeOf } from "../processes/processes.ts";
import type { Target } from "../targets.ts";

const run = promisify(execFile);

const ANSWER_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 100;
const RELOADED_WITHIN_MS = 30_000;
/** Its HTTP server is away for a moment while it reads its file again. */
const TRY_FOR_MS = 3000;

function stoppedFile(target: Target): string {
  return join(target.paths.folder, "stopped");
}

/** Whether an operator stopped it, so that monit must not start it together with another node. */
export async function isStoppedByHand(target: Target): Promise<boolean> {
  return access(stoppedFile(target)).then(
    () => true,
    () => false,
  );
}

/** Call it before a stop by hand. Throws MONIT_FAILED when a running monit can't be asked: it would undo the stop. */
export async function unmonitor(context: LocalContext, targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    await writeFile(stoppedFile(target), "").catch(() => undefined);
  }
  for (const [host, group] of byHost(targets)) {
    const ask = await monitOf(context, host);
    if (ask === undefined) continue;
    const names = group.map(({ service }) => service.name);
    for (const name of names) await ask("unmonitor", name);
    await untilUnmonitored(ask, names);
  }
}

/** Call it after a start by hand. If monit does not answer, that is only a warning: its next start monitors everything. */
export async function monitorAgain(
  context: LocalContext,
  targets: readonly Target[],
): Promise<Problem[]> {
  for (const target of targets)
    await rm(stoppedFile(target), { force: true }).catch(() => undefined);
  const warnings: Problem[] = [];
  for (const [host, group] of byHost(targets)) {
    try {
      const ask = await monitOf(context, host);
      for (const { service } of group) await ask?.("monitor", service.name);
    } catch (error) {
      if (!(error instanceof TwineError)) throw error;
      warnings.push(...error.problems);
    }
  }
  return warnings;
}

/**
 * Makes a running monit look after exactly the nodes of `host`: has it read its monitrc again when that was written or
 * names other nodes, and monitor what an interrupted tool has left unmonitored. Returns what it did, with the problems.
 */
export async function followMonitrc(
  context: LocalContext,
  host: PlannedHost,
  targets: readonly Target[],
  isWritten: boolean,
): Promise<{ readonly isReloaded: boolean; readonly warnings: readonly Problem[] }> {
  const warnings: Problem[] = [];
  let isReloaded = false;
  try {
    const ask = await monitOf(context, host.name);
    const wanted = namesOf(host);
    if (ask !== undefined && (isWritten || !isSame(await processesOf(ask), wanted))) {
      await ask("reload");
      await untilReloaded(ask, wanted);
      isReloaded = true;
    }
  } catch (error) {
    if (!(error instanceof TwineError)) throw error;
    warnings.push(...error.problems);
  }
  const left: Target[] = [];
  for (const target of targets) if (await isStoppedByHand(target)) left.push(target);
  return { isReloaded, warnings: [...warnings, ...(await monitorAgain(context, left))] };
}

/** Whether a running monit must read its monitrc again. False when none runs, or when it does not answer. */
export async function hasOtherMonitrc(
  context: LocalContext,
  host: PlannedHost,
  isWritten: boolean,
): Promise<boolean> {
  const ask = await monitOf(context, host.name);
  if (ask === undefined || isWritten) return ask !== undefined;
  return processesOf(ask).then(
    (found) => !isSame(found, namesOf(host)),
    () => false,
  );
}

function namesOf({ services }: PlannedHost): string[] {
  return services.map(({ name }) => name).sort();
}

/** The names of the processes that monit knows, sorted. */
async function processesOf(ask: AskMonit): Promise<string[]> {
  const lines = (await ask("-B", "summary")).split("\n").map((line) => line.trim().split(/\s+/));
  return lines.flatMap((words) => (words.at(-1) === "Process" ? [words[0] ?? ""] : [])).sort();
}

/** monit shows a long name shortened: "partition-of-the-…..." */
function isShownAs(name: string, shown: string): boolean {
  return shown === name || (shown.endsWith("...") && name.startsWith(shown.slice(0, -3)));
}

function isSame(shown: readonly string[], names: readonly string[]): boolean {
  return (
    shown.length === names.length && names.every((name, at) => isShownAs(name, shown[at] ?? ""))
  );
}

/** monit reads its file again after its current cycle, in which it may wait for a start program. */
async function untilReloaded(ask: AskMonit, names: readonly string[]): Promise<void> {
  const endMs = performance.now() + RELOADED_WITHIN_MS;
  while (!isSame(await processesOf(ask), names)) {
    if (performance.now() > endMs) {
      throw new TwineError({
        code: "MONIT_FAILED",
        message: `monit has not read its new monitrc after ${RELOADED_WITHIN_MS / 1000} s`,
        remedy: "see its monit.log, and run: monit -c partitions/HOST/monit/monitrc reload",
      });
    }
    await delay(LOOK_EVERY_MS);
  }
}

function byHost(targets: readonly Target[]): Map<string, Target[]> {
  const groups = new Map<string, Target[]>();
  for (const target of targets) {
    groups.set(target.host, [...(groups.get(target.host) ?? []), target]);
  }
  return groups;
}

type AskMonit = (...words: string[]) => Promise<string>;

/** undefined: no monit runs for this host. */
async function monitOf(context: LocalContext, host: string): Promise<AskMonit | undefined> {
  const folder = join(hostFolder(context.folder, host), "monit");
  const pid = Number(((await readIfThere(join(folder, "monit.pid"))) ?? "").trim());
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  if ((await startTimeOf(pid)) === undefined) return undefined;
  const program = (await findProgram("monit", process.env["PATH"])) ?? "monit";
  const conf = join(folder, "monitrc");
  const call = async (words: readonly string[]): Promise<string> =>
    (await run(program, ["-c", conf, ...words], { timeout: ANSWER_WITHIN_MS })).stdout;
  return async (...words) => {
    const endMs = performance.now() + TRY_FOR_MS;
    for (;;) {
      const answer = await call(words).then(
        (stdout) => ({ stdout }),
        (cause: unknown) => ({ cause }),
      );
      if ("stdout" in answer) return answer.stdout;
      if (performance.now() < endMs) {
        await delay(LOOK_EVERY_MS);
        continue;
      }
      const { cause } = answer;
      const why = cause instanceof Error ? cause.message.trim() : String(cause);
      const message = `monit (process ${pid}) did not take "${words.join(" ")}": ${why}`;
      const remedy = `check it with: monit -c ${conf} summary; or end it first: monit -c ${conf} quit`;
      throw new TwineError({ code: "MONIT_FAILED", message, remedy }, { cause });
    }
  };
}

/** monit performs an action in its next cycle, and may be in the middle of one. */
async function untilUnmonitored(ask: AskMonit, names: readonly string[]): Promise<void> {
  const endMs = performance.now() + ANSWER_WITHIN_MS;
  for (;;) {
    const lines = (await ask("-B", "summary")).split("\n").map((line) => line.trim());
    const left = names.filter(
      (name) =>
        !lines.some(
          (line) => isShownAs(name, line.split(" ")[0] ?? "") && /Not monitored/.test(line),
        ),
    );
    if (left.length === 0) return;
    if (performance.now() > endMs) {
      const message = `monit still monitors ${left.join(", ")} after ${ANSWER_WITHIN_MS / 1000} s, and would start them again`;
      throw new TwineError({
        code: "MONIT_FAILED",
        message,
        remedy: "try again, or end monit first",
      });
    }
    await delay(LOOK_EVERY_MS);
  }
}
