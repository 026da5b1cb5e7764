// live-nodes.ts: sets the passwords of a rotation on running nodes, one connection each.
import {
  asDefaultUser,
  derived,
  REDIS_USERS,
  type Credentials,
  type Login,
  type RedisUser,
} from "../../../runtime/core/credentials.ts";
import { failureKindOf } from "../../../runtime/core/failure.ts";
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";
import { errorText } from "../../../runtime/core/error-text.ts";
import type { Redis } from "ioredis";
import { refusesLogin, withNode } from "../ask.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import { aclHash, passwordRules } from "./node-passwords.ts";

const AT_ONCE = 64;

export interface LiveNode {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly kind: "data" | "status" | "sentinel";
  /** Programs that know no users, twemproxy too, log in to it as `default`, with the password of app. */
  readonly isDefaultOn: boolean;
  /** It writes its roles into its own configuration, so only the node itself changes that file while it runs. */
  readonly isRewriting: boolean;
  /** The names of the masters that a Sentinel watches. */
  readonly masters: readonly string[];
}

export interface LiveOutcome {
  readonly changed: readonly string[];
  /** Nodes that do not listen. */
  readonly down: readonly string[];
}

/**
 * Makes every running node accept exactly `passwords`, and use the first one towards its master. Throws ROTATION_RIGHT for
 * nodes that were started before the user rotation existed, and ROTATION_NODE for those that do not answer or refuse.
 */
export async function followLive(
  nodes: readonly LiveNode[],
  passwords: readonly string[],
): Promise<LiveOutcome> {
  const changed: string[] = [];
  const down: string[] = [];
  const problems: Problem[] = [];
  await onEach(nodes, passwords, problems, async (node, reached) => {
    if (!reached) down.push(node.name);
    else if (await withRotation(node, passwords, (redis) => change(redis, node, passwords))) {
      changed.push(node.name);
    }
  });
  if (problems.length > 0) throw new TwineError(problems);
  return { changed, down };
}

/** Throws like followLive, and changes nothing. */
export async function checkLive(
  nodes: readonly LiveNode[],
  passwords: readonly string[],
): Promise<void> {
  const problems: Problem[] = [];
  await onEach(nodes, passwords, problems, () => Promise.resolve());
  if (problems.length > 0) throw new TwineError(problems);
}

async function onEach(
  nodes: readonly LiveNode[],
  passwords: readonly string[],
  problems: Problem[],
  task: (node: LiveNode, isReached: boolean) => Promise<void>,
): Promise<void> {
  const outcomes = await eachBounded(nodes, AT_ONCE, async (node) => {
    try {
      await withRotation(node, passwords, (redis) =>
        redis.call("ACL", "GETUSER", loginOf(node, passwords).username),
      );
      await task(node, true);
    } catch (error) {
      const kind = failureKindOf(error);
      if (kind === "refused") await task(node, false);
      else problems.push(await problemOf(node, passwords, error));
    }
  });
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
}

function withRotation<T>(
  node: LiveNode,
  passwords: readonly string[],
  task: (redis: Redis) => Promise<T>,
): Promise<T> {
  return withNode({ ...node, credentials: loginOf(node, passwords) }, task);
}

/** A Sentinel has the user default alone. */
function loginOf({ kind }: LiveNode, passwords: readonly string[]): Login {
  const login = credentialsAs(kind === "sentinel" ? "app" : "rotation", passwords);
  return kind === "sentinel" ? asDefaultUser(login) : login;
}

function credentialsAs(username: RedisUser, passwords: readonly string[]): Credentials {
  const [password = "", fallback] = passwords.map((each) => derived(username, each));
  return { username, password, ...(fallback === undefined ? {} : { fallback }) };
}

/** Whether there was anything to change. */
async function change(
  redis: Redis,
  node: LiveNode,
  passwords: readonly string[],
): Promise<boolean> {
  const [first = ""] = passwords;
  if (node.kind === "sentinel") {
    const isChanged = await setUser(redis, "default", "app", passwords);
    await redis.call("SENTINEL", "CONFIG", "SET", "sentinel-pass", first);
    for (const master of node.masters) {
      await redis.call("SENTINEL", "SET", master, "auth-pass", derived("monitor", first));
    }
    await redis.call("SENTINEL", "FLUSHCONFIG");
    return isChanged;
  }
  let isChanged = false;
  for (const user of REDIS_USERS) {
    if (await setUser(redis, user, user, passwords)) isChanged = true;
  }
  if (node.isDefaultOn && (await setUser(redis, "default", "app", passwords))) isChanged = true;
  if (node.kind === "data") {
    await redis.call("CONFIG", "SET", "masterauth", derived("replica", first));
    // The user rotation may not: this writes the node's role as well.
    if (node.isRewriting) {
      const credentials = credentialsAs("monitor", passwords);
      await withNode({ ...node, credentials }, (monitor) => monitor.call("CONFIG", "REWRITE"));
    }
  }
  return isChanged;
}

/** Whether there was anything to change. `secret`: the user whose passwords it has. */
async function setUser(
  redis: Redis,
  user: string,
  secret: RedisUser,
  passwords: readonly string[],
): Promise<boolean> {
  const has = hashesIn(await redis.call("ACL", "GETUSER", user));
  const wanted = passwords.map((password) => aclHash(secret, password));
  const rules = passwordRules(has, wanted);
  if (rules.length > 0) await redis.call("ACL", "SETUSER", user, ...rules);
  return rules.length > 0;
}

/** The reply of ACL GETUSER: name, value, name, value. */
function hashesIn(reply: unknown): readonly string[] {
  if (!Array.isArray(reply)) throw new Error("NOPERM one of Twine's users is missing");
  const fields = reply as readonly unknown[];
  const found = fields[fields.indexOf("passwords") + 1];
  return Array.isArray(found) ? found.map(String) : [];
}

async function problemOf(
  node: LiveNode,
  passwords: readonly string[],
  error: unknown,
): Promise<Problem> {
  const { name, address, port } = node;
  const isLogin = failureKindOf(error) === "login";
  const isOlder = async (): Promise<boolean> =>
    node.kind !== "sentinel" &&
    !(await refusesLogin(address, port, credentialsAs("health", passwords)));
  if (isLogin && (await isOlder())) {
    return {
      code: "ROTATION_RIGHT",
      message: `node ${name} was started before Twine had a user that may change passwords`,
      remedy: `twine-setup, then restart each such node, one at a time: twine-stop ${name} && twine-start ${name}`,
    };
  }
  return {
    code: "ROTATION_NODE",
    message: `the passwords of node ${name} (${address}:${port}) can't be changed: ${errorText(error)}`,
    remedy: isLogin
      ? `it runs with another password: twine-stop ${name}, run this command again, and then twine-start ${name}`
      : `when it answers again or is stopped (twine-stop ${name}), run this command again: it goes on where it was`,
  };
}
