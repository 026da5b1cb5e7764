// image-context.ts: creates the folder from which the runtime's image is built: compiled code, templates, and the
// production dependencies of node_modules, found by following package.json. Its name is a hash of its content, and so is
// the image's tag: the same Twine gives the same image on every engine, and nothing is built when nothing changed.
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { TwineError } from "../../runtime/core/errors.ts";

/** A folder with its own owner in the image must contain a file: builders skip an empty folder. */
const RESCUE_README =
  "What data nodes took while another node was master, saved by this monitor: RDB files that any redis-server loads.\n" +
  "twine-status shows each until twine-failover --forget-rescue NODE; the files stay until you remove them.\n";

export interface ImageContext {
  /** Absolute. */
  readonly folder: string;
  /** e.g. twine-runtime:3f2a91c04d7e */
  readonly tag: string;
}

/** What containers run: Twine's programs, and what they share. */
const RUNTIME_PARTS = ["dist/runtime/bin", "dist/chunks", "templates", "package.json"];
/** What a rehearsal starts in a monitor's container, of dist/infra: twine-env, and what its nodes load before their program. */
const REHEARSAL_PARTS = ["bin/twine-env.js", "env/connect-from.js"];
/** Where infra/image/Dockerfile puts the compiled runtime. */
const BINS_INSIDE = "/opt/twine/dist/runtime/bin";

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * Prepares the context below `root`/.cache; returns its folder and tag.
 * Throws IMAGE_CONTEXT when the code is not compiled or a dependency is not installed.
 */
export function prepareImageContext(root: string): ImageContext {
  const cache = join(root, ".cache", "runtime-image");
  mkdirSync(cache, { recursive: true });
  // Two stacks of one checkout may do this at the same time: each in its own folder, and the first one is kept.
  const folder = mkdtempSync(join(cache, "new-"));
  try {
    return fill(root, folder, cache);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Copies the image's content; then the folder gets its name. */
function fill(root: string, folder: string, cache: string): ImageContext {
  for (const part of RUNTIME_PARTS) copyPart(root, part, folder);
  copyDependencies(root, folder);
  for (const part of REHEARSAL_PARTS) {
    copyPart(join(root, "dist/infra"), part, join(folder, "monitor/infra"));
  }
  writeCommands(folder);
  cpSync(join(root, "infra/image"), folder, { recursive: true });
  mkdirSync(join(folder, "data/rescue"), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "data/rescue/README"), RESCUE_README);
  settleModes(folder);
  const hash = hashOf(folder).slice(0, 12);
  return { folder: keep(folder, join(cache, hash)), tag: `twine-runtime:${hash}` };
}

function copyPart(from: string, part: string, to: string): void {
  const source = join(from, part);
  if (!existsSync(source)) throw missing(source, "run npm ci in Twine's folder, which builds it");
  cpSync(source, join(to, part), { recursive: true, dereference: true });
}

/** Twine's commands for PATH, so that a person types `docker exec staging-m1 twine-restore latest`. */
function writeCommands(folder: string): void {
  const bin = join(folder, "monitor/bin");
  mkdirSync(bin, { recursive: true });
  for (const file of readdirSync(join(folder, "dist/runtime/bin"))) {
    const [, name] = /^(twined?(?:-\w+)?)\.js$/.exec(file) ?? [];
    if (name === undefined) continue;
    const script = `#!/bin/sh\nexec node ${BINS_INSIDE}/${file} "$@"\n`;
    writeFileSync(join(bin, name), script, { mode: 0o755 });
  }
}

/**
 * Sets the same modes for every umask of the checkout: the docker provider includes them in the context's digest, and the
 * container's user must be able to read files that belong to root.
 */
function settleModes(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isProgram = entry.isDirectory() || (statSync(path).mode & 0o100) !== 0;
    chmodSync(path, isProgram ? 0o755 : 0o644);
  }
  chmodSync(folder, 0o755);
  // Owned by the container's user.
  chmodSync(join(folder, "data/rescue"), 0o700);
}

function keep(folder: string, place: string): string {
  try {
    renameSync(folder, place);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    if (!existsSync(place)) throw error;
  }
  return place;
}

/** Each package is copied to the top of node_modules if the name is free there, otherwise below the package that needs
    another version. */
function copyDependencies(root: string, folder: string): void {
  const placed = new Map<string, string>();
  const place = (source: string, target: string): void => {
    for (const [name, isOptional] of dependenciesOf(source)) {
      const found = findPackage(name, source);
      if (found === undefined) {
        if (isOptional) continue;
        throw missing(join(source, "node_modules", name), "run npm ci");
      }
      const top = join(folder, "node_modules", name);
      const spot = [top, join(target, "node_modules", name)].find(
        (path) => (placed.get(path) ?? found) === found,
      );
      if (spot === undefined || placed.has(spot)) continue;
      placed.set(spot, found);
      cpSync(found, spot, {
        recursive: true,
        dereference: true,
        filter: (path) => path === found || basename(path) !== "node_modules",
      });
      place(found, spot);
    }
  };
  place(root, folder);
}

function dependenciesOf(folder: string): [name: string, isOptional: boolean][] {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(text) as Package;
  const names = [...Object.keys(dependencies), ...Object.keys(optionalDependencies)];
  return [...new Set(names)].sort().map((name) => [name, name in optionalDependencies]);
}

/** Node's lookup: in node_modules here, then in every parent folder. */
function findPackage(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

function hashOf(folder: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of files) {
    hash
      .update(`${file.slice(folder.length)}\0`)
      .update(readFileSync(file))
      .update("\0");
  }
  return hash.digest("hex");
}

function missing(path: string, how: string): TwineError {
  return new TwineError({
    code: "IMAGE_CONTEXT",
    message: `twine:runtimeImage is not set, and the image can't be built: ${path} is missing`,
    remedy: `${how}, or name an image with twine:runtimeImage`,
  });
}
