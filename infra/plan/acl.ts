// acl.ts: the rights of each user on a node, as lines of an ACL file. Pure.
// Six users with the least rights each. A rule "+x|y" grants one subcommand. The nameless default user is off, so no client
// can log in as it, but it has every right: Redis (seen on 7.0.15) loads its append only file as that user and checks each
// EXEC again, so with a default user without rights every transaction and script would silently be lost after a restart.
//
//   app      everything that a Redis program needs, but no administration of the server
//   router   the same, its clients' commands to all nodes, and closing its own connections
//   monitor  roles, settings, connections; reads and writes no key of a data node
//   replica  follows its master, and compacts its append only file
//   health   checks whether the node is up
//   rotation changes the passwords of all six (twine-password). With this right it can give itself any right, so no
//            long-running process connects as this user
import type { RedisUser } from "../../runtime/core/credentials.ts";
import { STAMP_KEY, registerKeys } from "../../runtime/core/register-keys.ts";
import type { PlannedSecret } from "./plan.ts";

export interface AclUser {
  readonly name: RedisUser;
  readonly rules: string;
}

const CHANGE = "+acl|setuser +acl|getuser +info +role";

/** CLIENT SETINFO is granted through its category, because Redis knows it only from 7.2 on. */
const ASK =
  "+@connection -@admin -@dangerous +select +role +info +client|setname +client|getname +client|id";
const PROGRAM =
  "~* &* +@all -@admin -@dangerous +keys +flushall +flushdb +info +sort +restore +role +client|list";

/** Users of a data node. */
export function dataUsers(redisMajor: number, failover: "twine" | "sentinel" = "twine"): AclUser[] {
  const program = redisMajor >= 7 ? `${PROGRAM} +sort_ro` : PROGRAM;
  const endScripts = redisMajor >= 7 ? "+script|kill +function|kill" : "+script|kill";
  // Sentinel makes a node that changes its role write it into its redis.conf, and names its own connections.
  const sentinel = failover === "sentinel" ? "+config|rewrite +ping" : "";
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
        `+multi +exec +discard +failover +shutdown +subscribe +publish ${endScripts} ${sentinel}`,
    },
    { name: "replica", rules: "+psync +sync +replconf +ping +info +bgrewriteaof" },
    { name: "health", rules: ASK },
    // masterauth is a setting, and Redis can't grant a single setting.
    { name: "rotation", rules: `${CHANGE} +config|set` },
  ].map(tidy);
}

/** Users of a status node: monitors write, all others read. Tools ask the alpha as the user monitor: they have the secret
    from which all users' passwords are derived. */
export function statusUsers(cluster: string, redisMajor: number): AclUser[] {
  const keys = registerKeys(cluster);
  const own = `~${cluster}:* ~${STAMP_KEY} &${cluster}:*`;
  const follow = `&${keys.channel} &${keys.events} +subscribe +unsubscribe ${ASK}`;
  // Only Redis 7 distinguishes reading from writing per key; before that, only the commands are limited.
  const read =
    redisMajor >= 7
      ? `%R~${cluster}:* %R~${STAMP_KEY} +@read +@transaction +eval_ro +evalsha_ro`
      : `~${cluster}:* ~${STAMP_KEY} +@read +@transaction`;
  return [
    { name: "app", rules: `${read} ${follow}` },
    { name: "router", rules: `${read} ${follow}` },
    {
      name: "monitor",
      rules:
        `${own} +@read +@write +@scripting +@transaction +@pubsub ${ASK} ` +
        "+client +config|get +wait",
    },
    // A stopping data node asks for a handover, with the secret that it has anyway.
    { name: "replica", rules: `~${keys.request} +hset +hget ${ASK}` },
    { name: "health", rules: ASK },
    { name: "rotation", rules: CHANGE },
  ].map(tidy);
}

function tidy(user: { name: string; rules: string }): AclUser {
  return { name: user.name as RedisUser, rules: user.rules.replace(/\s+/g, " ").trim() };
}

/** The secrets for users.acl: the hash of each user's password, under the user's name. */
export function aclSecrets(users: readonly AclUser[]): Record<string, PlannedSecret> {
  return Object.fromEntries(users.map(({ name }) => [name, { user: name, form: "sha256" }]));
}
