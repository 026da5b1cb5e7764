// hash-source.test.ts: partition numbers from real modules and real shell scripts in a temporary
// folder.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { EXECUTABLE_LIMITS, type ExecutableLimits } from "../../runtime/ports/hash-executable.ts";
import { loadPartitioner, openPartitioner } from "../../runtime/ports/hash-source.ts";
import type { Partitioner } from "../../runtime/ports/partitioner.ts";
import { until } from "../support/redis-server.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-hash-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Opened {
  readonly partitionOf: (key: Uint8Array) => number | Promise<number>;
  readonly close: () => Promise<void>;
  readonly folder: string;
}

function opened(partitioner: Partitioner, folder: string): Opened {
  const partitionOf = (key: Uint8Array): number | Promise<number> => partitioner.partitionOf(key);
  return { partitionOf, close: () => partitioner.close(), folder };
}

interface OpenOptions {
  readonly partitions?: number;
  readonly hashTag?: string;
  readonly limits?: Partial<ExecutableLimits>;
}

/** Opens a module of this text, under the given file name. */
async function openModule(
  text: string,
  options: OpenOptions = {},
  file = "h.mjs",
): Promise<Opened> {
  const folder = await newFolder();
  await writeFile(join(folder, file), text);
  const { partitions = 4, hashTag } = options;
  const hash = { kind: "module", path: `./${file}` } as const;
  return opened(await openPartitioner({ hash, partitions, hashTag, folder }), folder);
}

/** Opens a shell script of these lines; it runs in the folder. */
async function openScript(lines: string, options: OpenOptions = {}): Promise<Opened> {
  const folder = await newFolder();
  await writeFile(join(folder, "h"), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  const { partitions = 4, hashTag, limits } = options;
  const partitioner = await openPartitioner(
    { hash: { kind: "executable", path: "./h" }, partitions, hashTag, folder },
    { ...EXECUTABLE_LIMITS, ...limits },
  );
  onTestFinished(() => partitioner.close());
  return opened(partitioner, folder);
}

async function problemOf(attempt: () => unknown): Promise<TwineError> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof TwineError) return error;
    throw error;
  }
  throw new Error("no error came");
}

/** How often the script wrote a line into its file `calls`. */
function callsIn(folder: string): string[] {
  const file = join(folder, "calls");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
}

describe("a module", () => {
  test("answers by its default export, called with bytes and number of partitions", async () => {
    const { partitionOf } = await openModule(
      "export default (key, partitions) => (key[0] + key.length) % partitions;",
    );
    expect(partitionOf(bytes("\xffabc"))).toBe((0xff + 4) % 4);
  });

  test("answers by an export named partitionOf", async () => {
    const { partitionOf } = await openModule("export const partitionOf = (key) => key.length % 3;");
    expect(partitionOf(bytes("abcde"))).toBe(2);
  });

  test.each([
    ["h.cjs", "module.exports = (key, partitions) => key.length % partitions;"],
    ["h.ts", "export default (key: Uint8Array, n: number): number => key.length % n;"],
  ])("may be called %s", async (file, text) => {
    const { partitionOf } = await openModule(text, {}, file);
    expect(partitionOf(bytes("abcdef"))).toBe(2);
  });

  test("may answer later, and keeps its key though the caller's buffer changes", async () => {
    const { partitionOf } = await openModule(
      "export default async (key) => { await null; return key[0] - 48; };",
    );
    const buffer = Buffer.from("3");
    const answer = partitionOf(buffer);
    buffer.write("0");
    expect(await answer).toBe(3);
  });

  test("gets the hash tag alone", async () => {
    const { partitionOf } = await openModule("export default (key) => Number(key.toString());", {
      hashTag: "{}",
    });
    expect(partitionOf(bytes("user:{3}:name"))).toBe(3);
  });

  test.each(["4", "-1", "1.5", "NaN", "'1'", "undefined", "Promise.resolve(7)", "10n"])(
    "that answers %s for four partitions fails that key and names the answer",
    async (answer) => {
      const { partitionOf } = await openModule(`export default () => ${answer};`);
      const error = await problemOf(() => partitionOf(bytes("a")));
      expect(error.code).toBe("HASH_ANSWER_BAD");
      expect(error.message).toContain("hash ./h.mjs answered");
      expect(error.message).toContain('for the key "a", and there are 4 partitions');
      expect(error.message).toContain("from 0 to 3");
    },
  );

  test.each(["() => { throw new Error('no key') }", "async () => { throw new Error('no key') }"])(
    "that fails as %s fails that key with its reason",
    async (text) => {
      const { partitionOf } = await openModule(`export default ${text};`);
      const error = await problemOf(() => partitionOf(bytes("a")));
      expect(error.code).toBe("HASH_FAILED");
      expect(error.message).toContain('hash ./h.mjs threw for the key "a": no key');
    },
  );

  test.each([
    ["export const other = 1;", "neither its default export"],
    ["export default 5;", "neither its default export"],
    ["throw new Error('broken at once');", "broken at once"],
    ["import 'no-such-package-anywhere';", "no-such-package-anywhere"],
  ])("of the text %s is refused when it is opened", async (text, why) => {
    const error = await problemOf(() => openModule(text));
    expect(error.code).toBe("HASH_MODULE_BAD");
    expect(error.message).toContain(why);
  });
});

