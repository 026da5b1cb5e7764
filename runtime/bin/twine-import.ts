#!/usr/bin/env node
// twine-import: writes a twine.conf by which every key of another system stays on its server.
//
//   nutcracker.yml, sentinel.conf, cluster nodes --read--> shards and their function
//     --running Sentinels--> the current masters --> twine.conf --keys of the live servers--> checked
import { readFileSync, writeFileSync } from "node:fs";
import { runTool, tool, type ToolOptions } from "../cli/tool.ts";
import { readSecret } from "../cli/secret-file.ts";
import type { HashSetting } from "../core/cluster.ts";
import { parseHash } from "../core/conf/hash-setting.ts";
import { parseConf } from "../core/conf/parse.ts";
import { errorText } from "../core/error-text.ts";
import { EXIT, TwineError, formatProblem, type Problem, usageError } from "../core/errors.ts";
import { partitionsOf } from "../core/hash/distribution.ts";
import { builtinPartition } from "../core/hash/partition-function.ts";
import { askSentinels } from "../move/import/ask-sentinels.ts";
import { CLUSTER_NODES_LINE, importClusterNodes } from "../move/import/cluster-nodes.ts";
import {
  addressFrom,
  type Imported,
  type ImportedCluster,
  type ImportedNode,
} from "../move/import/imported.ts";
import { importNutcracker } from "../move/import/nutcracker.ts";
import { sampleKeys, type Proof } from "../move/import/sample-keys.ts";
import { importSentinelConf, type SentinelConf } from "../move/import/sentinel-conf.ts";
import { withSentinels } from "../move/import/with-sentinels.ts";
import { confOf } from "../move/import/write-conf.ts";
import { systemClock } from "../ports/clock.ts";
import { CONF_BYTES_MAX, readSmallFile } from "../ports/small-file.ts";

/** The twine.conf was written, but some keys are on other servers than it defines. */
const MISPLACED = 10;
const ANSWER_WITHIN_MS = 5_000;

interface Options extends ToolOptions {
  readonly pool?: string;
  readonly sentinel: readonly string[];
  readonly hash?: string;
  readonly portOffset: string;
  readonly host: readonly string[];
  readonly sample: string;
  readonly offline?: boolean;
  readonly output?: string;
}

function program() {
  const collect = (value: string, before: readonly string[]): string[] => [...before, value];
  return tool({
    name: "twine-import",
    summary:
      "Writes the twine.conf under which every key of a twemproxy, Sentinel or Redis Cluster stays where it is, and proves it on the live servers.",
    examples: [
      "$ twine-import nutcracker.yml sentinel.conf --port-offset 10000 --output twine.conf",
      "$ twine-import nutcracker.yml --pool alpha --offline",
      "$ twine-import sentinel.conf --host db1=db4",
      "$ redis-cli cluster nodes | twine-import -",
    ],
    exitCodes: {
      [MISPLACED]:
        "the twine.conf was written, but some sampled keys lie on other servers than it says",
    },
  })
    .argument(
      "<files...>",
      "nutcracker.yml, sentinel.conf, the output of redis-cli cluster nodes; -: standard input",
    )
    .option("--pool <name>", "which pool of nutcracker.yml")
    .option("--sentinel <host:port>", "a running Sentinel to ask; may be repeated", collect, [])
    .option(
      "--hash <hash>",
      "how clients place keys, where no file says it: as behind hash in twine.conf",
    )
    .option("--port-offset <n>", "new nodes on the same hosts: added to every port", "0")
    .option("--host <old=new>", "new nodes on another host; may be repeated", collect, [])
    .option("--sample <n>", "how many keys of each server are proved", "1000")
    .option("--offline", "ask no Sentinel and no server: nothing is proved")
    .option("--output <file>", "write the twine.conf there; an existing file is kept");
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const read = readFiles(command.args, options);
  const known = options.offline === true ? read : await askedToo(read);
  const { cluster } = known;
  const hash = hashOf(cluster, options);
  const text = confOf(cluster, {
    hash,
    portOffset: wholeNumber("--port-offset", options.portOffset, 65_535),
    hosts: hostsFrom(options.host),
  });
  const checked = parseConf(text, options.output ?? "twine.conf");
  if (checked.config === undefined) throw new TwineError(checked.errors);
  const proof = options.offline === true ? undefined : await prove(cluster, hash, options);
  if (options.output !== undefined) writeNew(options.output, text);
  print({ text, proof, warnings: known.warnings, options });
  return (proof?.misplaced.length ?? 0) > 0 ? MISPLACED : EXIT.ok;
}

