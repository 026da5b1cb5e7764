// redis-line.ts: reads `redis NAME VALUE...`, a redis.conf directive for every data node. Pure.
// The value is kept as written, quotes included: Redis has its own rules for quotes.
import type { Settings } from "../cluster.ts";
import { placeOf, reject, type Reading } from "./complain.ts";
import type { Word } from "./lines.ts";
import { isSecret, ownedRemedy } from "./redis-directives.ts";

/** Adds the directive to `settings`, or reports an error and returns null. */
export function readRedis(
  reading: Reading,
  args: readonly Word[],
  settings: Settings,
): Partial<Settings> | null {
  const [first, second] = args;
  const name = first?.text.toLowerCase() ?? "";
  if (first === undefined || !/^[a-z][a-z0-9._-]*$/.test(name)) {
    const message = `'${first?.text ?? ""}' is no directive of redis.conf`;
    return reject(reading, first, "CONF_BAD_VALUE", message, "write redis NAME VALUE");
  }
  if (isSecret(name)) {
    const message = `redis ${name} holds a password, and secrets never stand in twine.conf`;
    const remedy =
      ownedRemedy(name) ??
      "leave it out; put the password into the file that TWINE_PASSWORD_FILE names";
    return reject(reading, first, "CONF_SECRET", message, remedy);
  }
  const remedy = ownedRemedy(name);
  if (remedy !== undefined) {
    const message = `redis ${name} can't be set in twine.conf`;
    return reject(reading, first, "CONF_REDIS_OWNED", message, remedy);
  }
  if (second === undefined) {
    const message = `redis ${name} has no value`;
    const hint = `write redis ${name} VALUE; an empty value is ""`;
    return reject(reading, second, "CONF_WORD_COUNT", message, hint);
  }
  const value = reading.line.text.slice(second.start, args.at(-1)?.end);
  return { redis: [...settings.redis, { name, value, at: placeOf(reading, first) }] };
}
