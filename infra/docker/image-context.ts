// image-context.ts: the folder from which the runtime's image is built: compiled code, templates, and of node_modules
// what runs, found by walking package.json's dependencies. Its name is a hash of its content, and so is the image's
// tag: the same Twine gives the same image on every engine, and nothing is built when nothing changed.
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { TwineError } from "../../runtime/core/errors.ts";

/** A folder that is to have an owner in the image needs something in it: builders pass over an empty one. */
const RESCUE_README =
  "What data nodes took while another node was master, saved by this monitor: RDB files that any redis-server loads.\n" +
  "twine-status tells of each until twine-failover --forget-rescue NODE; the files stay until somebody removes them.\n";

export interface ImageContext {
  /** Absolute. */
  readonly folder: string;
  /** e.g. twine-runtime:3f2a91c04d7e */
  readonly tag: string;
}

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * Prepares the context below `root`/.cache and tells its tag.
 * Throws IMAGE_CONTEXT when the code is not compiled or a dependency is not installed.
 */
export function prepareImageContext(root: string): ImageContext {
  const cache = join(root, ".cache", "runtime-image");
  mkdirSync(cache, { recursive: true });
  // Two stacks of one checkout may do this at the same time: each in a folder of its own, the first one stays.
  const folder = mkdtempSync(join(cache, "new-"));
  try {
    return fill(root, folder, cache);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** What the image holds; then the folder gets its name. */
function fill(root: string, folder: string, cache: string): ImageContext {
  for (const part of ["dist/runtime", "templates", "package.json"]) {
    const source = join(root, part);
    if (!existsSync(source)) throw missing(source, "run npm ci in Twine's folder, which builds it");
    cpSync(source, join(folder, part), { recursive: true, dereference: true });
  }
  copyDependencies(root, folder);
  cpSync(join(root, "infra/image/Dockerfile"), join(folder, "Dockerfile"));
  mkdirSync(join(folder, "data/rescue"), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "data/rescue/README"), RESCUE_README);
  const hash = hashOf(folder).slice(0, 12);
  return { folder: keep(folder, join(cache, hash)), tag: `twine-runtime:${hash}` };
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

/** Each package at the top of node_modules when the name is free there, else below whoever needs another version. */
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

/** As Node looks for it: in node_modules here, then in every folder above. */
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
