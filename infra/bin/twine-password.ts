#!/usr/bin/env node
// twine-password: changes the cluster's password while it serves: first both are accepted, then the new one is used, at the
// end the old one is refused.
import { randomBytes } from "node:crypto";
import { readNewPassword, readPassword, readPasswords } from "../../runtime/cli/password-file.ts";
import { twineHome } from "../../runtime/cli/package-root.ts";
import { loadConf, runTool, tool, type ToolOptions } from "../../runtime/cli/tool.ts";
import { hostsOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { fingerprintOf } from "../../runtime/core/credentials.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import type { RotationGoal } from "../../runtime/core/rotation.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import type { StatusNodesOptions } from "../../runtime/register/acceptors.ts";
import { readChosenView } from "../../runtime/register/chosen-view.ts";
import { openRotationNotes, type RotationNotes } from "../../runtime/register/rotation-notes.ts";
import { localContext, type LocalContext } from "../local/context.ts";
import { interruption } from "../local/interruption.ts";
import { silentProgress } from "../local/progress.ts";
import { openNotesFile } from "../local/rotation/notes-file.ts";
import { followLive } from "../local/rotation/live-nodes.ts";
import { allNodes, rotate, type RotationOutcome } from "../local/rotation/rotate.ts";
import { requireWholeCluster } from "../local/rotation/whole-cluster.ts";
import { hostLines, type HostLine } from "../local/rotation/words.ts";

interface PasswordOptions extends ToolOptions {
  readonly rotate?: boolean;
  readonly finish?: boolean;
  readonly abort?: boolean;
  readonly nodesOnly?: boolean;
  readonly newFile?: string;
  readonly without: readonly string[];
  readonly wait: number;
}

const WAITS = 3;
const WAIT_S = 600;

function passwordTool(): ReturnType<typeof tool> {
  return tool({
    name: "twine-password",
    summary:
      "Gives the cluster another password while it serves; without an option it shows how far that is. No connection is dropped, and after an interruption the same command goes on.",
    examples: [
      "$ twine-password --rotate                     # one machine: makes a new one",
      "$ twine-password --rotate --new-file next     # on every host, at the same time or one by one",
      "$ twine-password --finish                     # the old one is refused from now on",
      "$ twine-password --abort                      # back to the old one, before --finish",
    ],
    exitCodes: { 3: "other hosts have not run this command yet: run it there, then again here" },
  })
    .argument("[host]", "a host of twine.conf (default: those of this machine)")
    .option("--rotate", "nodes accept both passwords, and Twine uses the new one")
    .option("--finish", "the old password is refused; programs must have the new one")
    .option("--abort", "takes the rotation back, unless a host has finished")
    .option("--new-file <file>", "holds the new password; the same on every host")
    .option(
      "--without <host>",
      "a host to leave out: this command does not wait for it; may be repeated",
      collect,
      [],
    )
    .option("--wait <seconds>", "how long to wait for other hosts", seconds, WAIT_S)
    .option(
      "--nodes-only",
      "for containers: set the passwords of TWINE_PASSWORD_FILE on every node that can be reached, and write no file",
    );
}

async function main(): Promise<number> {
  const program = passwordTool();
  program.parse();
  const options = program.opts<PasswordOptions>();
  const goals = (["rotate", "finish", "abort"] as const).filter((goal) => options[goal] === true);
  const goal = goals.at(-1);
  if (goals.includes("abort") && goals.length > 1)
    return program.error("--abort goes with no other");
  const { config } = loadConf(options);
  const passwordFile = process.env["TWINE_PASSWORD_FILE"] ?? "";
  const password = readPassword();
  if (password === undefined) throw noPassword();
  const signal = interruption();
  const [host] = program.args;
  const context = await localContext({
    ...{ config, dir: options.dir, password, home: twineHome(), progress: silentProgress, signal },
  });
  const isSentinels = config.settings.failover === "sentinel";
  const far = context.plan.hosts.filter((each) => !context.isHere(each));
  if (isSentinels && far.length > 0) throw ofSentinel(far.map(({ name }) => name));
  if (options.nodesOnly === true) return nodesOnly(context, options);
  const given = newPassword(context, options, goals, host);
  // This host was down: the others may accept only the new password.
  const both = { list: () => knownBoth(password.list(), given) };
  const status = { config, password: both, clock: systemClock, openLink: openRedisLink };
  const notes = isSentinels
    ? openNotesFile(context.folder, hostsOf(config))
    : openRotationNotes(status);
  try {
    if (goal === undefined) return await show(config, notes, options);
    requireKnown(options.without, hostsOf(config));
    if (!isSentinels && goal !== "abort") await requireEveryNode(status);
    const reported: string[] = [];
    const outcome = await rotate(
      context,
      {
        ...{ host, goal, passwordFile, given, without: options.without },
        waitMs: options.wait * 1000,
      },
      {
        readNotes: () => notes.read(),
        writeNote: (host, note) => notes.write(host, note),
        notesPlace: isSentinels ? "in partitions/HOST/.rotation" : "on the status nodes",
        readFile: () => readPasswords() ?? [],
        wallTime: () => systemClock.wallTime(),
        report: (line) => {
          reported.push(line);
          process.stderr.write(`${line}\n`);
        },
      },
    );
    const isIdle = reported.length === 0 && goal !== "rotate";
    const words = wordsOf(outcome, isIdle ? "nothing" : goal, config);
    return printOutcome(outcome, goal, words, options);
  } catch (error) {
    throw signal.aborted ? interrupted() : error;
  } finally {
    notes.close();
  }
}

/** A cluster without a view has never run. */
async function requireEveryNode(status: StatusNodesOptions): Promise<void> {
  const view = await readChosenView(status).catch((error: unknown) => {
    if (error instanceof TwineError && error.code === "NO_VIEW") return undefined;
    throw error;
  });
  if (view !== undefined) requireWholeCluster(view, status.config);
}

function knownBoth(file: readonly string[], given: string | undefined): readonly string[] {
  return file.length > 1 || given === undefined ? file : [...file, given];
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value <= 86_400) return value;
  throw new TwineError(
    {
      code: "USAGE",
      message: `--wait ${text}: not a number of seconds`,
      remedy: "write 0 to 86400",
    },
    { exitCode: EXIT.usage },
  );
}

