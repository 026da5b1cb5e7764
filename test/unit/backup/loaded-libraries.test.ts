// Libraries that only some backups need are loaded by those alone: not by programs that use the client package, and not by
// backups into folders.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/source-files.ts";

/** Which libraries a process has asked for when `code` has run. */
function loadedBy(code: string): string[] {
  const script = `
    import { registerHooks } from "node:module";
    const asked = new Set();
    registerHooks({
      resolve: (name, context, next) => {
        if (/^(@aws-sdk|@smithy|age-encryption|ioredis)/.test(name)) asked.add(name);
        return next(name, context);
      },
    });
    ${code}
    process.stdout.write(JSON.stringify([...asked]));
    process.exit(0);
  `;
  // Nobody's credentials: nothing is sent anywhere.
  const env = { PATH: process.env["PATH"], AWS_CONFIG_FILE: "/dev/null" };
  const options = { cwd: ROOT, encoding: "utf8", env } as const;
  return JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], options),
  ) as string[];
}

const file = (path: string): string => JSON.stringify(join(ROOT, path));

test("the client package loads no library of backups", () => {
  const loaded = loadedBy(`await import(${file("runtime/client/package-entry.ts")});`);
  expect(loaded).toContain("ioredis");
  expect(loaded.filter((name) => name !== "ioredis")).toEqual([]);
});

test("a target in a folder loads none, one in a bucket its own when it is first used", () => {
  const code = (name: string): string => `
    const { openTargets } = await import(${file("runtime/backup/targets/open-targets.ts")});
    const settings = { backupDirs: [${JSON.stringify(name)}], cluster: "test" };
    const ports = { clock: { after: () => () => {} }, owner: { host: "", pid: 1 }, env: process.env };
    const [target] = openTargets({ file: "/nowhere/twine.conf", settings }, ports);
    process.env.AWS_EC2_METADATA_DISABLED = "true";
    await target.list().catch(() => {});
  `;
  expect(loadedBy(code("nowhere"))).toEqual([]);
  expect(loadedBy(code("s3://bucket/prefix"))).toContain("@aws-sdk/client-s3");
});
