// nutcracker.ts: a pool of nutcracker.yml as a cluster: its function, its tag, its servers in twemproxy's own order. Pure.
// https://github.com/twitter/twemproxy lists the settings and their defaults.
import { TWEMPROXY_HASHES } from "../../core/cluster.ts";
import type { Problem } from "../../core/errors.ts";
import { digestsOf, SERVER_NAME_CHARS_MAX } from "../../core/hash/distribution.ts";
import { suggest } from "../../core/conf/suggest.ts";
import { addressFrom, type Imported, type ImportedCluster } from "./imported.ts";
import { readNutcrackerYaml, type YamlPool, type YamlWord } from "./nutcracker-yaml.ts";

const DISTRIBUTIONS = ["ketama", "modula", "random"] as const;
const DEFAULT_HASH = "fnv1a_64";
/** A server's name is its address without the port when that is memcached's. */
const MEMCACHED_PORT = 11_211;

/** All settings of a pool that nutcracker 0.5 knows. */
const SETTINGS = (
  "listen hash hash_tag distribution timeout backlog preconnect redis tcpkeepalive reuseport redis_auth redis_db " +
  "client_connections server_connections server_retry_timeout server_failure_limit auto_eject_hosts servers"
).split(" ");

interface Server {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly word: YamlWord;
}

/** The pool named `wanted`; without a name, the only one. All errors of the whole file at once. */
export function importNutcracker(text: string, file: string, wanted?: string): Imported {
  const read = readNutcrackerYaml(text, file);
  const errors: Problem[] = [...read.errors, ...twins(read.pools)];
  const warnings: Problem[] = [];
  const start = { file, line: 1, column: 1 };
  if (read.pools.length === 0 && errors.length === 0) {
    errors.push({
      code: "POOL_MISSING",
      message: "there is no pool in it",
      at: start,
      remedy:
        "name a nutcracker.yml, the sentinel.conf of a Sentinel, or the output of redis-cli cluster nodes",
    });
  }
  const clusters = read.pools.map((pool) => {
    const isWanted = wanted === undefined || pool.name.text === wanted;
    // A pool that nobody asked for may be one of memcached.
    return isWanted ? clusterOf(pool, errors, warnings) : undefined;
  });
  const found = clusters.filter((cluster) => cluster !== undefined);
  if (wanted !== undefined && !read.pools.some(({ name }) => name.text === wanted)) {
    errors.push({
      code: "POOL_UNKNOWN",
      message: `there is no pool ${wanted}`,
      at: start,
      remedy: `name one of ${read.pools.map(({ name }) => name.text).join(", ")}`,
    });
  } else if (wanted === undefined && read.pools.length > 1) {
    const names = read.pools.map(({ name }) => name.text).join(", ");
    errors.push({
      code: "POOLS_SEVERAL",
      message: `there are several pools: ${names}`,
      at: read.pools[1]?.name.at ?? start,
      remedy: "each becomes a cluster with a twine.conf of its own: name one with --pool NAME",
    });
  }
  const [cluster] = found;
  return errors.length > 0 || cluster === undefined
    ? { errors, warnings }
    : { cluster, errors, warnings };
}

/** Two pools of one name, or on one address: nutcracker itself starts with neither. */
function twins(pools: readonly YamlPool[]): Problem[] {
  const problems: Problem[] = [];
  const names = new Map<string, YamlWord>();
  const listens = new Map<string, YamlPool>();
  for (const pool of pools) {
    const first = names.get(pool.name.text);
    if (first === undefined) names.set(pool.name.text, pool.name);
    else {
      const message = `the pool ${pool.name.text} is there twice, first in line ${first.at.line}`;
      const remedy = "keep one of the two, or rename one";
      problems.push({ code: "POOL_TWICE", message, at: pool.name.at, remedy });
    }
    const listen = wordOf(pool, "listen");
    if (listen === undefined) continue;
    const other = listens.get(listen.text);
    if (other === undefined) listens.set(listen.text, pool);
    else {
      const message = `${pool.name.text} listens on ${listen.text}, and so does ${other.name.text}`;
      const remedy = "give each pool a port of its own";
      problems.push({ code: "POOL_PORT_TAKEN", message, at: listen.at, remedy });
    }
  }
  return problems;
}

function wordOf({ settings }: YamlPool, key: string): YamlWord | undefined {
  const value = settings.findLast((setting) => setting.key.text === key)?.value;
  return value === undefined || Array.isArray(value) ? undefined : (value as YamlWord);
}

