// aof-files.ts: the files of an append only file, in the order in which they are loaded: one, or those of a manifest.
//
//   appendonlydir/appendonly.aof.manifest   file appendonly.aof.1.base.rdb seq 1 type b
//                                           file appendonly.aof.1.incr.aof seq 1 type i
// https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ (since Redis 7)
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { TwineError } from "../../core/errors.ts";

/** Paths, first to last. Throws AOF_MISSING, AOF_MANIFEST_BAD. */
export function aofFiles(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw missing(`${path}: there is no such file or folder`);
  if (stat.isFile()) return path.endsWith(".manifest") ? fromManifest(path) : [path];
  const manifests = readdirSync(path).filter((name) => name.endsWith(".manifest"));
  const [only] = manifests;
  if (manifests.length !== 1 || only === undefined) {
    throw missing(`${path}: a folder with ${manifests.length} manifests, and one was expected`);
  }
  return fromManifest(join(path, only));
}

function missing(message: string): TwineError {
  const remedy = "name an append only file, or the folder that holds its manifest";
  return new TwineError({ code: "AOF_MISSING", message, remedy });
}

function fromManifest(path: string): string[] {
  const files = parseManifest(readFileSync(path, "utf8"), path);
  return files.map((name) => {
    const file = join(dirname(path), name);
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return file;
    throw missing(`${path} names ${name}, and there is no such file`);
  });
}

/** The base, then the increments by their numbers; what is history only is left out. Throws AOF_MANIFEST_BAD. */
export function parseManifest(text: string, path: string): string[] {
  const found: { readonly name: string; readonly seq: number; readonly type: string }[] = [];
  text.split("\n").forEach((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return;
    const match = /^file ("(?:[^"\\]|\\.)*"|\S+) seq (\d+) type ([bih])\s*$/.exec(line);
    const name = (match?.[1] ?? "").replace(/^"(.*)"$/, "$1").replace(/\\(.)/g, "$1");
    if (match === null || name === "" || name.includes("/")) {
      throw new TwineError({
        code: "AOF_MANIFEST_BAD",
        message: "no line of a manifest",
        at: { file: path, line: index + 1, column: 1 },
        remedy: "it ought to read: file NAME seq NUMBER type b, i or h",
      });
    }
    found.push({ name, seq: Number(match[2]), type: match[3] ?? "" });
  });
  const base = found.filter(({ type }) => type === "b");
  const increments = found.filter(({ type }) => type === "i").sort((a, b) => a.seq - b.seq);
  return [...base, ...increments].map(({ name }) => name);
}