describe("an executable", () => {
  test("is called with key and modulus, and its answers are remembered", async () => {
    const { partitionOf, folder } = await openScript('echo "$1 $2" >> calls; echo $((${#1} % $2))');
    expect(await partitionOf(bytes("abcde"))).toBe(1);
    expect(await partitionOf(bytes("ab"))).toBe(2);
    // The second time the number is there at once.
    expect(partitionOf(bytes("abcde"))).toBe(1);
    expect(callsIn(folder)).toEqual(["abcde 4", "ab 4"]);
  });

  test("is asked once for a key that several callers want at the same time", async () => {
    const { partitionOf, folder } = await openScript("echo x >> calls; echo 2");
    const answers = await Promise.all([1, 2, 3].map(async () => await partitionOf(bytes("a"))));
    expect(answers).toEqual([2, 2, 2]);
    expect(callsIn(folder)).toHaveLength(1);
  });

  test("gets any text as it is, for no shell reads it", async () => {
    const { partitionOf, folder } = await openScript('printf %s "$1" > got; echo 0');
    for (const key of ["$(touch pwned); `id`", "-n", "", "a\nb '\"*", "\u00e4\u20ac"]) {
      expect(await partitionOf(Buffer.from(key))).toBe(0);
      expect(readFileSync(join(folder, "got"), "utf8")).toBe(key);
    }
    expect(existsSync(join(folder, "pwned"))).toBe(false);
  });

  test("gets the hash tag alone, so keys of one tag share an answer", async () => {
    const { partitionOf, folder } = await openScript('echo "$1" >> calls; echo 1', {
      hashTag: "{}",
    });
    expect(await partitionOf(bytes("a{7}b"))).toBe(1);
    expect(partitionOf(bytes("{7}c"))).toBe(1);
    expect(callsIn(folder)).toEqual(["7"]);
  });

  test("is asked again for what was not used for longest", async () => {
    const { partitionOf, folder } = await openScript('echo "$1" >> calls; echo 3', {
      limits: { rememberedCount: 2 },
    });
    for (const key of ["a", "b", "a", "c", "a", "b"]) await partitionOf(bytes(key));
    expect(callsIn(folder)).toEqual(["a", "b", "c", "b"]);
  });

  test("is asked again for a key too long to remember", async () => {
    const { partitionOf, folder } = await openScript("echo x >> calls; echo 3", {
      limits: { rememberedKeyChars: 3 },
    });
    for (const key of ["abcd", "abcd", "abc", "abc"]) await partitionOf(bytes(key));
    expect(callsIn(folder)).toHaveLength(3);
  });

  test("runs only a few times at once", async () => {
    // Method: each run leaves a mark while it lasts, and notes how many marks there are.
    const { partitionOf, folder } = await openScript(
      "mkdir -p now; : > now/$$; ls now | wc -l >> calls; sleep 0.05; rm now/$$; echo 0",
      { limits: { runningCount: 2 } },
    );
    const keys = Array.from({ length: 12 }, (_, at) => bytes(`key${at}`));
    await Promise.all(keys.map(async (key) => await partitionOf(key)));
    const together = callsIn(folder).map(Number);
    expect(together).toHaveLength(12);
    expect(Math.max(...together)).toBe(2);
  });

  test("that fails is named with its exit code and its complaint, and asked again", async () => {
    const { partitionOf, folder } = await openScript(
      "test -e mended && echo 1 && exit 0; echo 'no map of the world' >&2; exit 3",
    );
    const error = await problemOf(() => partitionOf(bytes("foo")));
    expect(error.code).toBe("HASH_FAILED");
    expect(error.message).toContain("./h 'foo' 4 ended with exit code 3: no map of the world");
    expect(error.message).toContain(`remedy: run it by hand in ${folder}`);
    await writeFile(join(folder, "mended"), "");
    expect(await partitionOf(bytes("foo"))).toBe(1);
  });

  test.each(["4", "-1", "1.5", "", "one", "1 2", "0x1", "99999999999999999999"])(
    "that prints '%s' for four partitions fails that key and names the answer",
    async (answer) => {
      const { partitionOf } = await openScript(`echo '${answer}'`);
      const error = await problemOf(() => partitionOf(bytes("foo")));
      expect(error.code).toBe("HASH_ANSWER_BAD");
      expect(error.message).toContain(`printed '${answer}' for the key 'foo'`);
    },
  );

  test("that is ended by a signal is named with it", async () => {
    const { partitionOf } = await openScript("kill -TERM $$");
    const error = await problemOf(() => partitionOf(bytes("foo")));
    expect(error.message).toContain("was ended by SIGTERM");
  });

  test("that hangs is ended with all that it started, and the next key is served", async () => {
    const { partitionOf, folder } = await openScript(
      'test "$1" = good && echo 1 && exit 0; sleep 600 & echo $! > child; wait',
      { limits: { timeoutMs: 400, runningCount: 1 } },
    );
    const hung = problemOf(() => partitionOf(bytes("foo")));
    const next = partitionOf(bytes("good"));
    const error = await hung;
    expect(error.code).toBe("HASH_FAILED");
    expect(error.message).toContain("had not ended after 400 ms");
    expect(await next).toBe(1);
    const child = readFileSync(join(folder, "child"), "utf8").trim();
    await until("what it started is gone", () => !isAlive(child));
  });

  test("that is closed fails all keys without an answer, and leaves no process", async () => {
    const { partitionOf, close, folder } = await openScript("echo $$ > self; sleep 600", {
      limits: { runningCount: 1 },
    });
    const errors = ["a", "b", "c"].map((key) => problemOf(() => partitionOf(bytes(key))));
    await until("it runs", () => existsSync(join(folder, "self")));
    await close();
    const codes = (await Promise.all(errors)).map((error) => error.code);
    expect(codes).toEqual(["HASH_CLOSED", "HASH_CLOSED", "HASH_CLOSED"]);
    const self = readFileSync(join(folder, "self"), "utf8").trim();
    await until("it is gone", () => !isAlive(self));
    expect((await problemOf(() => partitionOf(bytes("d")))).code).toBe("HASH_CLOSED");
  });

  test("can't be asked for a key that is no text", async () => {
    const { partitionOf } = await openScript("echo 0");
    for (const key of ["\xff", "a\0b"]) {
      const error = await problemOf(() => partitionOf(bytes(key)));
      expect(error.code).toBe("HASH_KEY_BAD");
    }
  });

  test("can't be asked for a key longer than the system lets an argument be", async () => {
    const { partitionOf } = await openScript("echo 0");
    const error = await problemOf(() => partitionOf(Buffer.alloc(1_000_000, "k")));
    expect(error.code).toBe("HASH_FAILED");
    expect(error.message).toContain("can't be started");
    expect(await partitionOf(bytes("short"))).toBe(0);
  });
});

