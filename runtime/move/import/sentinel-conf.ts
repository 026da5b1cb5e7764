// sentinel-conf.ts: a sentinel.conf as a cluster, and where its Sentinel listens. Pure.
// Sentinel rewrites its file whenever something changes, so what is in it is what that one Sentinel thought last: the tool
// asks the running ones (ask-sentinels.ts).
import { linesOf, type Line } from "../../core/conf/lines.ts";
import type { Problem, SourceAt } from "../../core/errors.ts";
import { addressText, type Imported, type ImportedNode, type ImportedShard } from "./imported.ts";

export interface SentinelConf extends Imported {
  /** Where the Sentinel of this file listens. */
  readonly sentinel: ImportedNode;
  /** Of the Sentinel itself. */
  readonly sentinelPassword: string | undefined;
}

const DEFAULT_PORT = 26_379;

function nothingWatched(file: string): Problem {
  return {
    code: "SENTINEL_MONITOR_MISSING",
    message: "it has no line: sentinel monitor NAME HOST PORT QUORUM",
    at: { file, line: 1, column: 1 },
    remedy: "name the sentinel.conf of a Sentinel that watches something",
  };
}

function authUser(user: string, at: SourceAt): Problem {
  return {
    code: "AUTH_USER",
    message: `Sentinel logs in to the nodes as the user ${user}; its password is not used`,
    at,
    remedy: "write the password of the user default to a file: TWINE_SOURCE_PASSWORD_FILE",
  };
}

export function importSentinelConf(text: string, file: string): SentinelConf {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const shards: ImportedShard[] = [];
  const replicas = new Map<string, ImportedNode[]>();
  let [port, bind] = [DEFAULT_PORT, "127.0.0.1"];
  let [password, sentinelPassword]: (string | undefined)[] = [];
  for (const line of linesOf(text)) {
    const words = line.words.map((word) => word.text);
    const [first = "", second = "", name = "", host = "", portText = ""] = words;
    const at = placeOf(file, line, 0);
    if (first === "port") port = Number(second);
    else if (first === "bind") bind = second;
    else if (first === "requirepass") sentinelPassword = second;
    // What Sentinels use among each other, where requirepass is replaced by a user with a hash.
    else if (first === "sentinel" && second === "sentinel-pass") sentinelPassword ??= name;
    else if (first === "sentinel" && second === "auth-user") {
      if (host !== "default") warnings.push(authUser(host, placeOf(file, line, 3)));
    } else if (first === "sentinel" && second === "monitor") {
      const master = { host, port: Number(portText) };
      const twin = shards.find((shard) => shard.name === name);
      if (host === "" || !isPort(master.port)) {
        errors.push({
          code: "SENTINEL_MONITOR_BAD",
          message: `'${words.join(" ")}' names no master`,
          at: placeOf(file, line, 2),
          remedy: "write sentinel monitor NAME HOST PORT QUORUM",
        });
      } else if (twin !== undefined) {
        errors.push({
          code: "SENTINEL_MASTER_TWICE",
          message: `the master ${name} is there twice, first in line ${twin.at.line}`,
          at: placeOf(file, line, 2),
          remedy: "keep one of the two",
        });
      } else shards.push({ name, master, replicas: [], db: 0, at });
    } else if (first === "sentinel" && /^known-(replica|slave)$/.test(second)) {
      replicas.set(name, [...(replicas.get(name) ?? []), { host, port: Number(portText) }]);
    } else if (first === "sentinel" && second === "auth-pass") password = host;
  }
  if (shards.length === 0 && errors.length === 0) {
    errors.push(nothingWatched(file));
  }
  const sentinel = { host: bind === "0.0.0.0" || bind === "*" ? "127.0.0.1" : bind, port };
  const more = { sentinel, sentinelPassword, warnings };
  // We log in without a user, for which that of another user is wrong.
  if (warnings.length > 0) password = undefined;
  if (errors.length > 0) return { ...more, errors };
  const cluster = {
    from: "sentinel" as const,
    name: shards.length === 1 ? (shards[0]?.name ?? "twine") : "twine",
    hash: undefined,
    distribution: undefined,
    hashTag: undefined,
    shards: shards.map((shard) => ({
      ...shard,
      replicas: (replicas.get(shard.name) ?? []).filter(
        (node) => addressText(node) !== addressText(shard.master),
      ),
    })),
    listen: undefined,
    password,
    isEjecting: false,
  };
  return { ...more, errors, cluster };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function placeOf(file: string, line: Line, word: number): SourceAt {
  const found = line.words[Math.min(word, line.words.length - 1)];
  return { file, line: line.number, column: (found?.start ?? 0) + 1 };
}
