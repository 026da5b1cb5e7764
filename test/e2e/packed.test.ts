// packed.test.ts: what is published works where it is installed: npm pack, npm install into an empty folder, the bins.
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { startRedis } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";

function romaNameOf(bin: string): string {
  return bin.replace(/^twine/, "roma");
}

const PACKAGE = "node_modules/twine-redis";

let folder: string;
let installed: Ran;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "twine-pack-"));
  const npm = (...args: string[]): Promise<Ran> => runCommand("npm", args, { cwd: folder });
  const packed = await npm("pack", "--silent", ROOT);
  const tarball = packed.stdout.trim().split("\n").at(-1) ?? "";
  installed = await npm("install", "--no-audit", "--no-fund", `./${tarball}`);
  expect(installed.code, installed.stderr).toBe(0);
  // What a program of TypeScript, and one of Pulumi, installs beside it: the checkout's own.
  for (const name of ["@pulumi", "@types"]) {
    await rm(join(folder, "node_modules", name), { recursive: true, force: true });
    await symlink(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  // npm pack compiles; npm install asks the registry.
}, 600_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Writes programs and runs one of them with the Node of this checkout. */
async function run(name: string, text: string, ...args: string[]): Promise<Ran> {
  await writeFile(join(folder, name), text);
  return runCommand(process.execPath, [name, ...args], { cwd: folder });
}

/** What the checkout's own compiler, strict, says of a program. */
async function compile(name: string, text: readonly string[], options: object): Promise<string> {
  await writeFile(join(folder, name), text.join("\n"));
  const compilerOptions = { strict: true, noEmit: true, target: "es2022", types: [], ...options };
  const config = { compilerOptions, files: [name] };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const ran = await runCommand(process.execPath, [compiler, "-p", folder], { cwd: folder });
  return ran.stdout.trim();
}

describe("the packed package, installed into an empty folder", () => {
  test("npm says nothing but what it added", () => {
    expect(installed.stderr).toBe("");
    expect(installed.stdout).not.toMatch(/warn|deprecated/i);
  });

  test("every bin is there under both of its names and knows its own help", async () => {
    const text = await readFile(join(ROOT, "package.json"), "utf8");
    const { publishConfig } = JSON.parse(text) as { publishConfig: { bin: object } };
    const bins = Object.keys(publishConfig.bin);
    const romaNames = bins.filter((bin) => bin.startsWith("twine")).map(romaNameOf);
    expect(romaNames.length).toBeGreaterThan(10);
    expect(bins.filter((bin) => bin.startsWith("roma")).sort()).toEqual(romaNames.sort());
    for (const bin of bins) {
      const ran = await runCommand(join(folder, "node_modules/.bin", bin), ["--help"], {
        cwd: folder,
      });
      expect(ran.code, `${bin} --help: ${ran.stderr}`).toBe(0);
      expect(ran.stdout).toContain(`Usage: ${bin}`);
      expect(ran.stdout).toContain("Examples:");
    }
  });

  test("packing leaves the checkout's package.json as it was", async () => {
    const text = await readFile(join(ROOT, "package.json"), "utf8");
    expect(JSON.parse(text)).not.toHaveProperty("bin");
    expect(JSON.parse(text)).toHaveProperty("devDependencies");
    const published = await readFile(join(folder, PACKAGE, "package.json"), "utf8");
    const { scripts } = JSON.parse(published) as { scripts: object };
    expect(Object.keys(scripts)).toEqual(["start", "stop"]);
  });

  test("twine-hash answers without any twine.conf", async () => {
    const ran = await runCommand(join(folder, "node_modules/.bin/twine-hash"), ["foo", "2"], {
      cwd: folder,
    });
    expect(ran).toEqual({ code: 0, stdout: "1\n", stderr: "" });
  });
});

describe("the types of the packed package", () => {
  const OLDEST = {
    ...{ module: "commonjs", moduleResolution: "node", ignoreDeprecations: "6.0" },
    skipLibCheck: true,
  };
  const BUNDLER = { module: "esnext", moduleResolution: "bundler", skipLibCheck: true };
  // Method: in each program one line is wrong, so that types that are missing, or any, would not pass.
  const CLIENTS = [
    'import { RedCluster, TwineClient, TwineError, type TwineClientOptions } from "twine-redis";',
    'const options: TwineClientOptions = { conf: "twine.conf", readFrom: "replica" };',
    "const client = new TwineClient(options);",
    'client.on("failover", ({ partition, from }) => `${partition.toFixed()} ${from.trim()}`);',
    'client.once("held", ({ why }) => why.trim()).on("view", (view) => view.epoch.toFixed());',
    'client.on("message", (channel, message) => channel.trim() + message.trim());',
    'client.on("error", (error) => error.message).on("ready", () => undefined);',
    'client.on("another", (...all: number[]) => all.length).off("held", () => undefined);',
    'client.addListener("failover", ({ to }) => to.trim()).removeListener("ready", () => undefined);',
    'new RedCluster([]).on("failover", ({ to }) => to.trim());',
    'export const sum: Promise<string | null> = client.get("a");',
    "export const problems = (error: unknown) => error instanceof TwineError && error.problems;",
    'export const wrong = client.on("failover", ({ partition }) => partition.trim());',
  ];
  const WRONG = "(13,73): error TS2339: Property 'trim' does not exist on type 'number'.";

  test.each([
    ["nodenext.mts", { module: "nodenext", types: ["node"] }],
    ["nodenext.cts", { module: "nodenext", types: ["node"], skipLibCheck: true }],
    ["bundler.ts", { ...BUNDLER, types: ["node"] }],
    ["oldest.ts", { ...OLDEST, types: ["node"] }],
  ])("%s: the entry's classes, options and events", async (name, options) => {
    expect(await compile(name, CLIENTS, options)).toBe(`${name}${WRONG}`);
  });

  test("a CommonJS program finds the component's types, also with TypeScript's oldest way of looking", async () => {
    const program = [
      'import { TwineCluster } from "twine-redis/docker";',
      'import { startCluster } from "twine-redis/env";',
      'const cluster = new TwineCluster("cache", { conf: "a=data 0 db1 6666 0" });',
      "export const wrong: number = cluster.routerUrls;",
      "export const right: () => Promise<{ stop(): Promise<void> }> = startCluster;",
    ];
    expect(await compile("program.ts", program, OLDEST)).toBe(
      "program.ts(4,14): error TS2322: Type 'Output<readonly string[]>' is not assignable to type 'number'.",
    );
  });
});

describe("programs that have the packed package", () => {
  const BODY = `
    const red = new RedCluster([{ master: { host: "127.0.0.1", port: Number(process.argv[2]) } }]);
    const use = async () => {
      await red.set("a", "1");
      console.log(await red.incr("a"), red instanceof Redis);
      await red.quit();
      try { new TwineClient({}); } catch (error) { console.log(error instanceof TwineError); }
    };
    use();`;

  test.skipIf(isMissing("redis-server")).each([
    [
      "program.mjs",
      'import { RedCluster, TwineClient, TwineError } from "twine-redis"; import { Redis } from "ioredis";',
    ],
    [
      "program.cjs",
      'const { RedCluster, TwineClient, TwineError } = require("twine-redis"); const { Redis } = require("ioredis");',
    ],
  ])("%s reads, writes and ends", async (name, imports) => {
    const { port } = await startRedis();
    const ran = await run(name, imports + BODY, String(port));
    expect(ran).toEqual({ code: 0, stdout: "2 true\ntrue\n", stderr: "" });
  });

  test.skipIf(isMissing("redis-server") || process.platform !== "linux")(
    "one that starts a cluster has its monitors and routers connect from their own addresses",
    async () => {
      const text = `
        import { readFile } from "node:fs/promises";
        import { startCluster } from "twine-redis/env";
        import { Redis } from "ioredis";
        const cluster = await startCluster({ waitMs: 180_000 });
        try {
          const conf = await readFile(cluster.conf, "utf8");
          const [, host, port] = /^\\S+=status (\\S+) (\\d+)/m.exec(conf);
          const redis = new Redis({ host, port: Number(port) });
          const list = String(await redis.call("CLIENT", "LIST"));
          redis.disconnect();
          const block = host.split(".").slice(0, 3).join(".") + ".";
          const from = new Set([...list.matchAll(/ addr=(\\S+):/g)].map(([, addr]) => addr));
          console.log([...from].filter((addr) => addr.startsWith(block) && addr !== host).length > 1);
        } finally {
          await cluster.stop();
        }`;
      const ran = await run("cluster.mjs", text);
      expect(ran, ran.stderr).toEqual({ code: 0, stdout: "true\n", stderr: "" });
    },
    300_000,
  );

  test.each(["client", "red-cluster", "env", "docker"])("require gives %s, too", async (entry) => {
    const text = `console.log(Object.keys(require("twine-redis/${entry}")).length > 0)`;
    const ran = await run("entry.cjs", text);
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: "true\n" });
  });

  test("one that has the client alone loads nothing of the tools", async () => {
    const text = `
      import { registerHooks } from "node:module";
      const loaded = new Set();
      registerHooks({ load: (url, context, next) => (loaded.add(url), next(url, context)) });
      await import("twine-redis");
      console.log(JSON.stringify([...loaded]));`;
    const ran = await run("loaded.mjs", text);
    const files = (JSON.parse(ran.stdout) as string[]).filter((url) => url.startsWith("file:"));
    const packages = new Set(
      files.map((url) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]),
    );
    expect(packages).toContain("twine-redis");
    packages.delete("twine-redis");
    // ioredis and what it needs itself.
    const lock = await readFile(join(folder, "node_modules/ioredis/package.json"), "utf8");
    const { dependencies } = JSON.parse(lock) as { dependencies: object };
    const expected = new Set(["ioredis", ...Object.keys(dependencies), "redis-errors", "ms"]);
    expect([...packages].filter((name) => !expected.has(name ?? ""))).toEqual([]);
    expect(
      files.filter((url) => /twine-redis\/dist\/(chunks|infra|runtime\/(bin|cli))\//.test(url)),
    ).toEqual([]);
  });
});

