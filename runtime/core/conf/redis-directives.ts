// redis-directives.ts: which redis.conf directives `redis NAME VALUE` may not set, and what to
// write instead. Pure.
// Twine decides who a node is, where it listens, whom it follows and who may speak to it. A line
// that said otherwise would either be overruled in silence or break the promise that a node is dead
// until promoted.

const NODE_LINE = "say it on the node's own line: NAME=data PARTITION [HOST] PORT [DB]";
const FOLDERS =
  "leave it out: every node has a folder of its own, so its files can't meet another's";
const ROLES =
  "leave it out: the monitors decide who follows whom; to move a master use twine-failover";
const SECRET = "leave it out and put the password into the file that TWINE_PASSWORD_FILE names";
const PROCESS = "leave it out: twine-start, or the container, runs the process";
const ONE_CLUSTER = "leave it out: Twine is the cluster; it does not run on Redis Cluster";

const OWNED: Readonly<Record<string, string>> = Object.freeze({
  port: NODE_LINE,
  bind: NODE_LINE,
  "bind-source-addr": NODE_LINE,
  "protected-mode": "leave it out: without a password every node binds 127.0.0.1 alone",
  databases: "leave it out: the DB on the data node's line says how many are needed",
  unixsocket: NODE_LINE,
  unixsocketperm: NODE_LINE,
  dir: "leave it out: twine-setup --dir FOLDER says where the nodes' folders are",
  dbfilename: FOLDERS,
  appendfilename: FOLDERS,
  appenddirname: FOLDERS,
  replicaof: ROLES,
  "replica-serve-stale-data":
    "leave it out: a node must answer nothing until a monitor promotes it",
  "replica-read-only": "leave it out: a write that only a replica holds is lost at its next sync",
  "replica-announce-ip": NODE_LINE,
  "replica-announce-port": NODE_LINE,
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
  "rename-command": "leave it out: the monitors need every command; ACL rules do this better",
  include: "copy what the file says into lines of their own: redis NAME VALUE",
  sentinel: "leave it out: give a monitor line a second port, it speaks Sentinel's protocol",
});

/** Redis takes both its older and its newer spellings. */
function modernName(name: string): string {
  return name.replace("slave", "replica");
}

/** What to write instead of `redis NAME`, or undefined when NAME is the user's to set. */
export function ownedRemedy(name: string): string | undefined {
  const modern = modernName(name);
  if (modern.startsWith("cluster-")) return ONE_CLUSTER;
  if (modern.startsWith("tls-")) return "leave it out: Twine's nodes speak no TLS";
  return Object.hasOwn(OWNED, modern) ? OWNED[modern] : undefined;
}

/** Directives whose value is a password or holds one. */
export function isSecret(name: string): boolean {
  return OWNED[modernName(name)] === SECRET || /pass(word)?$/.test(name);
}

/** Directives that Redis adds up; of all others the last one said counts. */
export function isAdditive(name: string): boolean {
  return /^(save|loadmodule|client-output-buffer-limit|oom-score-adj-values)$/.test(name);
}

/** Directives that people write without the word redis before them. */
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
