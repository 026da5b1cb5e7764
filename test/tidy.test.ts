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
const PATHS = "runtime/cli/package-root.ts";

/** room -> the rooms that it may import, besides itself and runtime/core. The longest matching room counts. */
const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  "runtime/core": [],
  "runtime/ports": ["runtime/resp"],
  "runtime/resp": [],
  "runtime/route": ["runtime/resp"],
  "runtime/cli": ["runtime/ports"],
  "runtime/register": ["runtime/ports", "runtime/resp", "runtime/route"],
  "runtime/replication": GROUND,
  // The engine's inner rooms, each above those that it names; what lies in the engine's own folder joins them.
  "runtime/engine/limits.ts": GROUND,
  "runtime/engine/stats": [...GROUND, ...engineRooms("pipelines")],
  "runtime/engine/pipelines": [...GROUND, ...engineRooms("limits.ts", "stats")],
  "runtime/engine/dispatch": [...GROUND, ...engineRooms("limits.ts", "stats", "pipelines")],
  "runtime/engine/dedicated": [
    ...GROUND,
    ...engineRooms("limits.ts", "stats", "pipelines", "dispatch"),
  ],
  "runtime/engine/sessions": [
    ...GROUND,
    ...engineRooms("limits.ts", "stats", "pipelines", "dispatch", "dedicated"),
  ],
  "runtime/engine/calls": [...GROUND, "runtime/engine"],
  "runtime/engine": GROUND,
  "runtime/router": [...GROUND, "runtime/engine"],
  "runtime/replica-sets": GROUND,
  "runtime/client": [...GROUND, "runtime/engine", "runtime/replication", "runtime/replica-sets"],
  "runtime/status": ["runtime/register"],
  "runtime/alert": ["runtime/ports"],
  "runtime/monitor": [...GROUND, "runtime/replication", "runtime/status", "runtime/alert"],
  "runtime/backup": [...GROUND, "runtime/replication"],
  "runtime/twemproxy": ["runtime/ports", "runtime/status"],
  "runtime/move": [...GROUND, "runtime/replication", "runtime/engine"],
  "runtime/bin": ["runtime"],
  "infra/plan": [],
  "infra/render": ["infra/plan"],
  "infra/docker": ["infra/plan", "infra/render", "runtime/ports", PATHS],
  "infra/local": ["infra/plan", "infra/render"],
  "infra/env": ["infra/plan", "infra/local", "infra/docker", "runtime/ports", PATHS],
  "infra/check": ["infra/plan", "infra/local"],
  "infra/index.ts": ["infra/plan", "infra/render", "infra/docker"],
  "infra/bin": [
    "infra/plan",
    "infra/render",
    "infra/local",
    "infra/docker",
    "infra/env",
    "infra/check",
    "runtime/cli",
    "runtime/ports",
    "runtime/register",
    "runtime/status",
    "runtime/twemproxy",
  ],
};

/** Rooms that only compute: what they need of time, randomness and the outside comes in as an argument. */
const PURE_ROOMS = [
  "runtime/core/",
  "runtime/resp/",
  "runtime/route/",
  "runtime/status/",
  ...["agreed-master", "pool-file"].map((name) => `runtime/twemproxy/${name}.ts`),
  "runtime/replica-sets/heal.ts",
  "runtime/monitor/decide/",
  "runtime/engine/calls/call-order.ts",
  "runtime/engine/calls/fifo.ts",
  "runtime/replication/node-error.ts",
  "runtime/replication/rdb-transfer.ts",
  ...["aof-commands", "held-expiry", "loadable"].map(
    (name) => `runtime/replication/aof/${name}.ts`,
  ),
  ...[
    "crc64",
    "lzf",
    "rdb-counts",
    "rdb-error",
    "rdb-pieces",
    "rdb-scanner",
    "rdb-types",
    "rdb-writer",
  ].map((name) => `runtime/replication/rdb/${name}.ts`),
  "runtime/replication/rdb/rdb-values.ts",
  "runtime/move/feed-plan.ts",
  ...["ages", "answers", "commands", "events", "picture", "state-maps", "subscriptions"].map(
    (name) => `runtime/monitor/sentinel/${name}.ts`,
  ),
  "infra/plan/",
  "infra/render/",
  ...["schedule", "promises", "cut-rules", "report-page"].map(
    (name) => `infra/env/chaos/${name}.ts`,
  ),
];
const PURE_NODE_MODULES = ["node:crypto", "node:zlib", "node:buffer"];

