// seed-session.ts: a folder in which a test types commands as a person does: every tool of package.json is on PATH by its name,
// run from the sources, and twine.conf has free ports.
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { binPath } from "./bins.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import { until } from "./redis-server.ts";
import { runCommand, type Ran } from "./run-tool.ts";
import { ROOT } from "./source-files.ts";

export interface SeedSession {
  readonly folder: string;
  readonly port: (name: string) => number;
  /** A line of a shell; its exit code is not looked at. */
  readonly sh: (line: string) => Promise<Ran>;
  /** The same, which has to succeed; what it printed. {NAME} becomes a port. */
  readonly type: (line: string) => Promise<string>;
  /** Until the line prints this. */
  untilPrints(line: string, words: RegExp): Promise<void>;
  /** kill -9; returns when the process is gone. */
  kill(node: string): Promise<void>;
}

/** `conf`: as ClusterFolder takes it; written to `name`. */
export async function seedSession(conf: string, name = "twine.conf"): Promise<SeedSession> {
  const cluster = await ClusterFolder.create(conf);
  onTestFinished(() => cluster.end());
  const { folder } = cluster;
  const bins = join(folder, "bin");
  await mkdir(bins);
  if (name !== "twine.conf") {
    await writeFile(join(folder, name), await readFile(cluster.file, "utf8"));
    await runCommand("rm", [cluster.file], {});
  }
  const text = await readFile(join(ROOT, "package.json"), "utf8");
  const { publishConfig } = JSON.parse(text) as { publishConfig: { bin: Record<string, string> } };
  for (const [tool, compiled] of Object.entries(publishConfig.bin)) {
    const room = compiled.startsWith("dist/infra/") ? "infra" : "runtime";
    const program = binPath(basename(compiled, ".js"), room);
    const path = join(bins, tool);
    await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
    await chmod(path, 0o755);
  }
  const env = { PATH: `${bins}:${process.env["PATH"] ?? ""}` };
  // A placeholder of ClusterFolder has no underscore.
  const port = (node: string): number => cluster.port(node.replaceAll("_", "-"));
  const portsIn = (line: string): string =>
    line.replace(/\{(\w+)\}/g, (_, node: string) => String(port(node)));
  const sh = (line: string): Promise<Ran> =>
    runCommand("sh", ["-c", portsIn(line)], { cwd: folder, env });
  return {
    folder,
    port,
    sh,
    type: async (line) => {
      const { code, stdout, stderr } = await sh(line);
      expect(code, `${line}\n${stdout}${stderr}`).toBe(0);
      return stdout;
    },
    untilPrints: (line, words) =>
      until(
        `${line} prints ${words.source}`,
        async () => words.test((await sh(line)).stdout),
        120_000,
      ),
    kill: async (node) => {
      process.kill(await cluster.pid(node), "SIGKILL");
      await until(`${node} is gone`, async () => !(await cluster.isRunning(node)));
    },
  };
}
