// build.ts: compiles the published code into dist/ and, in a checkout, puts the bins where npx finds them.
// npm runs it as `prepare`, after `npm ci` and before `npm pack`.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { writeFileSync } from "node:fs";
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
  for (const file of new Set(Object.values(bins))) makeExecutable(join(root, file));
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

function makeExecutable(file: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.startsWith("#!")) writeFileSync(file, `#!/usr/bin/env node\n${text}`);
  chmodSync(file, 0o755);
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
