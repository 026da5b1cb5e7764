// password-check.ts: do the running nodes have the password that this command was given?
// Redis reads users.acl only at its start: a file edited by hand has no effect until the nodes restart, and until then the
// running nodes would refuse every tool. twine-password changes both the nodes and the files.
import { TwineError } from "../../runtime/core/errors.ts";
import { refusesLogin } from "./ask.ts";
import { eachBounded, failuresOf } from "./bounded.ts";
import type { LocalContext } from "./context.ts";
import { namesOf } from "./files/names.ts";
import { askAddress, healthCredentials, type Target } from "./targets.ts";

const AT_ONCE = 64;

/** Throws PASSWORD_DIFFERS when a running node refuses `context.password`. Nodes that don't answer are ignored. */
export async function checkPassword(
  context: LocalContext,
  targets: readonly Target[],
): Promise<void> {
  const redisNodes = targets.filter(
    ({ service, running }) => running !== undefined && service.health.kind === "redis-role",
  );
  const credentials = healthCredentials(context);
  const refusing: string[] = [];
  const open: string[] = [];
  const outcomes = await eachBounded(redisNodes, AT_ONCE, async ({ service }) => {
    const place = [askAddress(service), service.health.port] as const;
    if (!(await refusesLogin(...place, credentials))) return;
    refusing.push(service.name);
    if (!(await refusesLogin(...place, undefined))) open.push(service.name);
  });
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
  if (refusing.length === 0) return;
  const other = open.length > 0 ? "none" : "another one";
  const has = context.password === undefined ? "a password" : other;
  throw passwordDiffers(refusing, context.password !== undefined, has);
}

/** `has`: the passwords of those nodes. */
export function passwordDiffers(
  nodes: readonly string[],
  isGiven: boolean,
  has: "a password" | "another one" | "none" | "another one, or none",
): TwineError {
  const given = isGiven
    ? "the running nodes have another password than the file that TWINE_PASSWORD_FILE names"
    : "TWINE_PASSWORD_FILE names no password";
  return new TwineError({
    code: "PASSWORD_DIFFERS",
    message: `${given}: ${namesOf(nodes)} run with ${has}`,
    remedy:
      "let TWINE_PASSWORD_FILE name the password with which they run; to change it while they serve: twine-password --rotate; " +
      "to begin or end with a password: twine-stop --force on every host, then twine-up",
  });
}
