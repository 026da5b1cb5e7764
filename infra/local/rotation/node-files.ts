// node-files.ts: writes the passwords of a rotation into the files of a host's nodes, and changes nothing else in them.
import { join } from "node:path";
import type { PlannedFile, PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere, writeWhole } from "../files/files.ts";
import { digestOf, parseGenerated, type Generated } from "../files/hand-edit.ts";
import { generatedFile, hostFolder } from "../files/layout.ts";
import { renderFile } from "../../render/render-file.ts";
import { redisConfWith, sentinelConfWith, usersAclWith } from "./node-passwords.ts";

export interface FilesRequest {
  readonly passwords: readonly string[];
  /** The content of the password file before this step. */
  readonly before: readonly string[];
  /** Nodes that do not run. */
  readonly down: readonly string[];
}

/**
 * Returns the paths that were written, below the host's folder. A missing file is skipped: twine-setup writes it. So is a
 * nutcracker.yml, which twine-twemproxy writes.
 */
export async function followFiles(
  context: Pick<LocalContext, "folder" | "templates">,
  host: PlannedHost,
  request: FilesRequest,
): Promise<readonly string[]> {
  const record = generatedFile(context.folder, host.name);
  let generated = parseGenerated(await readIfThere(record));
  const write = (next: Generated): Promise<void> => {
    generated = next;
    return writeWhole(record, `${JSON.stringify(next, null, 2)}\n`, 0o644);
  };
  const written: string[] = [];
  for (const file of host.files.filter(({ secrets }) => Object.keys(secrets).length > 0)) {
    const path = join(hostFolder(context.folder, host.name), file.path);
    const text = await readIfThere(path);
    if (text === undefined) continue;
    const remembered = generated[file.path] ?? [];
    if (file.purpose === "rewritten") {
      // The plan's text is what counts as generated, and it has another password now.
      const digests = plannedDigests(file, context, request);
      const isOurs = remembered.some((digest) => digests.all.includes(digest));
      if (isOurs) await write({ ...generated, [file.path]: [digests.next] });
      if (!request.down.includes(ownerOf(file))) continue;
    }
    const wanted = withPasswords(file, text, request.passwords);
    if (wanted === text) continue;
    // A file that was edited by hand still counts as edited; a crash between these writes must not look like a hand edit.
    const isOurs = file.purpose !== "rewritten" && remembered.includes(digestOf(text));
    if (isOurs) await write({ ...generated, [file.path]: [...remembered, digestOf(wanted)] });
    await writeWhole(path, wanted, file.mode);
    if (isOurs) await write({ ...generated, [file.path]: [digestOf(wanted)] });
    written.push(file.path);
  }
  return written;
}

function ownerOf({ path }: PlannedFile): string {
  return path.split("/")[0] ?? "";
}

/** `all`: of the texts that twine-setup may have planned with these passwords, in any step of the rotation. */
function plannedDigests(
  file: PlannedFile,
  { templates }: Pick<LocalContext, "templates">,
  { passwords, before }: FilesRequest,
): { readonly next: string; readonly all: readonly string[] } {
  const digestWith = (list: readonly string[]): string =>
    digestOf(renderFile(file, templates, { list: () => list }));
  const known = [...new Set([...passwords, ...before])];
  const lists = known.flatMap((first) => [
    [first],
    ...known.filter((second) => second !== first).map((second) => [first, second]),
  ]);
  return { next: digestWith(passwords), all: lists.map(digestWith) };
}

function withPasswords(file: PlannedFile, text: string, passwords: readonly string[]): string {
  switch (file.template) {
    case "users.acl.hbs":
      return usersAclWith(text, passwords, file.values["isDefaultOn"] === true);
    case "sentinel.conf.hbs":
      return sentinelConfWith(text, passwords);
    default:
      return redisConfWith(text, passwords);
  }
}