describe("what else is in the packed package", () => {
  test("every link of its README and docs leads to a file in it", async () => {
    const all = await readdir(join(folder, PACKAGE), { recursive: true });
    const pages = all.filter((path) => path.endsWith(".md"));
    expect(pages).toContain("README.md");
    expect(pages.length).toBeGreaterThan(20);
    const broken: string[] = [];
    for (const page of pages) {
      const text = await readFile(join(folder, PACKAGE, page), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
        if (!existsSync(join(folder, PACKAGE, dirname(page), target)))
          broken.push(`${page} ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test("a copy of it is a Pulumi project, with the examples to start from", async () => {
    // Method: the way of docs/pulumi.md; Pulumi's own test mode stands for its engine.
    const project = join(folder, "my-cluster");
    await cp(join(folder, PACKAGE), project, { recursive: true });
    await mkdir(join(project, "node_modules"));
    await symlink(join(ROOT, "node_modules/@pulumi"), join(project, "node_modules/@pulumi"));
    const yaml = await readFile(join(project, "Pulumi.yaml"), "utf8");
    const main = /^main: (.*)$/m.exec(yaml)?.[1] ?? "";
    const config = {
      ...{ "twine:conf": "examples/three-hosts.conf", "twine:runtimeImage": "twine-runtime:test" },
      "twine:engine": "unix:///var/run/docker.sock",
    };
    const text = `
      import * as pulumi from "@pulumi/pulumi";
      const made = [];
      await pulumi.runtime.setMocks({
        newResource: ({ type, name, inputs }) => (made.push(type), { id: name + "-id", state: inputs }),
        call: () => ({}),
      }, "twine", "staging", true);
      const { nodes } = await import("./${main}");
      let hosts = 0;
      nodes.apply((all) => (hosts = new Set(all.map(({ host }) => host)).size));
      process.on("exit", () => console.log(hosts, made.includes("docker:index/container:Container")));`;
    await writeFile(join(project, "try.mjs"), text);
    const env = { PULUMI_CONFIG: JSON.stringify(config) };
    const ran = await runCommand(process.execPath, ["try.mjs"], { cwd: project, env });
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: "3 true\n" });
  });
});
