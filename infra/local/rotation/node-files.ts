// node-files.ts: writes the passwords of a rotation into the files of a host's nodes, and changes nothing else in them.
import { join } from "node:path";
import type { PlannedFile, PlannedHost } from "../../plan/plan.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere, writeWhole } from "../files/files.ts";
import { digestOf, parseGenerated, type Generated } from "../files/hand-edit.ts";
import { generatedFile, hostFolder } from "../files/layout.ts";
import { redisConfWith, usersAclWith } from "./node-passwords.ts";

/** Returns the paths that were written, below the host's folder. A missing file is skipped: twine-setup writes it. */
export async function followFiles(
  { folder }: Pick<LocalContext, "folder">,
  host: PlannedHost,
  passwords: readonly string[],
): Promise<readonly string[]> {
  const record = generatedFile(folder, host.name);
  let generated = parseGenerated(await readIfThere(record));
  const write = (next: Generated): Promise<void> => {
    generated = next;
    return writeWhole(record, `${JSON.stringify(next, null, 2)}\n`, 0o644);
  };
  const written: string[] = [];
  for (const file of host.files.filter(({ secrets }) => Object.keys(secrets).length > 0)) {
    const path = join(hostFolder(folder, host.name), file.path);
    const text = await readIfThere(path);
    if (text === undefined) continue;
    const wanted = withPasswords(file, text, passwords);
    if (wanted === text) continue;
    const remembered = generated[file.path] ?? [];
    // A file that was edited by hand still counts as edited; a crash between these writes must not look like a hand edit.
    const isOurs = remembered.includes(digestOf(text));
    if (isOurs) await write({ ...generated, [file.path]: [...remembered, digestOf(wanted)] });
    await writeWhole(path, wanted, file.mode);
    if (isOurs) await write({ ...generated, [file.path]: [digestOf(wanted)] });
    written.push(file.path);
  }
  return written;
}

function withPasswords(file: PlannedFile, text: string, passwords: readonly string[]): string {
  return file.template === "users.acl.hbs"
    ? usersAclWith(text, passwords)
    : redisConfWith(text, passwords);
}
