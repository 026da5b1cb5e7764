// set-passwords.ts: sets the passwords of a redis-server's users in its container, as the user rotation. Never ACL LOAD,
// which drops every authenticated connection and the link of a replica, and never ACL SAVE, which writes into the generated
// file.
import { TwineError } from "../../../runtime/core/errors.ts";
import { runInContainer } from "../engine-call.ts";
import type { RunningContainer } from "./running-files.ts";
import { cliPreamble, loginEnv, type RedisAccess } from "./set-settings.ts";

export interface PasswordChange {
  readonly user: string;
  /** Rules of ACL SETUSER: "#HEX" adds a password, "!HEX" removes it. */
  readonly rules: readonly string[];
}

/** The changes from one users.acl to another; added passwords come before removed ones. Pure. */
export function passwordChanges(before: string, now: string): PasswordChange[] {
  const old = digestsOf(before);
  return [...digestsOf(now)].flatMap(([user, digests]) => {
    const was = old.get(user) ?? new Set();
    const come = [...digests].filter((digest) => !was.has(digest)).map((digest) => `#${digest}`);
    const gone = [...was].filter((digest) => !digests.has(digest)).map((digest) => `!${digest}`);
    return come.length + gone.length === 0 ? [] : [{ user, rules: [...come, ...gone] }];
  });
}

function digestsOf(acl: string): Map<string, Set<string>> {
  const users = acl.split("\n").flatMap((line): [string, Set<string>][] => {
    const [word, user, ...rules] = line.trim().split(/\s+/);
    if (word !== "user" || user === undefined || user === "default") return [];
    const digests = rules.filter((rule) => /^#[0-9a-f]{64}$/.test(rule));
    return [[user, new Set(digests.map((digest) => digest.slice(1)))]];
  });
  return new Map(users);
}

/** One user after the other; the first refusal ends it. */
const SET_USERS = `
for line in "$@"; do
  said=$(cli ACL SETUSER $line)
  [ "$said" = OK ] || { echo "\${line%% *}: $said"; exit 1; }
done
`;

const SET_WITHIN_MS = 120_000;

/** Throws PASSWORD_REFUSED. */
export async function setPasswords(
  redis: RedisAccess,
  container: RunningContainer,
  node: string,
  changes: readonly PasswordChange[],
): Promise<void> {
  if (changes.length === 0) return;
  const lines = changes.map(({ user, rules }) => [user, ...rules].join(" "));
  const { said, exitCode } = await runInContainer(
    container.endpoint,
    container.id,
    ["/bin/sh", "-c", `${cliPreamble(redis, "rotation")}\n${SET_USERS}`, "sh", ...lines],
    { env: loginEnv(redis, "rotation"), withinMs: SET_WITHIN_MS },
  );
  if (exitCode === 0) return;
  throw new TwineError({
    code: "PASSWORD_REFUSED",
    message: `${node} does not take the other password: ${said.trim()}`,
    remedy:
      "run pulumi up again; a node of an earlier version takes it after its container was replaced once",
  });
}