function clusterOf(
  pool: YamlPool,
  errors: Problem[],
  warnings: Problem[],
): ImportedCluster | undefined {
  const before = errors.length;
  errors.push(...unknownSettings(pool), ...unfitting(pool));
  const hash = hashOf(pool, errors);
  const distribution = wordOf(pool, "distribution")?.text ?? "ketama";
  const servers = serversOf(pool, errors);
  if (errors.length > before || hash === undefined) return undefined;
  const weighted = servers.map(({ name, weight }) => ({ name, weight }));
  const isPlain = distribution === "modula" && servers.every(({ weight }) => weight === 1);
  const isOne = servers.length === 1;
  if (distribution === "ketama" && !isOne) warnings.push(...withoutPoints(servers));
  const isEjecting = isTrue(wordOf(pool, "auto_eject_hosts"));
  if (isEjecting) warnings.push(ejecting(pool));
  const db = Number(wordOf(pool, "redis_db")?.text ?? 0);
  return {
    from: "nutcracker",
    name: pool.name.text,
    hash: `twemproxy-${hash}`,
    distribution:
      isPlain || isOne
        ? undefined
        : { kind: distribution === "modula" ? "modula" : "ketama", servers: weighted },
    hashTag: wordOf(pool, "hash_tag")?.text,
    shards: servers.map(({ name, host, port, word }) => ({
      name,
      master: { host, port },
      replicas: [],
      db,
      at: word.at,
    })),
    listen: addressFrom(wordOf(pool, "listen")?.text ?? ""),
    password: wordOf(pool, "redis_auth")?.text,
    isEjecting,
  };
}

function unknownSettings({ settings }: YamlPool): Problem[] {
  const seen = new Set<string>();
  return settings.flatMap(({ key }) => {
    if (seen.has(key.text)) {
      const message = `${key.text} is given twice`;
      return [{ code: "SETTING_TWICE", message, at: key.at, remedy: "keep one of the two" }];
    }
    seen.add(key.text);
    if (SETTINGS.includes(key.text)) return [];
    const near = suggest(key.text, SETTINGS);
    const message = `nutcracker knows no setting ${key.text}${near === undefined ? "" : `: did you mean ${near}?`}`;
    return [{ code: "SETTING_UNKNOWN", message, at: key.at, remedy: "correct or remove it" }];
  });
}

/** What no twine.conf can stand for. */
function unfitting(pool: YamlPool): Problem[] {
  const problems: Problem[] = [];
  const say = (code: string, word: YamlWord | undefined, message: string, remedy: string): void => {
    problems.push({ code, message, at: (word ?? pool.name).at, remedy });
  };
  if (!isTrue(wordOf(pool, "redis"))) {
    const message = `the pool ${pool.name.text} is one of memcached: it has no redis: true`;
    say("POOL_MEMCACHED", wordOf(pool, "redis"), message, "name a pool of Redis with --pool");
  }
  const distribution = wordOf(pool, "distribution");
  if (distribution?.text === "random") {
    const message = `the pool ${pool.name.text} puts keys by random: no function finds them again`;
    const remedy =
      "give the pool distribution: modula or ketama, write its keys anew through it, and import it then; " +
      "or start an empty cluster and copy every key of every server into it through a router";
    say("DISTRIBUTION_RANDOM", distribution, message, remedy);
  } else if (distribution !== undefined && !isIn(DISTRIBUTIONS, distribution.text)) {
    const near = suggest(distribution.text, DISTRIBUTIONS);
    const message = `unknown distribution '${distribution.text}'${near === undefined ? "" : `: did you mean ${near}?`}`;
    say("DISTRIBUTION_UNKNOWN", distribution, message, `write ${DISTRIBUTIONS.join(", ")}`);
  }
  const tag = wordOf(pool, "hash_tag");
  if (tag !== undefined && !/^[\x20-\x7e]{2}$/.test(tag.text)) {
    const message = `hash_tag takes exactly two ASCII characters, not '${tag.text}'`;
    say(
      "HASH_TAG_BAD",
      tag,
      message,
      'write the opening and the closing one, as in hash_tag: "{}"',
    );
  }
  const db = wordOf(pool, "redis_db");
  if (db !== undefined && !/^\d{1,5}$/.test(db.text)) {
    say(
      "REDIS_DB_BAD",
      db,
      `redis_db is '${db.text}', not a number`,
      "write the database's number",
    );
  }
  return problems;
}