describe("the path in twine.conf", () => {
  test("is relative to the folder of twine.conf", async () => {
    const folder = await newFolder();
    await mkdir(join(folder, "hashes"));
    await writeFile(join(folder, "hashes/h"), '#!/bin/sh\necho "$2"0 | cut -c2\n', { mode: 0o755 });
    const text = "hash ./hashes/h\na=data 0 localhost 7001 0\nb=data 1 localhost 7002 0\n";
    const { config, errors } = parseConf(text, join(folder, "twine.conf"));
    expect(errors).toEqual([]);
    if (config === undefined) throw new Error("no configuration");
    const partitioner = await loadPartitioner(config);
    expect(await partitioner.partitionOf(bytes("foo"))).toBe(0);
    await partitioner.close();
  });

  test("of a built-in hash needs no file and answers at once", async () => {
    const text = "a=data 0 localhost 7001 0\nb=data 1 localhost 7002 0\n";
    const { config } = parseConf(text, "/nowhere/twine.conf");
    if (config === undefined) throw new Error("no configuration");
    const partitioner = await loadPartitioner(config);
    expect(partitioner.partitionOf(bytes("123456789"))).toBe(0xcbf43926 % 2);
  });

  test.each(["module", "executable"] as const)("of a missing %s is an error", async (kind) => {
    const folder = await newFolder();
    const hash = { kind, path: "./gone.mjs" };
    const error = await problemOf(() => openPartitioner({ hash, partitions: 2, folder }));
    expect(error.code).toBe("HASH_MISSING");
    expect(error.message).toContain(`there is no file ${join(folder, "gone.mjs")}`);
    expect(error.message).toContain("twemproxy-NAME");
  });

  test("of a folder is an error", async () => {
    const folder = await newFolder();
    await mkdir(join(folder, "sub"));
    const hash = { kind: "executable", path: "./sub" } as const;
    const error = await problemOf(() => openPartitioner({ hash, partitions: 2, folder }));
    expect(error.code).toBe("HASH_MISSING");
  });

  test("of a file that may not be executed is an error", async () => {
    const folder = await newFolder();
    await writeFile(join(folder, "h"), "#!/bin/sh\necho 0\n");
    await chmod(join(folder, "h"), 0o644);
    const hash = { kind: "executable", path: "./h" } as const;
    const error = await problemOf(() => openPartitioner({ hash, partitions: 2, folder }));
    expect(error.code).toBe("HASH_NOT_EXECUTABLE");
    expect(error.message).toContain("chmod +x");
  });
});

