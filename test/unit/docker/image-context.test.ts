// image-context.test.ts: the folder of the runtime's image, and what stays behind in .cache when the context of the runtime's image can't be made.
import { execFile } from "node:child_process";
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { prepareImageContext } from "../../../infra/docker/image-context.ts";
import { findProgram } from "../../support/programs.ts";
import { ROOT } from "../../support/source-files.ts";

const run = promisify(execFile);

test("a context that can't be completed leaves no folder behind", async () => {
  const root = await mkdtemp(join(tmpdir(), "twine-context-"));
  try {
    for (const folder of ["dist/runtime/bin", "dist/chunks"])
      await mkdir(join(root, folder), { recursive: true });
    await mkdir(join(root, "templates"));
    expect(() => prepareImageContext(root)).toThrow(/package\.json is missing/);
    await writeFile(join(root, "package.json"), '{"dependencies":{"not-installed":"1"}}');
    expect(() => prepareImageContext(root)).toThrow(/not-installed is missing\n.*npm ci/);
    expect(await readdir(join(root, ".cache/runtime-image"))).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("the context is the same whatever the checkout's umask was, and readable for the container's user", async () => {
  const folder = await mkdtemp(join(tmpdir(), "twine-context-"));
  const modesUnder = async (umask: number): Promise<string[]> => {
    const root = join(folder, umask.toString(8));
    const before = process.umask(umask);
    try {
      const dist = ["runtime/bin", "chunks", "infra/bin", "infra/env"].map(
        (part) => `dist/${part}`,
      );
      for (const part of [...dist, "infra/image", "templates"])
        await mkdir(join(root, part), { recursive: true });
      for (const file of ["dist/runtime/bin/twined.js", "dist/runtime/bin/twine-restore.js"])
        await writeFile(join(root, file), "text");
      const compiled = ["bin/twine-env.js", "env/connect-from.js"];
      for (const file of [
        "infra/image/Dockerfile",
        ...compiled.map((path) => `dist/infra/${path}`),
      ])
        await writeFile(join(root, file), "text");
      await chmod(join(root, "dist/runtime/bin/twined.js"), 0o777 & ~umask);
      await writeFile(join(root, "package.json"), "{}");
      const { folder: context } = prepareImageContext(root);
      const names = (await readdir(context, { recursive: true })).sort();
      const modes = names.map(async (name) => {
        const { mode } = await stat(join(context, name));
        return `${name} ${(mode & 0o777).toString(8)}`;
      });
      return await Promise.all(modes);
    } finally {
      process.umask(before);
    }
  };
  try {
    const modes = await modesUnder(0o022);
    expect(modes).toContain("dist/runtime/bin/twined.js 755");
    expect(modes).toContain("package.json 644");
    expect(modes).toContain("monitor/bin/twine-restore 755");
    expect(modes).toContain("monitor/bin/twined 755");
    expect(modes).toContain("monitor/infra/bin/twine-env.js 644");
    expect(modes).toContain("data/rescue 700");
    expect(await modesUnder(0o077)).toEqual(modes);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("take-program.sh: a redis-server with its own loader and libraries, which starts where neither is", async () => {
  const folder = await mkdtemp(join(tmpdir(), "twine-taken-"));
  try {
    const taken = join(folder, "redis");
    const said = await run("sh", [
      join(ROOT, "infra/image/take-program.sh"),
      taken,
      "redis-server",
    ]);
    expect(said.stdout).toMatch(/^(Redis|Valkey) server v=/);
    const libraries = await readdir(join(taken, "lib"));
    expect(libraries.some((name) => name.startsWith("ld-"))).toBe(true);
    // What it has loaded, as the kernel shows it: nothing of this machine's own.
    const env = { ...process.env, LD_TRACE_LOADED_OBJECTS: "1" };
    const launcher = await readFile(join(taken, "bin/redis-server"), "utf8");
    const [program = "", ...args] = /^exec (.*) "\$@"$/m.exec(launcher)?.[1]?.split(" ") ?? [];
    const { stdout } = await run(program, args, { env });
    const loaded = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, path]) => path ?? "");
    expect(loaded.length).toBeGreaterThan(1);
    expect(loaded.filter((path) => !path.startsWith(taken) && !/\/ld-/.test(path))).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("take-program.sh without ldd says so: a redis-server without its libraries would start nowhere else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "twine-taken-"));
  try {
    for (const name of ["redis-server", "mkdir", "cp"]) {
      await symlink(findProgram(name) ?? name, join(folder, name));
    }
    const script = join(ROOT, "infra/image/take-program.sh");
    const taken = run("/bin/sh", [script, join(folder, "redis"), "redis-server"], {
      env: { PATH: folder },
    });
    await expect(taken).rejects.toThrow(/there is no ldd in this image/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
