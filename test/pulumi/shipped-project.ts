// shipped-project.ts: the repository's own Pulumi project, in a folder where a test may write its stack's settings.
//
//   FOLDER/Pulumi.yaml       copied: Pulumi writes Pulumi.<stack>.yaml beside it
//   FOLDER/infra, runtime …  links to the repository, so the program that runs is the one that is shipped
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
const COPIED = ["Pulumi.yaml"];
const LEFT_OUT = [".git", ".cache", "partitions"];

export async function makeProject(folder: string): Promise<string> {
  const project = join(folder, "project");
  await mkdir(project, { recursive: true });
  const entries = await readdir(ROOT);
  const shipped = entries.filter(
    (name) => !LEFT_OUT.includes(name) && !/^Pulumi\..+\.yaml$/.test(name),
  );
  for (const name of shipped) {
    if (COPIED.includes(name)) await cp(join(ROOT, name), join(project, name));
    else await symlink(join(ROOT, name), join(project, name));
  }
  return project;
}