interface Known {
  readonly cluster: ImportedCluster;
  readonly warnings: readonly Problem[];
  readonly sentinels: readonly ImportedNode[];
  readonly sentinelPassword: string | undefined;
}

/** Reports all errors of all files at once. */
function readFiles(files: readonly string[], { pool, sentinel }: Options): Known {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const clusters: ImportedCluster[] = [];
  const sentinels: ImportedNode[] = sentinel.map((text) => sentinelFrom(text));
  let sentinelPassword: string | undefined;
  for (const file of files) {
    const text = textOf(file);
    const name = file === "-" ? "(standard input)" : file;
    const found = importOf(text, name, pool);
    errors.push(...found.errors);
    warnings.push(...found.warnings);
    if (found.cluster !== undefined) clusters.push(found.cluster);
    if ("sentinel" in found) {
      sentinels.push(found.sentinel);
      sentinelPassword = found.sentinelPassword;
    }
  }
  const byKind = (from: ImportedCluster["from"]) =>
    clusters.filter((cluster) => cluster.from === from);
  const keyed = [...byKind("nutcracker"), ...byKind("cluster")];
  if (keyed.length > 1) {
    errors.push({
      code: "FILES_SEVERAL",
      message: "more than one of the files says where keys lie",
      remedy: "give one nutcracker.yml, or one output of redis-cli cluster nodes",
    });
  }
  const [cluster] = [...keyed, ...byKind("sentinel")];
  if (errors.length > 0 || cluster === undefined) throw new TwineError(errors);
  const password = clusters.map((found) => found.password).find((found) => found !== undefined);
  return { cluster: { ...cluster, password }, warnings, sentinels, sentinelPassword };
}

function importOf(text: string, file: string, pool: string | undefined): Imported | SentinelConf {
  if (CLUSTER_NODES_LINE.test(text)) return importClusterNodes(text, file);
  if (/^\s*(sentinel|port|daemonize|protected-mode)\s/m.test(text))
    return importSentinelConf(text, file);
  return importNutcracker(text, file, pool);
}

function textOf(file: string): string {
  try {
    return file === "-" ? readFileSync(0, "utf8") : readSmallFile(file, CONF_BYTES_MAX).text;
  } catch (cause) {
    throw new TwineError(
      {
        code: "FILE_UNREADABLE",
        message: `${file}: ${errorText(cause)}`,
        remedy: "name a readable file",
      },
      { cause },
    );
  }
}

async function askedToo(read: Known): Promise<Known> {
  if (read.sentinels.length === 0) return read;
  const password = passwordFrom("TWINE_SENTINEL_PASSWORD_FILE") ?? read.sentinelPassword;
  const source = { clock: systemClock, password, withinMs: ANSWER_WITHIN_MS };
  const truth = await askSentinels(read.sentinels, source);
  if (truth.errors.length > 0) throw new TwineError(truth.errors);
  const joined = withSentinels(read.cluster, truth);
  if (joined.errors.length > 0) throw new TwineError(joined.errors);
  return { ...read, cluster: joined.cluster, warnings: [...read.warnings, ...joined.warnings] };
}

function hashOf({ hash, distribution, shards }: ImportedCluster, options: Options): HashSetting {
  const given = options.hash === undefined ? undefined : parseHash(options.hash);
  if (typeof given === "string")
    throw usageError("HASH_UNKNOWN", given, "write it as in twine.conf: --hash crc32");
  const found: HashSetting | undefined =
    given ??
    (hash === undefined
      ? undefined
      : { kind: "builtin", name: hash, ...(distribution === undefined ? {} : { distribution }) });
  const parts =
    found?.kind === "builtin" && found.distribution !== undefined
      ? partitionsOf(found.distribution)
      : shards.length;
  if (parts !== shards.length) {
    const message = `--hash has ${parts} parts, but there are ${shards.length} partitions`;
    throw usageError("HASH_PARTS", message, "write one part for each");
  }
  if (found !== undefined) return found;
  // A single partition has every key, with any function.
  if (shards.length === 1) return { kind: "builtin", name: "crc32" };
  throw new TwineError({
    code: "HASH_NOT_SAID",
    message: `Sentinel watches ${shards.length} masters, and its file does not say which keys lie where`,
    remedy: "give the nutcracker.yml too, or say how the clients place keys: --hash crc32",
  });
}

