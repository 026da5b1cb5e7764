// pack.ts: the published package.json differs from the checkout's.
//   open   before packing: publishConfig.bin becomes bin, and what only a checkout needs goes
//   close  afterwards: the checkout's own again
// Why a bin there: where package.json has a `bin`, npx does not look into node_modules/.bin but installs the folder into its
// cache first, over the network, and starts the machine's Node instead of the one that the checkout brings.
// Why less: a copy of the package is a Pulumi project, and `npm install` in it must not look for scripts/ or for compilers.
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

interface Package {
  bin?: Readonly<Record<string, string>>;
  publishConfig?: { readonly bin: Readonly<Record<string, string>> };
  devDependencies?: Readonly<Record<string, string>>;
  scripts: Readonly<Record<string, string>>;
}

/** Those that work without the checkout. */
const PUBLISHED_SCRIPTS = ["start", "stop"];

const root = resolve(import.meta.dirname, "..");
const file = join(root, "package.json");
const kept = join(root, ".cache/package.json");

switch (process.argv[2]) {
  case "open":
    open();
    break;
  case "close":
    renameSync(kept, file);
    break;
  default:
    throw new Error("usage: node scripts/pack.ts open|close");
}

function open(): void {
  const content = JSON.parse(readFileSync(file, "utf8")) as Package;
  // A pack that was killed left the published one behind: the checkout's is kept already.
  if (content.publishConfig === undefined) return;
  mkdirSync(join(root, ".cache"), { recursive: true });
  copyFileSync(file, kept);
  const { publishConfig, scripts, ...rest } = content;
  const published = Object.entries(scripts).filter(([name]) => PUBLISHED_SCRIPTS.includes(name));
  const text = {
    ...rest,
    devDependencies: undefined,
    bin: publishConfig.bin,
    scripts: Object.fromEntries(published),
  };
  writeFileSync(file, `${JSON.stringify(text, null, 2)}\n`);
}