function requireKnown(without: readonly string[], hosts: readonly string[]): void {
  const unknown = without.filter((host) => !hosts.includes(host));
  if (unknown.length === 0) return;
  throw new TwineError(
    {
      code: "HOST_UNKNOWN",
      message: `--without: twine.conf has no host ${unknown.join(", ")}`,
      remedy: `name one of its hosts: ${hosts.join(", ")}`,
    },
    { exitCode: EXIT.usage },
  );
}

/** The password of --new-file; a random one if this machine has all hosts and starts the rotation. */
function newPassword(
  { plan, isHere }: LocalContext,
  { newFile }: PasswordOptions,
  goals: readonly RotationGoal[],
  host: string | undefined,
): string | undefined {
  if (newFile !== undefined) return readNewPassword(newFile);
  const isBeginning = goals.includes("rotate") && readPasswords()?.length === 1;
  const isAll = plan.hosts.every((each) => isHere(each) && (host ?? each.name) === each.name);
  return isBeginning && isAll ? randomBytes(24).toString("base64url") : undefined;
}

/** For containers: changes the running nodes; the program that renders the files changes them. */
async function nodesOnly(context: LocalContext, { json }: PasswordOptions): Promise<number> {
  const passwords = readPasswords() ?? [];
  const { changed, down } = await followLive(allNodes(context), passwords);
  process.stdout.write(
    json === true
      ? `${JSON.stringify({ changed, down })}\n`
      : `${changed.length} nodes changed, ${down.length} do not run\n`,
  );
  return EXIT.ok;
}

async function show(
  config: ClusterConfig,
  notes: RotationNotes,
  { json }: PasswordOptions,
): Promise<number> {
  const file = (readPasswords() ?? []).map(fingerprintOf);
  const lines = hostLines(hostsOf(config), await notes.read());
  process.stdout.write(
    json === true ? `${JSON.stringify({ file, hosts: lines })}\n` : textOf(lines),
  );
  return EXIT.ok;
}

function textOf(lines: readonly HostLine[]): string {
  const width = Math.max(...lines.map(({ host }) => host.length));
  return lines.map(({ host, text }) => `${host.padEnd(width)}  ${text}\n`).join("");
}

function printOutcome(
  outcome: RotationOutcome,
  goal: RotationGoal,
  words: string,
  { json }: PasswordOptions,
): number {
  const hosts = outcome.kind === "wait" ? outcome.hosts : outcome.behind;
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ goal, outcome: outcome.kind, waitsFor: hosts })}\n`);
  } else process.stdout.write(`${words}\n`);
  return outcome.kind === "wait" ? WAITS : EXIT.ok;
}

function wordsOf(
  outcome: RotationOutcome,
  goal: RotationGoal | "nothing",
  config: ClusterConfig,
): string {
  if (outcome.kind === "wait") {
    const names = outcome.hosts.join(", ");
    return `waits for ${names}: run twine-password --${outcome.goal} there, then this command again`;
  }
  const late = outcome.behind.length === 0 ? "" : `; ${outcome.behind.join(", ")} not yet`;
  switch (goal) {
    case "rotate":
      if (config.settings.router === "twemproxy") {
        return `the nodes accept both passwords${late}. twemproxy has the old one until twine-password --finish, which restarts it with the new one: give that to your programs then`;
      }
      return `the nodes accept both passwords, and Twine uses the new one here${late}. Give it to your programs, then: twine-password --finish`;
    case "finish":
      return `the old password is refused here${late}`;
    case "nothing":
      return `no rotation is under way here${late}: nothing was changed`;
    case "abort":
      return `the rotation is cancelled here${late}: Twine uses the old password`;
  }
}

function interrupted(): TwineError {
  return new TwineError(
    {
      code: "INTERRUPTED",
      message: "interrupted; the cluster still serves all requests",
      remedy: "run the same command again: it continues where it was interrupted",
    },
    { exitCode: EXIT.interrupted },
  );
}

function ofSentinel(far: readonly string[]): TwineError {
  return new TwineError({
    code: "ROTATION_SENTINEL",
    message: `with failover sentinel there are no status nodes through which the hosts agree, and ${far.join(", ")} is not on this machine`,
    remedy:
      "on every host: stop the nodes (twine-stop), change the file that TWINE_PASSWORD_FILE names, run twine-setup, and start the nodes again (twine-start)",
  });
}

function noPassword(): TwineError {
  return new TwineError({
    code: "ROTATION_NO_FILE",
    message: "TWINE_PASSWORD_FILE names no file, so there is no password to rotate",
    remedy:
      "let it name the file that holds the cluster's password, as when the nodes were started; a cluster without one gets it by twine-stop, and then twine-setup and twine-start with that file",
  });
}

await runTool(main);
