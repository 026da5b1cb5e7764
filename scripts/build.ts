// build.ts: compiles the published code into dist/, bundles its programs there (bundle.ts) and, in a checkout, puts them
// where npx finds them.
// npm runs it as `prepare`, after `npm ci` and before `npm pack`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const compiler = join(root, "node_modules/typescript/bin/tsc");
const { bin: bins } = (
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    publishConfig: { bin: Record<string, string> };
  }
).publishConfig;

if (existsSync(compiler)) {
  compile();
  // Not at the top: who installs without devDependencies has no bundler.
  const { bundlePrograms } = await import("./bundle.ts");
  await bundlePrograms(join(root, "dist"));
  for (const [name, file] of Object.entries(bins)) putOnPath(name, file);
} else {
  process.stdout.write(
    "twine: no compiler here (installed without devDependencies), nothing built\n",
  );
}

function compile(): void {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const result = spawnSync(process.execPath, [compiler, "-p", join(root, "tsconfig.build.json")], {
    stdio: "inherit",
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** A small launcher beside npm's own: it starts the Node of this checkout, whatever Node the machine has. */
function putOnPath(name: string, file: string): void {
  const folder = join(root, "node_modules/.bin");
  if (!existsSync(folder)) return;
  const target = join(root, dirname(file), `${name}.js`);
  // The Roma names are links to the same file: a tool sees the name that it was called by.
  if (!existsSync(target)) symlinkSync(basename(file), target);
  const launcher = join(folder, name);
  mkdirSync(folder, { recursive: true });
  rmSync(launcher, { force: true });
  const node = existsSync(join(folder, "node")) ? '"$here/node"' : "node";
  const script = `#!/bin/sh\nhere=$(dirname "$0")\nexec ${node} "$here/${relative(folder, target)}" "$@"\n`;
  writeFileSync(launcher, script, { mode: 0o755 });
}
