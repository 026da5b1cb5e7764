#!/usr/bin/env node
// twine-hash: prints the partition of a key, by the hash of twine.conf; without a twine.conf by crc32.
//
// The key is 7-bit ASCII, as in the first Twine: the tool does not know the encoding of the shell's text, and a key in
// another encoding has another hash. Routers and clients hash any bytes. An empty key is a key.
import { dirname } from "node:path";
import { findConf, loadConf, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import type { ClusterConfig, HashSetting } from "../core/cluster.ts";
import { parseHash, printHash } from "../core/conf/hash-setting.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { loadHashing, openPartitioner } from "../ports/hash-source.ts";

interface HashOptions extends ToolOptions {
  readonly hash?: string;
  readonly fingerprint?: boolean;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-hash",
    summary: "Prints the number of the partition that a key lies in, from 0.",
    examples: [
      "$ twine-hash foo 2",
      "$ twine-hash foo               # as many partitions as twine.conf has",
      "$ twine-hash foo 64 --hash twemproxy-fnv1a_64",
      "$ twine-hash foo 64 --hash ./my-hash.mjs --json",
      "$ twine-hash --json -- -foo 2  # a key that begins with a dash",
      "$ twine-hash --fingerprint     # of the function in twine.conf; twine-status json has the cluster's",
    ],
    exitCodes: {
      2: "wrong usage, such as a key that is not 7-bit ASCII or a modulus below 1",
    },
  })
    .argument("[key]", "7-bit ASCII, may be empty")
    .argument("[modulus]", "number of partitions (default: that of twine.conf)")
    .option("--hash <name>", "a hash as in twine.conf (default: that of twine.conf, else crc32)")
    .option(
      "--fingerprint",
      "print the fingerprint of twine.conf's hash, 16 hex digits, instead of a partition",
    );
  program.parse();
  const options = program.opts<HashOptions>();
  if (options.fingerprint === true) return printFingerprint(options, program.args);
  if (program.args.length === 0) program.error("missing required argument 'key'");
  const [key = "", modulusText] = program.args;
  requireAscii(key);
  const modulus = modulusText === undefined ? undefined : modulusFrom(modulusText);
  const named = options.hash === undefined ? undefined : hashFrom(options.hash);

  const config = confIfAny(options);
  const hash = named ?? config?.settings.hash ?? { kind: "builtin", name: "crc32" };
  const partitions = modulus ?? config?.settings.partitions;
  if (partitions === undefined) throw modulusMissing();
  // The path of a hash on the command line is relative to the current folder, that of twine.conf to twine.conf's folder.
  const isOfConf = named === undefined && config !== undefined;
  const folder = isOfConf ? dirname(config.file) : process.cwd();
  const partition = await partitionOf(key, {
    hash,
    partitions,
    hashTag: config?.settings.hashTag,
    folder,
  });
  const answer = { key, modulus: partitions, hash: printHash(hash), partition };
  process.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : `${partition}\n`);
  return EXIT.ok;
}

/** The hashing that the cluster of twine.conf would compare with the view's. */
async function printFingerprint(options: HashOptions, args: readonly string[]): Promise<number> {
  if (args.length > 0 || options.hash !== undefined) throw fingerprintUsage();
  const hashing = await loadHashing(loadConf(options).config);
  const text = options.json === true ? JSON.stringify(hashing) : (hashing.fingerprint ?? "");
  process.stdout.write(`${text}\n`);
  return EXIT.ok;
}

function fingerprintUsage(): TwineError {
  return new TwineError(
    {
      code: "FINGERPRINT_USAGE",
      message: "--fingerprint takes neither a key nor --hash: it uses the hash of twine.conf",
      remedy: "twine-hash --fingerprint --conf FILE",
    },
    { exitCode: EXIT.usage },
  );
}

async function partitionOf(
  key: string,
  setup: Parameters<typeof openPartitioner>[0],
): Promise<number> {
  const partitioner = await openPartitioner(setup);
  try {
    return await partitioner.partitionOf(Buffer.from(key, "latin1"));
  } finally {
    await partitioner.close();
  }
}

/** The cluster's file, if there is one: a named file must exist, a default one may be missing. */
function confIfAny(options: ToolOptions): ClusterConfig | undefined {
  const isNamed = options.conf !== undefined || (process.env["TWINE_CONF"] ?? "") !== "";
  if (!isNamed) {
    try {
      findConf(options);
    } catch (error) {
      if (error instanceof TwineError && error.code === "CONF_MISSING") return undefined;
      throw error;
    }
  }
  return loadConf(options).config;
}

function requireAscii(key: string): void {
  const at = Array.from(key, (character) => character > "\x7f").indexOf(true);
  if (at < 0) return;
  const character = Array.from(key)[at] ?? "";
  throw new TwineError(
    {
      code: "HASH_KEY_BAD",
      message: `the key '${key}' is not 7-bit ASCII: character ${at + 1} is '${character}'`,
      remedy: "twine-hash takes ASCII keys; routers and clients hash the bytes of any key",
    },
    { exitCode: EXIT.usage },
  );
}

function modulusFrom(text: string): number {
  const modulus = Number(text);
  if (/^\d+$/.test(text) && modulus >= 1 && Number.isSafeInteger(modulus)) return modulus;
  throw new TwineError(
    {
      code: "MODULUS_BAD",
      message: `the modulus '${text}' is no whole number of at least 1`,
      remedy: "give the number of partitions, as in: twine-hash foo 2",
    },
    { exitCode: EXIT.usage },
  );
}

function modulusMissing(): TwineError {
  return new TwineError(
    {
      code: "MODULUS_MISSING",
      message:
        "there is neither a modulus nor a twine.conf that says how many partitions there are",
      remedy:
        "give the number of partitions, as in: twine-hash foo 2; or name a twine.conf: --conf FILE",
    },
    { exitCode: EXIT.usage },
  );
}

function hashFrom(text: string): HashSetting {
  const hash = parseHash(text);
  if (typeof hash !== "string") return hash;
  throw new TwineError(
    {
      code: "HASH_UNKNOWN",
      message: hash,
      remedy: "write a built-in hash, or ./FILE for a module or an executable of your own",
    },
    { exitCode: EXIT.usage },
  );
}

await runTool(main);
