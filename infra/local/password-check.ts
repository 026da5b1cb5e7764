// password-check.ts: do the nodes that run have the password that this command was given?
// Redis reads users.acl at its start alone, so a changed password reaches nobody until everything was stopped and
// started; until then every tool would be shut out of what runs.
import { TwineError } from "../../runtime/core/errors.ts";
import { refusesLogin } from "./ask.ts";
import { eachBounded, failuresOf } from "./bounded.ts";
import type { LocalContext } from "./context.ts";
import { namesOf } from "./names.ts";
import { askAddress, healthCredentials, type Target } from "./targets.ts";

const AT_ONCE = 64;

/** Throws PASSWORD_DIFFERS when a running node refuses `context.password`. One that doesn't answer is no matter here. */
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

/** `has`: what those nodes have in its place. */
export function passwordDiffers(
  nodes: readonly string[],
  isGiven: boolean,
  has: "a password" | "another one" | "none" | "another one, or none",
): TwineError {
  const given = isGiven
    ? "the password in the file that TWINE_PASSWORD_FILE names is not theirs"
    : "TWINE_PASSWORD_FILE names no password";
  return new TwineError({
    code: "PASSWORD_DIFFERS",
    message: `${given}: ${namesOf(nodes)} run with ${has}`,
    remedy:
      "a changed password counts once everything was stopped: twine-stop on every host, then twine-up; " +
      "or set TWINE_PASSWORD_FILE as it was when they were started",
  });
}
