// tidy.test.ts: the habits of this house, held by a test: who may import whom, sizes, names, what is banned where.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { ROOT, listFiles, readSource, type SourceFile } from "./support/source-files.ts";

const CODE = [...listFiles("runtime", ".ts"), ...listFiles("infra", ".ts")].map(readSource);
const TESTS = [...listFiles("test", ".ts"), ...listFiles("bench", ".ts")].map(readSource);
const SCRIPTS = listFiles("scripts", ".ts").map(readSource);
const ALL = [...CODE, ...TESTS, ...SCRIPTS];

/** What everything that routes stands on. */
const GROUND = ["runtime/ports", "runtime/resp", "runtime/route", "runtime/register"];

/** room -> the rooms that it may import, besides itself and runtime/core. The longest matching room counts. */
const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  "runtime/core": [],
  "runtime/ports": ["runtime/resp"],
  "runtime/resp": [],
  "runtime/route": ["runtime/resp"],
  "runtime/cli": [],
  "runtime/register": ["runtime/ports", "runtime/resp", "runtime/route"],
  // The router's inner rooms, each above those that it names; what lies in the router's own folder joins them.
  "runtime/router/rules": GROUND,
  "runtime/router/stats": GROUND,
  "runtime/router/workers": [...GROUND, ...routerRooms("stats")],
  "runtime/router/lanes": [...GROUND, ...routerRooms("rules", "stats")],
  "runtime/router/dispatch": [...GROUND, ...routerRooms("rules", "stats", "lanes")],
  "runtime/router/own-connections": [...GROUND, ...routerRooms("stats", "lanes", "dispatch")],
  "runtime/router/clients": [
    ...GROUND,
    ...routerRooms("rules", "lanes", "dispatch", "own-connections"),
  ],
  "runtime/router": GROUND,
  "runtime/client": GROUND,
  "runtime/status": ["runtime/register"],
  "runtime/alert": ["runtime/ports"],
  "runtime/monitor": [...GROUND, "runtime/status", "runtime/alert"],
  "runtime/backup": GROUND,
  "runtime/bin": ["runtime"],
  "infra/plan": [],
  "infra/render": ["infra/plan"],
  "infra/docker": ["infra/plan", "infra/render", "runtime/cli"],
  "infra/local": ["infra/plan", "infra/render"],
  "infra/index.ts": ["infra/plan", "infra/render", "infra/docker"],
  "infra/bin": [
    "infra/plan",
    "infra/render",
    "infra/local",
    "infra/docker",
    "runtime/cli",
    "runtime/ports",
    "runtime/register",
    "runtime/status",
  ],
};

/** Rooms that only compute: what they need of time, randomness and the outside comes in as an argument. */
const PURE_ROOMS = [
  "runtime/core/",
  "runtime/resp/",
  "runtime/route/",
  "runtime/status/",
  "runtime/monitor/decide/",
  ...[
    "ages",
    "answers",
    "commands",
    "events",
    "glob",
    "picture",
    "state-maps",
    "subscriptions",
  ].map((name) => `runtime/monitor/sentinel/${name}.ts`),
  "infra/plan/",
  "infra/render/",
];
const PURE_NODE_MODULES = ["node:crypto", "node:zlib", "node:buffer"];

/** Where the machine's own clock, dice and environment may be touched. */
const IMPURE_ROOMS = [
  "runtime/ports/",
  "runtime/bin/",
  "runtime/cli/",
  "infra/bin/",
  "infra/local/",
  // The Pulumi program itself.
  "infra/index.ts",
];

function routerRooms(...names: readonly string[]): string[] {
  return names.map((name) => `runtime/router/${name}`);
}

