// live-nodes.ts: sets the passwords of a rotation on running nodes, one connection each.
import { derived, REDIS_USERS, type Credentials } from "../../../runtime/core/credentials.ts";
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
  /** Only data nodes authenticate to a master. */
  readonly isData: boolean;
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
      await withRotation(node, passwords, (redis) => redis.call("ACL", "GETUSER", "rotation"));
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
  return withNode({ ...node, credentials: loginOf("rotation", passwords) }, task);
}

function loginOf(username: Credentials["username"], passwords: readonly string[]): Credentials {
  const [password = "", fallback] = passwords.map((each) => derived(username, each));
  return { username, password, ...(fallback === undefined ? {} : { fallback }) };
}

/** Whether there was anything to change. */
async function change(
  redis: Redis,
  { isData }: LiveNode,
  passwords: readonly string[],
): Promise<boolean> {
  let isChanged = false;
  for (const user of REDIS_USERS) {
    const has = hashesIn(await redis.call("ACL", "GETUSER", user));
    const rules = passwordRules(
      has,
      passwords.map((password) => aclHash(user, password)),
    );
    if (rules.length === 0) continue;
    await redis.call("ACL", "SETUSER", user, ...rules);
    isChanged = true;
  }
  const [first = ""] = passwords;
  if (isData) await redis.call("CONFIG", "SET", "masterauth", derived("replica", first));
  return isChanged;
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
  if (isLogin && !(await refusesLogin(address, port, loginOf("health", passwords)))) {
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
