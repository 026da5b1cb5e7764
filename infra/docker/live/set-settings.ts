// set-settings.ts: changes the settings of a redis-server in its container, by redis-cli in that container: it may listen
// only in its own network.
//
//   names without a value ──▶ the server's default, asked of a second server that is started briefly
//   appendonly yes        ──▶ CONFIG SET, then wait for its file: until it is complete, a restart would lose the data
//   appendonly no         ──▶ CONFIG SET, wait for dump.rdb, then remove the append only file for the next start
import type { SettingChange } from "../../plan/setting-changes.ts";
import type { RedisUser } from "../../../runtime/core/credentials.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import { CONTAINER_PATHS } from "../../plan/container-files.ts";
import { runInContainer } from "../engine-call.ts";
import type { RunningContainer } from "./running-files.ts";

export interface RedisAccess {
  readonly address: string;
  readonly port: number;
  /** Undefined without a password. */
  readonly passwordOf: (user: RedisUser) => string | undefined;
}

const SET_WITHIN_MS = 120_000;
/** Never printed. */
const SECRET = new Set(["masterauth"]);
/** Rewriting a large append only file takes long. */
const WRITE_WITHIN_MS = 15 * 60_000;

/** The first lines of a script in the container. `cli` calls the node. */
export function cliPreamble(
  { address, port, passwordOf }: RedisAccess,
  user: RedisUser = "monitor",
): string {
  const login = passwordOf(user) === undefined ? "" : `--no-auth-warning --user ${user}`;
  return [
    "program=$(command -v redis-cli || command -v valkey-cli) || exit 1",
    `cli() { timeout 20 "$program" ${login} -h ${address} -p ${port} "$@"; }`,
  ].join("\n");
}

export function loginEnv(
  { passwordOf }: RedisAccess,
  user: RedisUser = "monitor",
): readonly string[] {
  const password = passwordOf(user);
  return password === undefined ? [] : [`REDISCLI_AUTH=${password}`];
}

/** Prints the server's defaults: a line with NAME, then its value. */
const DEFAULTS = `
unset REDISCLI_AUTH
server=$(command -v redis-server || command -v valkey-server) || exit 1
folder=${CONTAINER_PATHS.data}/twine-defaults
rm -rf "$folder"; mkdir "$folder" || exit 1
"$server" --port 0 --unixsocket "$folder/socket" --dir "$folder" --save "" >/dev/null 2>&1 &
pid=$!
trap 'kill -KILL "$pid" 2>/dev/null; rm -rf "$folder"' EXIT
tries=0
until timeout 2 "$program" -s "$folder/socket" PING >/dev/null 2>&1; do
  tries=$((tries + 1)); [ "$tries" -lt 100 ] || { echo "a second server did not start"; exit 1; }
  sleep 0.05
done
for name in "$@"; do timeout 20 "$program" -s "$folder/socket" CONFIG GET "$name" || exit 1; done
`;

const AOF_ON = `
[ "$(cli CONFIG SET appendonly yes)" = OK ] || exit 1
while :; do
  info=$(cli INFO persistence) || exit 1
  case $info in
    *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1*) sleep 0.2 ;;
    *aof_last_bgrewrite_status:ok*) exit 0 ;;
    *) echo "the append only file could not be written; the node's log says why"; cli CONFIG SET appendonly no; exit 1 ;;
  esac
done
`;

const AOF_OFF = `
before=$(cli LASTSAVE)
sleep 1
case $(cli BGSAVE) in *started* | *scheduled*) ;; *) echo "BGSAVE is refused"; exit 1 ;; esac
while [ "$(cli LASTSAVE)" = "$before" ]; do
  case $(cli INFO persistence) in
    *rdb_bgsave_in_progress:0*rdb_last_bgsave_status:err*) echo "dump.rdb could not be written; the node's log says why"; exit 1 ;;
  esac
  sleep 0.2
done
[ "$(cli CONFIG SET appendonly no)" = OK ] || exit 1
rm -rf ${CONTAINER_PATHS.data}/appendonlydir ${CONTAINER_PATHS.data}/appendonly.aof
`;

/**
 * Returns one text for each setting that was set. Throws SETTING_REFUSED with Redis's error; then only the settings before
 * the refused one, in the order of their names, are set.
 */
export async function setSettings(
  redis: RedisAccess,
  container: RunningContainer,
  node: string,
  settings: readonly SettingChange[],
): Promise<readonly string[]> {
  if (settings.length === 0) return [];
  const run = async (script: string, args: readonly string[], withinMs = SET_WITHIN_MS) =>
    runInContainer(
      container.endpoint,
      container.id,
      ["/bin/sh", "-c", `${cliPreamble(redis)}\n${script}`, "sh", ...args],
      {
        env: loginEnv(redis),
        withinMs,
      },
    );
  const unset = settings.filter(({ value }) => value === undefined).map(({ name }) => name);
  const own = new Map<string, string>();
  if (unset.length > 0) {
    const { said, exitCode } = await run(DEFAULTS, unset);
    if (exitCode !== 0) throw refused(node, unset.join(", "), said);
    const lines = said.split("\n");
    for (let at = 0; at + 1 < lines.length; at += 2) own.set(lines[at] ?? "", lines[at + 1] ?? "");
  }
  const words: string[] = [];
  for (const { name, value: given } of settings) {
    const value = given ?? own.get(name);
    if (value === undefined) throw refused(node, name, "this server does not know it");
    const isAof = name === "appendonly";
    const script = isAof ? (value.toLowerCase() === "yes" ? AOF_ON : AOF_OFF) : SET;
    const args = isAof ? [] : [name, value];
    const { said, exitCode } = await run(script, args, isAof ? WRITE_WITHIN_MS : undefined);
    if (exitCode !== 0) throw refused(node, SECRET.has(name) ? name : `${name} ${value}`, said);
    words.push(SECRET.has(name) ? name : `${name} ${value === "" ? '""' : value}`);
  }
  return words;
}

/** One at a time: Redis 6 accepts no more, and its error then names the wrong one. */
const SET = `
said=$(cli CONFIG SET "$1" "$2")
[ "$said" = OK ] && exit 0
echo "$said"; exit 1
`;

function refused(node: string, what: string, said: string): TwineError {
  return new TwineError({
    code: "SETTING_REFUSED",
    message: `${node} does not take redis ${what}: ${said.trim()}`,
    remedy: "correct the line in twine.conf and run pulumi up again; the node runs as before",
  });
}
