// package-root.ts: finds Twine's own folder, both from the sources and from the compiled output.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds package.json and templates/. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("twine's own package.json is missing above its code");
    folder = parent;
  }
  return folder;
}

/** The command to start one of Twine's own bins: the sources during development, the compiled output when published. */
export function binPath(bin: string, room: "runtime" | "infra"): string {
  const compiled = !import.meta.url.endsWith(".ts");
  return join(
    packageRoot(),
    compiled ? "dist" : "",
    room,
    "bin",
    compiled ? `${bin}.js` : `${bin}.ts`,
  );
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