async function prove(
  cluster: ImportedCluster,
  hash: HashSetting,
  options: Options,
): Promise<Proof | undefined> {
  const perServer = wholeNumber("--sample", options.sample, 1_000_000);
  if (perServer === 0) return undefined;
  if (hash.kind !== "builtin") {
    throw usageError("HASH_NOT_BUILTIN", "only a built-in hash is proved", "add --offline");
  }
  const partitionOf = builtinPartition(
    hash.name,
    cluster.shards.length,
    cluster.hashTag,
    hash.distribution,
  );
  const password = passwordFrom("TWINE_SOURCE_PASSWORD_FILE") ?? cluster.password;
  const source = { clock: systemClock, password, withinMs: ANSWER_WITHIN_MS, perServer };
  const proof = await sampleKeys(cluster, partitionOf, source);
  if (proof.errors.length > 0) throw new TwineError(proof.errors);
  return proof;
}

interface Printed {
  readonly text: string;
  readonly proof: Proof | undefined;
  readonly warnings: readonly Problem[];
  readonly options: Options;
}

function print({ text, proof, warnings, options }: Printed): void {
  if (options.json === true) {
    const shown =
      proof === undefined ? null : { servers: proof.servers, misplaced: proof.misplaced };
    process.stdout.write(`${JSON.stringify({ conf: text, proof: shown, warnings })}\n`);
    return;
  }
  for (const warning of warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
  if (proof !== undefined) process.stderr.write(proofText(proof));
  if (options.output === undefined) process.stdout.write(text);
  else process.stdout.write(`${options.output}: written\n`);
}

function proofText({ servers, misplaced }: Proof): string {
  const lines = servers.map(
    ({ server, partition, keys, sampled, misplaced: wrong }) =>
      `${server}: ${sampled} of ${keys} keys sampled, ${sampled - wrong} lie in partition ${partition}`,
  );
  if (misplaced.length === 0)
    return `${[...lines, "proved: every sampled key stays where it is"].join("\n")}\n`;
  lines.push("some keys lie on servers where neither twemproxy nor Twine looks for them:");
  lines.push(
    ...misplaced.map(
      (key) => `  "${key.key}" lies on ${key.server} and belongs on ${key.belongsTo}`,
    ),
  );
  lines.push(
    "They were written while a server was ejected (auto_eject_hosts), or with other settings than these.",
    "What to do: if every key is wrong, correct hash, distribution, hash_tag or the names of the servers in the file.",
    "Otherwise, for each one: keep the copy that is right. redis-cli -h HOST -p PORT MIGRATE HOST PORT KEY DB 5000",
    "moves one to the server where it belongs, and refuses when there is one already; UNLINK KEY removes one.",
  );
  return `${lines.join("\n")}\n`;
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx" });
  } catch (cause) {
    const message = `${file}: ${errorText(cause)}`;
    const remedy = "name a file that does not exist yet, in a folder that you may write to";
    throw new TwineError({ code: "OUTPUT_NOT_WRITTEN", message, remedy }, { cause });
  }
}

function sentinelFrom(text: string): ImportedNode {
  const found = addressFrom(text);
  if (found !== undefined) return found;
  throw usageError(
    "SENTINEL_BAD",
    `--sentinel ${text} is no address`,
    "write --sentinel HOST:PORT",
  );
}

function hostsFrom(pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.map((pair) => {
      const found = /^([^=\s]+)=([^=\s]+)$/.exec(pair);
      if (found === null)
        throw usageError("HOST_BAD", `--host ${pair} is no pair`, "write --host OLD=NEW");
      return [found[1] ?? "", found[2] ?? ""] as const;
    }),
  );
}

function wholeNumber(option: string, text: string, max: number): number {
  if (/^\d{1,9}$/.test(text) && Number(text) <= max) return Number(text);
  throw usageError(
    "NUMBER_BAD",
    `${option} ${text} is not a whole number up to ${max}`,
    `write ${option} N`,
  );
}

function passwordFrom(
  variable: "TWINE_SOURCE_PASSWORD_FILE" | "TWINE_SENTINEL_PASSWORD_FILE",
): string | undefined {
  const code = variable === "TWINE_SOURCE_PASSWORD_FILE" ? "SOURCE_PASSWORD" : "SENTINEL_PASSWORD";
  return readSecret(variable, code, process.env)?.trim();
}

await runTool(main);
