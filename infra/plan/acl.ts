// acl.ts: who may do what on a node, as lines of an ACL file. Pure.
// Five users with the least rights each. A rule "+x|y" grants one subcommand. The nameless default user is off, so nobody
// can be it, but it has every right: Redis (seen on 7.0.15) loads its append only file as that user and checks each EXEC
// again, so with a default user that may do nothing every transaction and script is silently gone after a restart.
//
//   app      what any Redis program may do, but nothing that administers the server
//   router   the same, what its clients may ask of all nodes together, and what ends its own connections
//   monitor  roles, settings, connections; reads and writes no key of a data node
//   replica  follows its master, and compacts its append only file
//   health   asks whether the node is there
import type { RedisUser } from "../../runtime/core/credentials.ts";
import { STAMP_KEY, registerKeys } from "../../runtime/core/register-keys.ts";
import type { PlannedSecret } from "./plan.ts";

export interface AclUser {
  readonly name: RedisUser;
  readonly rules: string;
}

/** CLIENT SETINFO is named through its category, because Redis knows it only from 7.2 on. */
const ASK =
  "+@connection -@admin -@dangerous +select +role +info +client|setname +client|getname +client|id";
const PROGRAM =
  "~* &* +@all -@admin -@dangerous +keys +flushall +flushdb +info +sort +restore +role +client|list";

/** Users of a data node. */
export function dataUsers(redisMajor: number): AclUser[] {
  const program = redisMajor >= 7 ? `${PROGRAM} +sort_ro` : PROGRAM;
  return [
    { name: "app", rules: program },
    {
      name: "router",
      rules:
        `${program} +client|kill +client|unblock +config|get +lastsave +bgsave +bgrewriteaof ` +
        "+slowlog|get +slowlog|len +slowlog|reset +module|list",
    },
    {
      name: "monitor",
      rules:
        `&* ${ASK} +client +replicaof +slaveof ` +
        "+config|get +config|set +wait +dbsize +lastsave +bgsave +bgrewriteaof +psync +sync +replconf " +
        "+multi +exec +discard +failover +shutdown +subscribe +publish",
    },
    { name: "replica", rules: "+psync +sync +replconf +ping +info +bgrewriteaof" },
    { name: "health", rules: ASK },
  ].map(tidy);
}

/** Users of a status node: the register is the monitors'; everyone else reads it and may ask for something. */
export function statusUsers(cluster: string, redisMajor: number): AclUser[] {
  const keys = registerKeys(cluster);
  const own = `~${cluster}:* ~${STAMP_KEY} &${cluster}:*`;
  const follow = `&${keys.channel} &${keys.events} +subscribe +unsubscribe ${ASK}`;
  const mayAsk = redisMajor >= 7 ? `(~${keys.request} +hset +hdel +hget)` : "";
  // Only Redis 7 can tell reading from writing per key; before it, the commands alone are limited.
  const read =
    redisMajor >= 7
      ? `%R~${cluster}:* %R~${STAMP_KEY} +@read +@transaction +eval_ro +evalsha_ro`
      : `~${cluster}:* ~${STAMP_KEY} +@read +@transaction +hset +hdel`;
  return [
    { name: "app", rules: `${read} ${follow} ${mayAsk}` },
    { name: "router", rules: `${read} ${follow} ${mayAsk}` },
    {
      name: "monitor",
      rules:
        `${own} +@read +@write +@scripting +@transaction +@pubsub ${ASK} ` +
        "+client +config|get +wait",
    },
    // A data node that is told to stop asks for a handover, with the secret that it has anyway.
    { name: "replica", rules: `~${keys.request} +hset +hget ${ASK}` },
    { name: "health", rules: ASK },
  ].map(tidy);
}

function tidy(user: { name: string; rules: string }): AclUser {
  return { name: user.name as RedisUser, rules: user.rules.replace(/\s+/g, " ").trim() };
}

/** The secrets that users.acl wants: the hash of each user's password, under the user's name. */
export function aclSecrets(users: readonly AclUser[]): Record<string, PlannedSecret> {
  return Object.fromEntries(users.map(({ name }) => [name, { user: name, form: "sha256" }]));
}