function roomOf(path: string): string | undefined {
  return Object.keys(IMPORT_TABLE)
    .filter((room) => path === room || path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function isWithin(path: string, rooms: readonly string[]): boolean {
  return rooms.some((room) => path === room || path.startsWith(`${room}/`));
}

/** The first circle of imports found, or none: each file with those behind it, until one comes again. */
function circleOf(files: readonly SourceFile[]): readonly string[] {
  const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const search = (path: string, way: readonly string[]): readonly string[] => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const next of importsOf.get(path) ?? []) {
      const circle = search(next, [...way, path]);
      if (circle.length > 0) return circle;
    }
    done.add(path);
    return [];
  };
  for (const { path } of files) {
    const circle = search(path, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

describe("who may import whom", () => {
  test("every file lies in a room of the table", () => {
    const homeless = CODE.filter((file) => roomOf(file.path) === undefined);
    expect(homeless.map((file) => file.path)).toEqual([]);
  });

  test("a room imports only the rooms that the table allows it", () => {
    const trespasses = CODE.flatMap((file) => {
      const room = roomOf(file.path) ?? "";
      const allowed = [room, "runtime/core", ...(IMPORT_TABLE[room] ?? [])];
      return file.imports
        .filter((path) => path.startsWith("runtime/") || path.startsWith("infra/"))
        .filter((path) => !isWithin(path, allowed))
        .map((path) => `${file.path} imports ${path}`);
    });
    expect(trespasses).toEqual([]);
  });

  test("no file imports itself by way of others, not even for a type", () => {
    expect(circleOf(CODE)).toEqual([]);
  });

  test("nothing imports a bin but its tests", () => {
    const trespasses = CODE.flatMap((file) =>
      file.imports
        .filter((path) => /^(runtime|infra)\/bin\//.test(path))
        .map((path) => `${file.path} imports ${path}`),
    );
    expect(trespasses).toEqual([]);
  });

  test("only infra/docker and infra/index.ts import @pulumi", () => {
    const trespasses = CODE.filter(
      (file) =>
        file.imports.some((path) => path.startsWith("@pulumi/")) &&
        !isWithin(file.path, ["infra/docker", "infra/index.ts"]),
    );
    expect(trespasses.map((file) => file.path)).toEqual([]);
  });
});

describe("purity", () => {
  test("pure rooms import nothing of node that touches the world", () => {
    const trespasses = CODE.filter((file) => PURE_ROOMS.some((room) => file.path.startsWith(room)))
      .flatMap((file) => file.imports.map((path) => ({ file: file.path, path })))
      .filter(({ path }) => path.startsWith("node:") && !PURE_NODE_MODULES.includes(path));
    expect(trespasses).toEqual([]);
  });

  test("clock, dice, timers and environment are touched only where the world is let in", () => {
    // A socket's own timeout counts from its last byte, which no timer of ours knows.
    const banned =
      /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|(?<!socket\.)setTimeout|setInterval|process\.env)\b/;
    const trespasses = CODE.filter(
      (file) => !IMPURE_ROOMS.some((room) => file.path.startsWith(room)),
    )
      .flatMap((file) =>
        file.lines.map((line, index) => ({ place: `${file.path}:${index + 1}`, line })),
      )
      .filter(({ line }) => banned.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line));
    expect(trespasses).toEqual([]);
  });
});

describe("sizes and names", () => {
  test("no file is longer than 400 lines", () => {
    const long = ALL.filter((file) => file.lines.length > 401);
    expect(long.map((file) => `${file.path} (${file.lines.length})`)).toEqual([]);
  });

  test("no function is longer than 70 lines", () => {
    expect([...CODE, ...SCRIPTS].flatMap((file) => file.longFunctions)).toEqual([]);
  });

  test("infra/index.ts stays under 60 lines", () => {
    const index = CODE.find((file) => file.path === "infra/index.ts");
    expect(index?.lines.length ?? 0).toBeLessThan(60);
  });

  test("files are kebab-case and say what they hold", () => {
    const odd = ALL.filter(
      (file) =>
        !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(basename(file.path)) ||
        /\b(utils?|helpers?|manager|misc|common)\b/.test(basename(file.path)),
    );
    expect(odd.map((file) => file.path)).toEqual([]);
  });

  test("every file of the product opens by saying what it is", () => {
    const silent = CODE.filter((file) => !/^(#!.*\n)?(\/\/|\/\*)/.test(file.text));
    expect(silent.map((file) => file.path)).toEqual([]);
  });
});

describe("what is banned", () => {
  const mark = new RegExp(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|"));

  test("nothing is left for later without a place where it is written down", () => {
    const marks = ALL.flatMap((file) =>
      file.lines.flatMap((line, index) =>
        mark.test(line) && !/(issue|ADR) \d+/.test(line) ? [`${file.path}:${index + 1}`] : [],
      ),
    );
    expect(marks).toEqual([]);
  });

  test("no test is focused, skipped for good, or waits for a fixed time", () => {
    const banned = /\b(it|test|describe)\.(only|todo|skip)\(|\bsleep\(|setTimeout\([^,]*, *\d{3,}/;
    const found = TESTS.filter((file) => file.path !== "test/tidy.test.ts").flatMap((file) =>
      file.lines.flatMap((line, index) => (banned.test(line) ? [`${file.path}:${index + 1}`] : [])),
    );
    expect(found).toEqual([]);
  });

  test("no rule of types or lint is switched off, no module is mocked", () => {
    const banned = new RegExp(
      ["eslint-" + "disable", "@ts-" + "ignore", "vi\\.mock" + "\\("].join("|"),
    );
    const found = ALL.flatMap((file) =>
      file.lines.flatMap((line, index) => (banned.test(line) ? [`${file.path}:${index + 1}`] : [])),
    );
    expect(found).toEqual([]);
  });

  test("the wire's older word for a replica stands only where the wire is parsed or spoken", () => {
    const found = CODE.filter((file) => !file.path.startsWith("runtime/route/")).flatMap((file) =>
      file.lines.flatMap((line, index) =>
        /\bslaves?\b/i.test(line) && !/["'`/]/.test(line) ? [`${file.path}:${index + 1}`] : [],
      ),
    );
    expect(found).toEqual([]);
  });
});

describe("docs", () => {
  const docs = ["README.md", ...listFiles("docs", ".md")].filter((path) =>
    existsSync(join(ROOT, path)),
  );
  const scripts = (
    JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    }
  ).scripts;

  test("every npm script that docs and CI name exists", () => {
    const named = [...docs, ".ci/run"].flatMap((path) =>
      [...readFileSync(join(ROOT, path), "utf8").matchAll(/npm run ([a-z0-9:-]+)/g)].map(
        (match) => match[1] ?? "",
      ),
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  test("every file that the docs link to exists", () => {
    const broken = docs.flatMap((path) =>
      [...readFileSync(join(ROOT, path), "utf8").matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)]
        .map((match) => join(path, "..", match[1] ?? ""))
        .filter((target) => !existsSync(join(ROOT, target)))
        .map((target) => `${path} -> ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("an ADR has at most 40 lines", () => {
    const long = listFiles("docs/adr", ".md").filter(
      (path) => readFileSync(join(ROOT, path), "utf8").trimEnd().split("\n").length > 40,
    );
    expect(long).toEqual([]);
  });
});
