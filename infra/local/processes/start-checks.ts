// start-checks.ts: finds what twine-setup still has to do before the first process starts, and which nodes that blocks.
import type { Problem } from "../../../runtime/core/errors.ts";
import type { PlannedFile, PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { namesOf } from "../files/names.ts";
import { inspectHost, type FileState } from "../files/setup.ts";
import { isSetUp } from "../targets.ts";

export interface SetupProblem {
  readonly problem: Problem;
  /** Names of the services that must not start before it is repaired; empty when it concerns the whole host. */
  readonly holdsBack: ReadonlySet<string>;
}

export interface SetupFindings {
  /** NOT_SET_UP when a file is missing or differs from the current twine.conf; DATA_FOREIGN and the like. */
  readonly problems: readonly SetupProblem[];
  /** Files edited by hand are only warnings. */
  readonly warnings: readonly Problem[];
}

/** Checks every file of these hosts and writes nothing. */
export async function checkSetup(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<SetupFindings> {
  const problems: SetupProblem[] = [];
  const warnings: Problem[] = [];
  for (const host of hosts) {
    if (!(await isSetUp(context, host))) {
      const message = `host ${host.name} is not set up below ${context.folder}`;
      const holdsBack = new Set(host.services.map(({ name }) => name));
      problems.push({ problem: notSetUp(message, `run twine-setup ${host.name}`), holdsBack });
      continue;
    }
    const state = await inspectHost(context, host, { overwrite: false, adopt: false });
    for (const { file, problem } of state.problems) {
      problems.push({ problem, holdsBack: namesOfOwners(host, [file]) });
    }
    problems.push(...dueProblems(host, state.files));
    for (const { path, decision } of state.files) {
      if (decision === "edited") warnings.push(editedByHand(path));
    }
  }
  return { problems, warnings };
}

/** One problem for all missing files of the host and one for all old files: both have one remedy. */
function dueProblems(host: PlannedHost, files: readonly FileState[]): SetupProblem[] {
  const due = files.filter(({ decision }) => decision === "write");
  const setUpAgain = `run twine-setup ${host.name}`;
  const problems: SetupProblem[] = [];
  const add = (group: readonly FileState[], what: string, why: string, remedy: string): void => {
    if (group.length === 0) return;
    const holdsBack = namesOfOwners(
      host,
      group.map(({ file }) => file),
    );
    const message = `${subjectOf(host, holdsBack)} ${what}: ${listed(group)}${why}`;
    problems.push({ problem: notSetUp(message, remedy), holdsBack });
  };
  add(
    due.filter((file) => !file.isThere),
    "not set up",
    " missing",
    `${setUpAgain}; with --keep-going twine-start starts everything else meanwhile`,
  );
  add(
    due.filter((file) => file.isThere),
    "set up differently (twine.conf, the password or the Redis version changed since)",
    "",
    setUpAgain,
  );
  return problems;
}

/** "node a2 of host db1 is", "nodes a1, a2 of host db1 are", "host db1 is". */
function subjectOf(host: PlannedHost, owners: ReadonlySet<string>): string {
  if (owners.size === 0) return `host ${host.name} is`;
  const isOne = owners.size === 1;
  return `node${isOne ? "" : "s"} ${namesOf([...owners])} of host ${host.name} ${isOne ? "is" : "are"}`;
}

/** The nodes to whose folders these files belong; scripts for all nodes of a host belong to none. */
function namesOfOwners(host: PlannedHost, files: readonly PlannedFile[]): ReadonlySet<string> {
  const folders = new Set(files.map(({ path }) => path.split("/")[0]));
  const owners = host.services.filter(({ folder }) => folders.has(folder));
  return new Set(owners.map(({ name }) => name));
}

function notSetUp(message: string, remedy: string): Problem {
  return { code: "NOT_SET_UP", message, remedy };
}

export function editedByHand(path: string): Problem {
  return {
    code: "FILE_EDITED",
    message: `${path} was edited by hand and is kept`,
    remedy: "twine-setup --overwrite replaces it by what twine.conf says",
  };
}

function listed(files: readonly { readonly path: string }[]): string {
  const shown = files.slice(0, 3).map((file) => file.path);
  const more = files.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
