// tar.ts: small files as a tar archive, the format of Docker's API. Pure. POSIX.1-1988 (ustar) headers.
const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const REGULAR = "0";

export interface TarFile {
  /** Inside the container; a leading slash is ignored. */
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** `modifiedS`: modification time of all files, seconds since 1970. @throws Error when a path is too long for the
    format. */
export function packTar(files: readonly TarFile[], modifiedS = 0): Buffer {
  const parts = files.flatMap((file) => [
    header(file, modifiedS),
    file.content,
    Buffer.alloc(paddingOf(file.content.length)),
  ]);
  // Two empty blocks close an archive.
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

/** The regular files of an archive: path -> content. An incomplete entry ends the reading. */
export function readTar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let at = 0;
  while (at + BLOCK_BYTES <= archive.length) {
    const block = archive.subarray(at, at + BLOCK_BYTES);
    const name = textAt(block, 0, NAME_BYTES);
    const size = Number.parseInt(textAt(block, 124, 12).trim() || "0", 8);
    if (name === "" || !Number.isSafeInteger(size)) break;
    const begin = at + BLOCK_BYTES;
    const end = begin + size;
    if (end > archive.length) break;
    const type = textAt(block, 156, 1);
    const prefix = textAt(block, 345, PREFIX_BYTES);
    if (type === REGULAR || type === "") {
      files.set(prefix === "" ? name : `${prefix}/${name}`, archive.subarray(begin, end));
    }
    at = end + paddingOf(size);
  }
  return files;
}

function paddingOf(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function textAt(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString();
}

function header(file: TarFile, modifiedS: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const [prefix, name] = splitPath(file.path.replace(/^\/+/, ""));
  const octal = (value: number, width: number): string =>
    `${value.toString(8).padStart(width - 1, "0")}\0`;
  block.write(name, 0);
  block.write(octal(file.mode, 8), 100);
  block.write(octal(file.uid, 8), 108);
  block.write(octal(file.gid, 8), 116);
  block.write(octal(file.content.length, 12), 124);
  block.write(octal(modifiedS, 12), 136);
  block.write("        ", 148);
  block.write(REGULAR, 156);
  block.write("ustar\x0000", 257);
  block.write(prefix, 345);
  // The checksum counts its own field as spaces.
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ["", path];
  for (let cut = path.indexOf("/"); cut >= 0; cut = path.indexOf("/", cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    const fits = Buffer.byteLength(name) <= NAME_BYTES;
    if (fits && Buffer.byteLength(prefix) <= PREFIX_BYTES) return [prefix, name];
  }
  throw new Error(`the path of an upload is too long: ${path}`);
}
