// hash-source.ts: where partition numbers come from: a built-in hash, the user's own module, or an
// executable.
//
//   hash crc32           computed at once
//   hash ./my-hash.mjs   called in this process, may be async
//   hash ./my-hash       run as `my-hash KEY MODULUS`, answers cached (hash-executable.ts)
//
// Whatever the source, the hash tag is applied before it and its answer is checked after it: a
// wrong number would put a key where nobody looks for it.
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ClusterConfig, HashSetting } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { withHashTag } from "../core/hash/hash-tag.ts";
import { builtinPartition } from "../core/hash/partition-function.ts";
import { EXECUTABLE_LIMITS, openHashExecutable } from "./hash-executable.ts";
import type { Partitioner } from "./partitioner.ts";

export interface PartitionerSetup {
  readonly hash: HashSetting;
  readonly partitions: number;
  readonly hashTag?: string | undefined;
  /** What relative paths in `hash` are relative to: the folder of twine.conf. */
  readonly folder: string;
}

/** Called with a copy of the key (or of its hash tag) and the number of partitions. */
type HashModuleFunction = (key: Uint8Array, partitions: number) => unknown;

/** The partitioner of a cluster. Throws as openPartitioner does. */
export function loadPartitioner(config: ClusterConfig): Promise<Partitioner> {
  const { hash, partitions, hashTag } = config.settings;
  return openPartitioner({ hash, partitions, hashTag, folder: dirname(resolve(config.file)) });
}

/**
 * Opens the source that `hash` names. Throws HASH_MISSING (no such file), HASH_NOT_EXECUTABLE,
 * HASH_MODULE_BAD (it can't be loaded, or exports no function), HASH_TAG_BAD, PARTITIONS_BAD.
 */
export async function openPartitioner(
  setup: PartitionerSetup,
  limits = EXECUTABLE_LIMITS,
): Promise<Partitioner> {
  const { hash, partitions, hashTag, folder } = setup;
  if (hash.kind === "builtin") {
    const partitionOf = builtinPartition(hash.name, partitions, hashTag);
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
  return {
    partitionOf: (key) => ofRange(key, 0, key.length),
    close: () => source.close(),
  };
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
    const remedy = "mend the module; `node` with its path shows the same error";
    const message = `hash ${name}: the module can't be loaded: ${textOf(cause)}`;
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
  const failed = (cause: unknown): TwineError =>
    new TwineError(
      {
        code: "HASH_FAILED",
        message: `hash ${name} threw: ${textOf(cause)}`,
        remedy: "mend the module: it must answer every key",
      },
      { cause },
    );
  return {
    partitionOf: (key) => {
      let answer: unknown;
      try {
        // A copy, because the key may lie in a buffer that is used again while an async hash still
        // reads it.
        answer = hash(Buffer.from(key), partitions);
      } catch (cause) {
        throw failed(cause);
      }
      if (!(answer instanceof Promise)) return checkedAnswer(answer, partitions, name);
      return answer.then(
        (late: unknown) => checkedAnswer(late, partitions, name),
        (cause: unknown) => {
          throw failed(cause);
        },
      );
    },
    close: () => Promise.resolve(),
  };
}

function checkedAnswer(answer: unknown, partitions: number, name: string): number {
  if (typeof answer === "number" && Number.isInteger(answer)) {
    if (answer >= 0 && answer < partitions) return answer;
  }
  const shown =
    typeof answer === "number" ? String(answer) : `${textOf(answer)} (${typeof answer})`;
  throw new TwineError({
    code: "HASH_ANSWER_BAD",
    message: `hash ${name} answered ${shown}, and there are ${partitions} partitions`,
    remedy: `let it return a whole number from 0 to ${partitions - 1}`,
  });
}

function textOf(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
