// package-root.ts: finds Twine's own folders from the sources, the compiled output and the bundled programs.
import { existsSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OWN_FILE = fileURLToPath(import.meta.url);

/** The folder that holds package.json and templates/. */
export function packageRoot(): string {
  return folderWith("package.json");
}

/** The program to start one of Twine's own bins: of the sources for who runs from them, else the bundled one. */
export function binPath(bin: string, room: "runtime" | "infra"): string {
  return codePath(`${room}/bin/${bin}`);
}

/** A module that a process is started with: `path` is that of its source without the ending. */
export function codePath(path: string): string {
  return join(folderWith("runtime/bin"), `${path}${extname(OWN_FILE)}`);
}

/** The nearest one above this module. */
function folderWith(part: string): string {
  let folder = dirname(OWN_FILE);
  while (!existsSync(join(folder, part))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`twine's own ${part} is missing above its code`);
    folder = parent;
  }
  return folder;
}

/** Twine's own files for the local applier: its templates, and the files that node runs. */
export function twineHome(): { templatesFolder: string; twineBin: (name: string) => string } {
  return {
    templatesFolder: join(packageRoot(), "templates"),
    twineBin: (name) => {
      const path = binPath(name, "runtime");
      return existsSync(path) ? path : binPath(name, "infra");
    },
  };
}
