// base-images.ts: base images made on this machine from its own binaries, since a test needs no registry.
//
//   programs + the libraries that ldd names + /etc/passwd -> tar -> docker import NAME:TAG
//
// They stand in for Docker Hub's redis, node and debian images: same programs, same users (redis 999, node 1000), same /data.
import { execFile } from "node:child_process";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { EngineHost } from "./docker-engines.ts";
import { findProgram } from "./programs.ts";

const run = promisify(execFile);

export const REDIS_IMAGE = "redis:7.0.15-twine";
export const NUTCRACKER_IMAGE = "nutcracker:0.5-twine";
export const NODE_IMAGE = "node:24-bookworm-slim";

/** What entrypoints and health checks may call besides sh's own commands. */
const COREUTILS = [
  ...["cat", "chmod", "chown", "cp", "cut", "date", "dirname", "env", "grep", "head", "hostname"],
  ...["id", "ls", "mkdir", "mktemp", "mv", "od", "rm", "sed", "sha256sum", "sleep", "sort", "stat"],
  ...["tail", "timeout", "touch", "tr", "true", "uname", "wc"],
];

interface BaseImage {
  readonly tag: string;
  readonly programs: readonly string[];
  readonly user: string;
  readonly uid: number;
  readonly settings: readonly string[];
}

const PATH_SETTING = "ENV PATH=/usr/local/bin:/usr/bin:/bin";

function baseImages(): readonly BaseImage[] {
  return [
    {
      tag: REDIS_IMAGE,
      // ldd is a script of bash, as in Debian's image.
      programs: ["redis-server", "redis-cli", "ldd", "bash"],
      user: "redis",
      uid: 999,
      settings: [PATH_SETTING, "VOLUME /data", "WORKDIR /data", 'CMD ["redis-server"]'],
    },
    {
      // In the place of Debian's image, in which its package would be installed.
      tag: NUTCRACKER_IMAGE,
      programs: ["nutcracker", "ldd", "bash"],
      user: "proxy",
      uid: 13,
      settings: [PATH_SETTING],
    },
    {
      tag: NODE_IMAGE,
      // The Node that runs these tests, which is the one that the runtime is tested on.
      programs: [process.execPath, "bash"],
      user: "node",
      uid: 1000,
      settings: [PATH_SETTING, 'CMD ["node"]'],
    },
  ];
}

/** Makes the images once and imports them into every engine; `folder` is for the archives. */
export async function importBaseImages(
  engines: readonly EngineHost[],
  folder: string,
): Promise<void> {
  for (const image of baseImages()) {
    const root = join(folder, `rootfs-${image.user}`);
    await fillRoot(root, image);
    const archive = `${root}.tar`;
    await run("tar", ["-C", root, "--numeric-owner", "-cf", archive, "."]);
    await rm(root, { recursive: true, force: true });
    await Promise.all(engines.map((engine) => importArchive(engine, archive, image)));
    await rm(archive);
  }
}

async function importArchive(engine: EngineHost, archive: string, image: BaseImage): Promise<void> {
  const changes = image.settings.flatMap((setting) => ["--change", setting]);
  const program = findProgram("docker") ?? "docker";
  await run(program, ["-H", engine.endpoint, "import", ...changes, archive, image.tag]);
}

async function fillRoot(root: string, image: BaseImage): Promise<void> {
  for (const folder of ["usr/bin", "usr/local/bin", "etc", "tmp", "data", "proc", "sys", "dev"]) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await symlink("usr/bin", join(root, "bin"));
  const names = ["sh", ...COREUTILS, ...image.programs];
  const paths = names.map((name) => (name.startsWith("/") ? name : findProgram(name)));
  const missing = names.filter((_name, index) => paths[index] === undefined);
  if (missing.length > 0) throw new Error(`this machine lacks ${missing.join(", ")}`);
  const programs = paths.filter((path) => path !== undefined);
  for (const path of programs) {
    await cp(path, join(root, "usr/bin", basename(path)), { dereference: true });
  }
  for (const library of await librariesOf(programs)) {
    await mkdir(join(root, dirname(library)), { recursive: true });
    await cp(library, join(root, library), { dereference: true, force: true });
  }
  const account = (name: string, id: number): string => `${name}:x:${id}:${id}::/:/bin/sh`;
  const accounts = [account("root", 0), account(image.user, image.uid)];
  await writeFile(join(root, "etc/passwd"), `${accounts.join("\n")}\n`);
  await writeFile(join(root, "etc/group"), `root:x:0:\n${image.user}:x:${image.uid}:\n`);
  // DNS of a pod's network answers at 127.0.0.11; names in /etc/hosts come first.
  await writeFile(join(root, "etc/nsswitch.conf"), "hosts: files dns\n");
  await run("chown", [String(image.uid), join(root, "data")]);
  await run("chmod", ["1777", join(root, "tmp")]);
}

/** Shared libraries, the loader among them; those of glibc's name service are opened by name, so they are added. */
async function librariesOf(programs: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const program of programs) {
    const { stdout } = await run("ldd", [program]).catch(() => ({ stdout: "" }));
    for (const [, path] of stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
      if (path !== undefined) found.add(path);
    }
  }
  const libc = [...found].find((path) => /\/libc\.so/.test(path));
  if (libc !== undefined) {
    found.add(join(dirname(libc), "libnss_files.so.2")).add(join(dirname(libc), "libnss_dns.so.2"));
    found.add(join(dirname(libc), "libresolv.so.2"));
  }
  return found;
}