/** Where the machine's own clock, dice and environment may be touched. */
const IMPURE_ROOMS = [
  "runtime/ports/",
  "runtime/bin/",
  "runtime/cli/",
  "infra/bin/",
  "infra/local/",
  "infra/env/",
  "infra/check/",
  // The Pulumi program itself.
  "infra/index.ts",
];

function engineRooms(...names: readonly string[]): string[] {
  return names.map((name) => `runtime/engine/${name}`);
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
    // A socket's own timeout counts from its last byte, which no timer of ours knows; an ioredis command has one of its own.
    const banned =
      /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|(?<!socket\.|command\.)setTimeout|setInterval|process\.env)\b/;
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

/** Who reads the words of somebody else's program, where it says no other way what went wrong. */
const READS_FOREIGN_WORDS: Readonly<Record<string, string>> = {
  "runtime/core/failure.ts": "Redis, Node and OpenSSL",
  "runtime/replication/node-error.ts": "Redis",
  "runtime/monitor/observe/busy-script.ts": "Redis",
  "runtime/monitor/observe/node-watch.ts": "Redis",
  "runtime/alert/sender.ts": "SMTP servers",
  "infra/local/ask.ts": "Redis",
  "infra/env/chaos/checked-writer.ts": "Redis: the code that an error reply begins with",
  "infra/local/processes/launch.ts": "the log of a redis-server that ended",
  "infra/docker/failure-remedy.ts": "Docker and the output of containers",
};

/** Ways to look into the text of an error: `error.message.includes(`, `/x/.test(why)`, `reason.startsWith(`. */
const ERROR_TEXT = "(?:error|cause|why|reason|message|words|said|stderr)";
const READS_ERROR_TEXT = [
  new RegExp(`\\b${ERROR_TEXT}\\??\\.(?:includes|startsWith|endsWith|match|search)\\(`),
  new RegExp(`\\.test\\((?:String\\()?(?:\\w+\\.)*${ERROR_TEXT}\\)`),
  new RegExp(`\\.exec\\((?:String\\()?(?:\\w+\\.)*${ERROR_TEXT}\\)`),
];

describe("errors keep their kind", () => {
  test("nobody guesses what went wrong from the text of a message: errors carry a kind or a code", () => {
    const trespasses = CODE.filter(({ path }) => !Object.hasOwn(READS_FOREIGN_WORDS, path))
      .flatMap(({ path, lines }) =>
        lines.map((line, index) => ({ place: `${path}:${index + 1}`, line: line.trim() })),
      )
      .filter(({ line }) => READS_ERROR_TEXT.some((way) => way.test(line)))
      .map(({ place, line }) => `${place} ${line}`);
    expect(trespasses).toEqual([]);
  });

  test("the list of exceptions names files that exist", () => {
    const paths = CODE.map(({ path }) => path);
    expect(Object.keys(READS_FOREIGN_WORDS).filter((path) => !paths.includes(path))).toEqual([]);
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
      ["eslint-" + "disable", "oxlint-" + "disable", "@ts-" + "ignore", "vi\\.mock" + "\\("].join(
        "|",
      ),
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

describe("plain words", () => {
  // What Redis, Raft, Envoy and Node call otherwise (docs/GLOSSARY.md): pipeline, pending command, dedicated connection,
  // candidate, mark dirty, trigger, sleep, periodic task, release, cancel, misplaced, mismatch or conflict, outcome, shared
  // hashes, without master, heartbeat.
  const WORDS =
    "lanes? errands? own_ways ownWays heirs? spoil(s|ed|ing)? pok(e|es|ed|ing) naps? chores? letGo take[sn]?Back strays? " +
    "clash(es|ed|ing)? fates? seen_off sees?_.*_off by_lot hangUp hot_way hot_route Insides bury notice_boards? " +
    "vacan(t|cy) unsettled quiet_since pulses? eyes";
  const PRIVATE = new RegExp(`\\b(${WORDS.replaceAll(" ", "|").replaceAll("_", " ")})\\b`, "i");

  test("code, templates and docs use the words of the glossary", () => {
    const files = [
      ...CODE.map(({ path }) => path),
      ...listFiles("templates", ".hbs"),
      ...listFiles("docs", ".md"),
      "README.md",
    ];
    const found = files.flatMap((path) =>
      readFileSync(join(ROOT, path), "utf8")
        .split("\n")
        .flatMap((line, index) =>
          PRIVATE.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [],
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
