// setup.ts: writes a host's folder. Looks at everything first and refuses before anything is written; what a crash
// left half done, the next run finishes.
//
//   inspect: planned file -> write | same | edited, or a problem     (hand-edit.ts, stamp.ts decide)
//   apply:   remember the digests to come -> write stamps and files -> remember the digests that are
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TwineError, type Problem } from "../../runtime/core/errors.ts";
import type { PlannedFile, PlannedHost } from "../plan/plan.ts";
import { renderFile } from "../render/render-file.ts";
import { eachBounded, failuresOf } from "./bounded.ts";
import type { LocalContext } from "./context.ts";
import { fileError, makeFolder, readIfThere, systemCode, writeWhole } from "./files.ts";
import { decideFile, digestOf, parseGenerated, type Generated } from "./hand-edit.ts";
import { generatedFile, hostFolder } from "./layout.ts";
import { decideStamp } from "./stamp.ts";

const AT_ONCE = 32;

export interface SetupOptions {
  /** Replace files that were edited by hand. */
  readonly overwrite: boolean;
  /** Stamp data folders that hold data without a stamp. */
  readonly adopt: boolean;
}

/** What one planned file needs. */
export interface FileState {
  readonly file: PlannedFile;
  /** Absolute. */
  readonly path: string;
  readonly wanted: string;
  readonly decision: "write" | "same" | "edited";
  readonly isThere: boolean;
}

export interface HostState {
  readonly host: PlannedHost;
  readonly files: readonly FileState[];
  readonly generated: Generated;
  readonly problems: readonly FileProblem[];
}

/** Why one planned file can't be written. */
export interface FileProblem {
  readonly file: PlannedFile;
  readonly problem: Problem;
}

/** Reads a host's folder and writes nothing. */
export async function inspectHost(
  context: LocalContext,
  host: PlannedHost,
  options: SetupOptions,
): Promise<HostState> {
  const generated = parseGenerated(await readIfThere(generatedFile(context.folder, host.name)));
  const problems: FileProblem[] = [];
  const files: FileState[] = [];
  for (const file of host.files) {
    try {
      files.push(await inspectFile(context, host, file, generated, options));
    } catch (error) {
      if (!(error instanceof TwineError)) throw error;
      problems.push(...error.problems.map((problem) => ({ file, problem })));
    }
  }
  return { host, files, generated, problems };
}

async function inspectFile(
  context: LocalContext,
  host: PlannedHost,
  file: PlannedFile,
  generated: Generated,
  options: SetupOptions,
): Promise<FileState> {
  const path = join(hostFolder(context.folder, host.name), file.path);
  const wanted = renderFile(file, context.templates, context.password);
  const existing = await readIfThere(path);
  const decision =
    file.purpose === "stamp"
      ? decideStamp({
          path: dirname(path),
          cluster: context.plan.cluster,
          wanted,
          existing,
          entries: await entriesOf(dirname(path)),
          adopt: options.adopt,
        })
      : decideFile({
          wanted,
          existing,
          remembered: generated[file.path] ?? [],
          overwrite: options.overwrite,
        });
  return { file, path, wanted, decision, isThere: existing !== undefined };
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError("read", folder, error);
  }
}

export interface HostSetup {
  readonly host: string;
  readonly folder: string;
  /** Paths relative to the folder. */
  readonly written: readonly string[];
  readonly unchanged: readonly string[];
  /** Kept because a person edited them. */
  readonly kept: readonly string[];
  /** Folders of nodes that twine.conf no longer names; left as they are. */
  readonly leftOver: readonly string[];
}

/** Carries out what inspectHost found. */
export async function applyHost(context: LocalContext, state: HostState): Promise<HostSetup> {
  const { host, files, generated } = state;
  const record = generatedFile(context.folder, host.name);
  const pathsOf = (decision: FileState["decision"]): string[] =>
    files.filter((file) => file.decision === decision).map(({ file }) => file.path);
  const written = files.filter((file) => file.decision === "write");
  await makeFolder(hostFolder(context.folder, host.name));
  // Both the old and the coming digests count as ours until all is written: a crash here makes nobody's edit.
  const coming = digestsAfter(files);
  if (written.length > 0) await writeRecord(record, joined(generated, coming));
  // Stamps first: a folder gets its owner before anything else can be in it.
  for (const purpose of ["stamp", "generated"] as const) {
    await writeAll(written.filter(({ file }) => file.purpose === purpose));
  }
  for (const service of host.services) {
    await makeFolder(join(hostFolder(context.folder, host.name), service.folder));
  }
  const after = { ...generated, ...coming };
  if (JSON.stringify(after) !== JSON.stringify(generated)) await writeRecord(record, after);
  return {
    host: host.name,
    folder: hostFolder(context.folder, host.name),
    written: pathsOf("write"),
    unchanged: pathsOf("same"),
    kept: pathsOf("edited"),
    leftOver: leftOverFolders(host, generated),
  };
}

/** At once, because most of the time is waiting for the disk. */
async function writeAll(files: readonly FileState[]): Promise<void> {
  const outcomes = await eachBounded(files, AT_ONCE, ({ file, path, wanted }) =>
    writeWhole(path, wanted, file.mode),
  );
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
}

/** The digests of all generated files but the edited ones, whose old digest stays. */
function digestsAfter(files: readonly FileState[]): Generated {
  const ours = files.filter(
    ({ file, decision }) => file.purpose === "generated" && decision !== "edited",
  );
  return Object.fromEntries(ours.map(({ file, wanted }) => [file.path, [digestOf(wanted)]]));
}

function joined(before: Generated, coming: Generated): Generated {
  const both = Object.entries(coming).map(([path, digests]): [string, string[]] => [
    path,
    [...new Set([...(before[path] ?? []), ...digests])],
  ]);
  return { ...before, ...Object.fromEntries(both) };
}

async function writeRecord(path: string, generated: Generated): Promise<void> {
  await writeWhole(path, `${JSON.stringify(generated, null, 2)}\n`, 0o644);
}

function leftOverFolders(host: PlannedHost, generated: Generated): string[] {
  const planned = new Set(host.files.map((file) => file.path.split("/")[0]));
  const known = Object.keys(generated).map((path) => path.split("/")[0] ?? path);
  return [...new Set(known)].filter((folder) => !planned.has(folder));
}
