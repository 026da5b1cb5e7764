// redis-directives.ts: the redis.conf directives that `redis NAME VALUE` may not set, and what to write instead. Pure.
// Twine sets a node's name, addresses, master and users. A line that sets one of these would be overruled silently, or
// would break the rule that a node is dead until promoted.

const NODE_LINE =
  "write HOST and PORT on the node's own line: NAME=data PARTITION [HOST] PORT [DB]";
const ADDRESS = "leave it out: nodes find each other by HOST and PORT of their lines";
const FOLDERS = "leave it out: every node has its own folder, so the names of files never conflict";
const ROLES =
  "leave it out: the monitors decide who follows whom; to move a master use twine-failover";
const SECRET = "leave it out and put the password into the file that TWINE_PASSWORD_FILE names";
const PROCESS = "leave it out: twine-start, or the container, runs the process";
const ONE_CLUSTER = "leave it out: Twine is the cluster; it does not run on Redis Cluster";

const OWNED: Readonly<Record<string, string>> = Object.freeze({
  port: NODE_LINE,
  bind: NODE_LINE,
  "bind-source-addr": ADDRESS,
  "protected-mode": "leave it out: without a password every node binds 127.0.0.1 alone",
  databases: "leave it out: the DB on the data node's line says how many are needed",
  unixsocket: ADDRESS,
  unixsocketperm: ADDRESS,
  dir: "leave it out: twine-setup --dir FOLDER says where the nodes' folders are",
  dbfilename: FOLDERS,
  appendfilename: FOLDERS,
  appenddirname: FOLDERS,
  replicaof: ROLES,
  "replica-serve-stale-data":
    "leave it out: a node must serve no client before a monitor gives it a role",
  "replica-read-only": "leave it out: a write that only a replica holds is lost at its next sync",
  "replica-announce-ip": ADDRESS,
  "replica-announce-port": ADDRESS,
  masterauth: SECRET,
  masteruser: SECRET,
  primaryauth: SECRET,
  primaryuser: SECRET,
  requirepass: SECRET,
  user: SECRET,
  aclfile: SECRET,
  daemonize: PROCESS,
  supervised: PROCESS,
  pidfile: PROCESS,
  logfile: "leave it out: a node logs to redis.log in its own folder",
  "rename-command": "leave it out: the monitors need every command under its own name",
  include: "copy each line of that file into twine.conf as redis NAME VALUE",
  sentinel:
    "leave it out: a second port on a monitor line (SENTINEL-PORT) speaks Sentinel's protocol",
});

/** Redis accepts both the old and the new spelling. */
function modernName(name: string): string {
  return name.replace("slave", "replica");
}

/** What to write instead of `redis NAME`; undefined if the user may set NAME. */
export function ownedRemedy(name: string): string | undefined {
  const modern = modernName(name);
  if (modern.startsWith("cluster-")) return ONE_CLUSTER;
  if (modern.startsWith("tls-")) return "leave it out: Twine starts its redis-servers without TLS";
  return Object.hasOwn(OWNED, modern) ? OWNED[modern] : undefined;
}

/** Directives whose value is or contains a password. */
export function isSecret(name: string): boolean {
  return OWNED[modernName(name)] === SECRET || /pass(word)?$/.test(name);
}

/** Directives whose lines add up in Redis. Of all others the last line counts. */
export function isAdditive(name: string): boolean {
  return /^(save|loadmodule|client-output-buffer-limit|oom-score-adj-values)$/.test(name);
}

/** Directives that users often write without the word redis before them. */
export const COMMON_DIRECTIVES: readonly string[] = Object.freeze([
  "maxmemory",
  "maxmemory-policy",
  "maxclients",
  "appendonly",
  "appendfsync",
  "save",
  "timeout",
  "loglevel",
  "tcp-keepalive",
  "tcp-backlog",
  "notify-keyspace-events",
  "io-threads",
]);
