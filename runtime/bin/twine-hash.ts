#!/usr/bin/env node
// twine-hash: prints the partition of a key, by the hash of twine.conf; without a twine.conf by
// crc32.
//
// The key is 7-bit ASCII, as in the first Twine: a shell hands over text in an encoding that only
// it knows, and a key typed in another one would land elsewhere. Routers and clients hash any
// bytes. An empty key is a key.
import { dirname } from "node:path";
import { findConf, loadConf, runTool, tool, type ToolOptions } from "../cli/tool.ts";
import type { ClusterConfig, HashSetting } from "../core/cluster.ts";
import { parseHash, printHash } from "../core/conf/hash-setting.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { openPartitioner } from "../ports/hash-source.ts";

interface HashOptions extends ToolOptions {
  readonly hash?: string;
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
    ],
    exitCodes: {
      2: "wrong usage, such as a key that is not 7-bit ASCII or a modulus below 1",
    },
  })
    .argument("<key>", "7-bit ASCII, may be empty")
    .argument("[modulus]", "how many partitions there are (else those of twine.conf)")
    .option("--hash <name>", "a hash as in twine.conf (else that of twine.conf, else crc32)");
  program.parse();
  const options = program.opts<HashOptions>();
  const [key = "", modulusText] = program.args;
  requireAscii(key);
  const modulus = modulusText === undefined ? undefined : modulusFrom(modulusText);
  const named = options.hash === undefined ? undefined : hashFrom(options.hash);

  const config = confIfAny(options);
  const hash = named ?? config?.settings.hash ?? { kind: "builtin", name: "crc32" };
  const partitions = modulus ?? config?.settings.partitions;
  if (partitions === undefined) throw modulusMissing();
  // A hash named on the command line is looked for where the caller stands, one of twine.conf
  // beside twine.conf.
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

/**
 * The cluster's file when there is one: a file that was named must exist, one that was not may be
 * missing.
 */
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
      remedy: "name a built-in hash, or the path of a module or an executable with a / in it",
    },
    { exitCode: EXIT.usage },
  );
}

await runTool(main);