/** Whether a process runs; one that has ended and waits for its parent doesn't. */
function isAlive(pid: string): boolean {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", pid], { encoding: "utf8" });
    return !state.trim().startsWith("Z");
  } catch {
    return false;
  }
}

describe("the fingerprint of an executable", () => {
  const MANY = `if [ "$1" = --many ]; then while IFS= read -r key; do echo $((\${#key} % $2)); done`;
  const ALONE = "echo x >> calls; echo $((${#1} % $2))";

  /** The fingerprint, and how many processes it took beside the one that is asked for many. */
  async function fingerprintOf(lines: string, conf = "") {
    const folder = await newFolder();
    await writeFile(join(folder, "h"), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    const nodes = "a=data 0 h1 7001 0\nb=data 1 h1 7002 0\nc=data 2 h1 7003 0\n";
    const { config } = parseConf(`${nodes}hash ./h\n${conf}`, join(folder, "twine.conf"));
    if (config === undefined) throw new Error("the conf of this test has errors");
    const partitioner = await loadPartitioner(config);
    onTestFinished(() => partitioner.close());
    return { fingerprint: partitioner.hashing.fingerprint, calls: callsIn(folder).length };
  }

  test.each([
    ["without a hash tag", ""],
    ["with one", "hash-tag {}\n"],
  ])(
    "takes a handful of processes where it knows --many, and is the same, %s",
    async (_how, conf) => {
      const alone = await fingerprintOf(ALONE, conf);
      expect(alone.calls).toBeGreaterThan(200);
      const many = await fingerprintOf(`${MANY}; else ${ALONE}; fi`, conf);
      expect(many).toEqual({ fingerprint: alone.fingerprint, calls: 4 });
    },
    60_000,
  );

  test("is not taken from --many when the program says too little, or fails", async () => {
    for (const wrong of ["echo 1", "cat", "exit 3"]) {
      const { calls } = await fingerprintOf(
        `if [ "$1" = --many ]; then ${wrong}; else ${ALONE}; fi`,
      );
      expect(calls).toBeGreaterThan(200);
    }
  }, 120_000);

  test("is refused when the program answers otherwise to --many", async () => {
    const wrong = `if [ "$1" = --many ]; then while IFS= read -r key; do echo 1; done; else echo 2; fi`;
    const problem = await problemOf(() => fingerprintOf(wrong));
    expect(problem.code).toBe("HASH_ANSWER_BAD");
    expect(problem.message).toMatch(/printed 1 for the key '.*' under --many, and 2 when/);
  });
});
