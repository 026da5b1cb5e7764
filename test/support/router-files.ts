// router-files.ts: a folder with a twine.conf for a router, the files that it names, and the router by it.
import { createHash } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";

export interface RouterFolder {
  readonly path: string;
  /** The config of these lines, as if they stood in this folder's twine.conf. */
  config(lines: readonly string[]): ClusterConfig;
  /** Writes a file that nobody else may read. */
  write(name: string, text: string | Buffer, mode?: number): Promise<string>;
}

export async function routerFolder(): Promise<RouterFolder> {
  const path = await mkdtemp(join(tmpdir(), "twine-router-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return {
    path,
    config: (lines) => {
      const parsed = parseConf(`${lines.join("\n")}\n`, join(path, "twine.conf"));
      if (parsed.config === undefined) throw new Error(JSON.stringify(parsed.errors));
      return parsed.config;
    },
    write: async (name, text, mode = 0o600) => {
      const file = join(path, name);
      await writeFile(file, text);
      await chmod(file, mode);
      return file;
    },
  };
}

/** As a users file wants it. */
export function sha256(password: string): string {
  return createHash("sha256").update(password).digest("hex");
}
