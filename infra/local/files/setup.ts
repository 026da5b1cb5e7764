// setup.ts: writes a host's folder. It first checks everything and refuses before anything is written; the next run
// completes what a crash left incomplete.
//
//   inspect: planned file -> write | same | edited, or a problem     (hand-edit.ts, stamp.ts decide)
//   apply:   record the coming digests -> write stamps and files -> record the final digests
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";
import type { PlannedFile, PlannedHost } from "../../plan/plan.ts";
import { renderFile } from "../../render/render-file.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { fileError, makeFolder, readIfThere, systemCode, writeWhole } from "./files.ts";
import { decideFile, digestOf, parseGenerated, type Generated } from "./hand-edit.ts";
import { generatedFile, hostFolder, servicePaths } from "./layout.ts";
import { runningProcess } from "./pid-file.ts";
import { decideRewritten } from "./rewritten.ts";
import { decideStamp } from "./stamp.ts";

const AT_ONCE = 32;

export interface SetupOptions {
  /** Replace files that were edited by hand. */
  readonly overwrite: boolean;
  /** Stamp data folders that hold data without a stamp. */
  readonly adopt: boolean;
}

/** What has to be done with one planned file. */
export interface FileState {
  readonly file: PlannedFile;
  /** Absolute. */
  readonly path: string;
  /** The text to write. */
  readonly wanted: string;
  /** Digest of the plan's text, by which a later run recognizes it as generated. */
  readonly digest: string;
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
  const planned = renderFile(file, context.templates, context.password);
  const existing = await readIfThere(path);
  const isThere = existing !== undefined;
  const remembered = generated[file.path] ?? [];
  const known = { file, path, digest: digestOf(planned), isThere };
  if (file.purpose === "rewritten") {
    const { overwrite } = options;
    const { decision, text } = decideRewritten({ planned, existing, remembered, overwrite });
    if (decision === "write" && isThere) await requireStopped(context, host, file);
    return { ...known, wanted: text, decision };
  }
  const wanted = planned;
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
          remembered,
          overwrite: options.overwrite,
        });
  return { ...known, wanted, decision };
}

/** A running process would overwrite the new text with its own state. */
async function requireStopped(
  context: LocalContext,
  host: PlannedHost,
  file: PlannedFile,
): Promise<void> {
  const service = host.services.find(({ folder }) => file.path.startsWith(`${folder}/`));
  if (service === undefined) return;
  const { pidFile } = servicePaths(context.folder, host.name, service);
  if ((await runningProcess(pidFile)) === undefined) return;
  throw new TwineError({
    code: "FILE_IN_USE",
    message: `${file.path} of host ${host.name} must change, and ${service.name}, which runs, writes into it itself`,
    remedy: `twine-stop ${service.name}, then twine-setup ${host.name} and twine-start ${service.name}`,
  });
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
  /** Kept because they were edited by hand. */
  readonly kept: readonly string[];
  /** Folders of nodes that twine.conf no longer names; not changed. */
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
  // Both the old and the new digests count as generated until all files are written: a crash here must not look like a hand
  // edit.
  const coming = digestsAfter(files);
  if (written.length > 0) await writeRecord(record, joined(generated, coming));
  // Stamps first: a folder must name its cluster before anything else can be in it.
  for (const purpose of ["stamp", "generated", "rewritten"] as const) {
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

/** All at once, because most of the time is spent waiting for the disk. */
async function writeAll(files: readonly FileState[]): Promise<void> {
  const outcomes = await eachBounded(files, AT_ONCE, ({ file, path, wanted }) =>
    writeWhole(path, wanted, file.mode),
  );
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
}

/** The digests of all generated files; edited files keep their old digest. */
function digestsAfter(files: readonly FileState[]): Generated {
  const ours = files.filter(
    ({ file, decision }) => file.purpose !== "stamp" && decision !== "edited",
  );
  return Object.fromEntries(ours.map(({ file, digest }) => [file.path, [digest]]));
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
