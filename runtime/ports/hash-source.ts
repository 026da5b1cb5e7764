// hash-source.ts: opens the source of partition numbers: a built-in hash, the user's module, or an executable.
//
//   hash crc32           synchronous
//   hash ./my-hash.mjs   called in this process, may be async
//   hash ./my-hash       run as `my-hash KEY MODULUS`, results are cached (hash-executable.ts)
//
// For every source, the hash tag is applied first and the result is checked: a wrong number would put a key where clients
// do not look for it.
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ClusterConfig, HashSetting } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { fingerprintOf } from "../core/hash/fingerprint.ts";
import { withHashTag } from "../core/hash/hash-tag.ts";
import { builtinPartition } from "../core/hash/partition-function.ts";
import { probeKeys } from "../core/hash/probe-keys.ts";
import { hashingWith, type Hashing } from "../core/hashing.ts";
import { EXECUTABLE_LIMITS, openHashExecutable, shortened } from "./hash-executable.ts";
import type { FingerprintedPartitioner, Partitioner } from "./partitioner.ts";
import { errorText } from "../core/error-text.ts";

export interface PartitionerSetup {
  readonly hash: HashSetting;
  readonly partitions: number;
  readonly hashTag?: string | undefined;
  /** The base of relative paths in `hash`: the folder of twine.conf. */
  readonly folder: string;
}

/** Gets a copy of the key (or of its hash tag) and the number of partitions. */
type HashModuleFunction = (key: Uint8Array, partitions: number) => unknown;

/**
 * The partitioner of a cluster, with its fingerprint. Throws as openPartitioner does, and as its function does for a
 * probe key: a function must accept every key.
 */
export async function loadPartitioner(config: ClusterConfig): Promise<FingerprintedPartitioner> {
  const { hash, partitions, hashTag } = config.settings;
  const folder = dirname(resolve(config.file));
  const source = await openPartitioner({ hash, partitions, hashTag, folder });
  try {
    const keys = probeKeys();
    const answers =
      (await source.partitionsOf?.(keys)) ??
      (await Promise.all(keys.map((key) => Promise.resolve(source.partitionOf(key)))));
    return { ...source, hashing: hashingWith(config.settings, fingerprintOf(answers)) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Only the hashing, for callers that compare it and route nothing. Throws as loadPartitioner does. */
export async function loadHashing(config: ClusterConfig): Promise<Hashing> {
  const partitioner = await loadPartitioner(config);
  await partitioner.close();
  return partitioner.hashing;
}

/**
 * Opens the source that `hash` names. Throws HASH_MISSING (no such file), HASH_NOT_EXECUTABLE, HASH_MODULE_BAD (it can't
 * be loaded, or exports no function), HASH_TAG_BAD, PARTITIONS_BAD.
 */
export async function openPartitioner(
  setup: PartitionerSetup,
  limits = EXECUTABLE_LIMITS,
): Promise<Partitioner> {
  const { hash, partitions, hashTag, folder } = setup;
  if (hash.kind === "builtin") {
    const partitionOf = builtinPartition(hash.name, partitions, hashTag, hash.distribution);
    return { partitionOf, close: () => Promise.resolve() };
  }
  const file = resolve(folder, hash.path);
  requireFile(hash.path, file);
  const source =
    hash.kind === "module"
      ? moduleSource(hash.path, await loadModule(hash.path, file), partitions)
      : openHashExecutable({ name: hash.path, file, folder, partitions }, limits);
  const ofRange = withHashTag(hashTag, (bytes, start, end) =>
    source.partitionOf(bytes.subarray(start, end)),
  );
  const tagged = withHashTag(hashTag, (bytes, start, end) => bytes.subarray(start, end));
  return {
    partitionOf: (key) => ofRange(key, 0, key.length),
    ...(source.partitionsOf === undefined
      ? {}
      : {
          partitionsOf: (keys) =>
            manyOf(
              source,
              keys.map((key) => tagged(key, 0, key.length)),
            ),
        }),
    close: () => source.close(),
  };
}

function manyOf(
  source: Partitioner,
  keys: readonly Uint8Array[],
): Promise<readonly number[] | undefined> {
  return source.partitionsOf?.(keys) ?? Promise.resolve(undefined);
}

function requireFile(name: string, file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return;
  const why = stat === undefined ? `there is no file ${file}` : `${file} is not a file`;
  throw new TwineError({
    code: "HASH_MISSING",
    message: `hash ${name}: ${why}`,
    remedy:
      "write the path of a module or an executable, relative to the folder of twine.conf, " +
      "or a built-in hash: crc32, crc16 or twemproxy-NAME",
  });
}

async function loadModule(name: string, file: string): Promise<HashModuleFunction> {
  let loaded: { readonly default?: unknown; readonly partitionOf?: unknown };
  try {
    loaded = (await import(pathToFileURL(file).href)) as typeof loaded;
  } catch (cause) {
    const remedy = "correct the module; `node` with its path shows the same error";
    const message = `hash ${name}: the module can't be loaded: ${errorText(cause)}`;
    throw new TwineError({ code: "HASH_MODULE_BAD", message, remedy }, { cause });
  }
  const found = [loaded.default, loaded.partitionOf].find(isFunction);
  if (found !== undefined) return found;
  throw new TwineError({
    code: "HASH_MODULE_BAD",
    message: `hash ${name}: neither its default export nor its partitionOf is a function`,
    remedy: "write: export default (key, partitions) => a whole number below partitions",
  });
}

function isFunction(value: unknown): value is HashModuleFunction {
  return typeof value === "function";
}

function moduleSource(name: string, hash: HashModuleFunction, partitions: number): Partitioner {
  const failed = (cause: unknown, key: Uint8Array): TwineError =>
    new TwineError(
      {
        code: "HASH_FAILED",
        message: `hash ${name} threw for the key ${shownKey(key)}: ${errorText(cause)}`,
        remedy: "correct the module: it must answer every key",
      },
      { cause },
    );
  return {
    partitionOf: (given) => {
      // A copy, because the key's buffer may be reused while an async hash still reads it.
      const key = Buffer.from(given);
      let answer: unknown;
      try {
        answer = hash(key, partitions);
      } catch (cause) {
        throw failed(cause, key);
      }
      if (!(answer instanceof Promise)) return checkedAnswer(answer, key, partitions, name);
      return answer.then(
        (late: unknown) => checkedAnswer(late, key, partitions, name),
        (cause: unknown) => {
          throw failed(cause, key);
        },
      );
    },
    close: () => Promise.resolve(),
  };
}

/** As a JSON string, one character for each byte. */
function shownKey(key: Uint8Array): string {
  return JSON.stringify(shortened(Buffer.from(key).toString("latin1")));
}

function checkedAnswer(answer: unknown, key: Uint8Array, partitions: number, name: string): number {
  if (typeof answer === "number" && Number.isInteger(answer)) {
    if (answer >= 0 && answer < partitions) return answer;
  }
  const shown =
    typeof answer === "number" ? String(answer) : `${errorText(answer)} (${typeof answer})`;
  throw new TwineError({
    code: "HASH_ANSWER_BAD",
    message: `hash ${name} answered ${shown} for the key ${shownKey(key)}, and there are ${partitions} partitions`,
    remedy: `let it return a whole number from 0 to ${partitions - 1}`,
  });
}