function hashOf(pool: YamlPool, errors: Problem[]): (typeof TWEMPROXY_HASHES)[number] | undefined {
  const word = wordOf(pool, "hash");
  const text = word?.text ?? DEFAULT_HASH;
  const found = TWEMPROXY_HASHES.find((name) => name === text);
  if (found !== undefined) return found;
  const near = suggest(text, TWEMPROXY_HASHES);
  errors.push({
    code: "HASH_UNKNOWN",
    message: `unknown hash '${text}'${near === undefined ? "" : `: did you mean ${near}?`}`,
    at: (word ?? pool.name).at,
    remedy: `write one of ${TWEMPROXY_HASHES.join(", ")}`,
  });
  return undefined;
}

/** By name as twemproxy sorts them: shorter names first, equally long ones by text. Their order is that of the partitions. */
function serversOf(pool: YamlPool, errors: Problem[]): Server[] {
  const setting = pool.settings.findLast(({ key }) => key.text === "servers");
  const words = Array.isArray(setting?.value) ? (setting.value as readonly YamlWord[]) : [];
  const servers: Server[] = [];
  if (words.length === 0) {
    errors.push({
      code: "SERVERS_MISSING",
      message: `the pool ${pool.name.text} has no servers`,
      at: (setting?.key ?? pool.name).at,
      remedy: "list them below servers: - HOST:PORT:WEIGHT NAME",
    });
  }
  for (const word of words) {
    const server = serverOf(word, errors);
    if (server === undefined) continue;
    const twin = servers.find(({ name }) => name === server.name);
    if (twin === undefined) servers.push(server);
    else {
      errors.push({
        code: "SERVER_TWICE",
        message: `the server ${server.name} is there twice, first in line ${twin.word.at.line}`,
        at: word.at,
        remedy: "give each server a name of its own",
      });
    }
  }
  return servers.toSorted(
    (a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

function serverOf(word: YamlWord, errors: Problem[]): Server | undefined {
  const say = (code: string, message: string, remedy: string): Server | undefined => {
    errors.push({ code, message, at: word.at, remedy });
    return undefined;
  };
  if (word.text.startsWith("/")) {
    const message = `'${word.text}' is a Unix socket, which no other host reaches`;
    return say("SERVER_SOCKET", message, "let its redis-server listen on a port, and write that");
  }
  const found = /^(.+):(\d{1,5}):(\d{1,9})(?:\s+(\S+))?$/.exec(word.text);
  const [port, weight] = [Number(found?.[2] ?? 0), Number(found?.[3] ?? 0)];
  if (found === null || port < 1 || port > 65_535) {
    const message = `'${word.text}' is no server`;
    return say("SERVER_BAD", message, "write HOST:PORT:WEIGHT, and a name behind a space");
  }
  if (weight < 1) {
    const message = `'${word.text}' has the weight ${weight}`;
    return say("WEIGHT_BAD", message, "write a weight of at least 1, or remove the server");
  }
  const host = found[1] ?? "";
  const name = found[4] ?? (port === MEMCACHED_PORT ? host : `${host}:${port}`);
  if (name.length > SERVER_NAME_CHARS_MAX) {
    const message = `the name '${name.slice(0, 20)}...' is longer than ${SERVER_NAME_CHARS_MAX} characters`;
    return say("SERVER_NAME_LONG", message, "twemproxy itself cuts it: its keys can't be followed");
  }
  return { name, host, port, weight, word };
}

function withoutPoints(servers: readonly Server[]): Problem[] {
  const total = servers.reduce((sum, { weight }) => sum + weight, 0);
  return servers
    .filter(({ weight }) => digestsOf(weight, total, servers.length) === 0)
    .map(({ name, weight, word }) => ({
      code: "SERVER_WITHOUT_KEYS",
      message: `the server ${name} gets no key: its weight ${weight} is too small beside the others`,
      at: word.at,
      remedy: "its partition stays empty; that is as it is today",
    }));
}

function ejecting(pool: YamlPool): Problem {
  return {
    code: "AUTO_EJECT",
    message: `${pool.name.text} ejects servers that fail: keys written meanwhile may lie on other servers`,
    at: (wordOf(pool, "auto_eject_hosts") ?? pool.name).at,
    remedy:
      "the sampling below finds such keys; set auto_eject_hosts: false before you move, so that no more are added",
  };
}

function isTrue(word: YamlWord | undefined): boolean {
  return /^(true|yes|on)$/i.test(word?.text ?? "");
}

function isIn<T extends string>(list: readonly T[], text: string): text is T {
  return list.some((known) => known === text);
}
