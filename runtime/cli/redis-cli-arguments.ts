// redis-cli-arguments.ts: parses twine's command line; everything except the beginning belongs to redis-cli. Pure.
//
//   twine --conf FILE   -r 3   set a 1
//         |--- ours --| |--- redis-cli's, passed on unchanged ---|
//
// Options that would connect redis-cli to another server are refused, because the command would silently go elsewhere.
import { EXIT, TwineError, usageError } from "../core/errors.ts";

export interface TwineArguments {
  readonly kind: "run" | "help" | "version";
  readonly conf: string | undefined;
  /** For redis-cli, unchanged, except for a password before its command: that is for the nodes. */
  readonly rest: readonly string[];
  /** The value of -a or --pass: used when no password file is named. */
  readonly password: string | undefined;
}

const OTHER_SERVER = "twine has started redis-cli on the cluster of twine.conf";
const REPLICATION =
  "a partition's data is not the cluster's: see twine-backup, or name a node to redis-cli itself";
const ONE_USER =
  "twine works as the cluster's own user, whose password it reads from TWINE_PASSWORD_FILE or -a";
const NO_TLS = "twine speaks to redis-cli over a private socket of this machine";

/** Option -> why it is refused. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ...["-h", "-p", "-s", "-u"].map((name): [string, string] => [name, OTHER_SERVER]),
  ...["-c", "--cluster"].map((name): [string, string] => [
    name,
    "a Twine cluster is one Redis to its clients, not a Redis Cluster",
  ]),
  ...["--user", "--askpass"].map((name): [string, string] => [name, ONE_USER]),
  ...["--rdb", "--functions-rdb", "--replica", "--slave"].map((name): [string, string] => [
    name,
    REPLICATION,
  ]),
  ...[
    "--tls",
    "--sni",
    "--cacert",
    "--cacertdir",
    "--insecure",
    "--cert",
    "--key",
    "--tls-ciphers",
    "--tls-ciphersuites",
  ].map((name): [string, string] => [name, NO_TLS]),
]);

/** redis-cli's options with a value, of all versions so far. */
const VALUED = new Set(
  `-a --pass --user -r -i -n -X -d -D -t --show-pushes --lru-test --pipe-timeout --memkeys-samples
   --keystats-samples --cursor --top --count --pattern --quoted-pattern --intrinsic-latency
   --eval`.split(/\s+/),
);

/** Throws TwineError CLI_OPTION_REFUSED or CLI_USAGE (exit 2). `args` are those after the program's name. */
export function parseTwineArguments(args: readonly string[]): TwineArguments {
  let conf: string | undefined;
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--conf") {
      conf = args[++at];
      if (conf === undefined) throw usage("--conf needs the name of a file");
    } else if (arg.startsWith("--conf=")) conf = arg.slice("--conf=".length);
    else break;
  }
  const rest = args.slice(at);
  const [first] = rest;
  // For redis-cli, -h is a host unless nothing follows; then it means help.
  const isHelp = first === "--help" || (first === "-h" && rest.length === 1);
  if (isHelp) return { kind: "help", conf, rest, password: undefined };
  if (first === "--version") return { kind: "version", conf, rest, password: undefined };
  return { kind: "run", conf, ...checkOptions(rest) };
}

/** Checks redis-cli's options up to its command, and removes the password from them. */
function checkOptions(given: readonly string[]): Pick<TwineArguments, "rest" | "password"> {
  const rest = [...given];
  let password: string | undefined;
  for (let at = 0; at < rest.length; at++) {
    const option = rest[at] ?? "";
    if (!option.startsWith("-") || option === "-") break;
    const reason = REFUSED.get(option);
    if (reason !== undefined) throw refused(option, reason);
    if (option === "--conf" || option.startsWith("--conf=")) {
      throw usage("--conf stands before the arguments of redis-cli");
    }
    if (!VALUED.has(option)) continue;
    at++;
    if (option === "-a" || option === "--pass") {
      password = rest[at];
      rest.splice(at - 1, 2);
      at -= 2;
    }
    // Keys and arguments follow --eval FILE.
    if (option === "--eval") break;
  }
  return { rest, password };
}

function refused(option: string, reason: string): TwineError {
  return new TwineError(
    {
      code: "CLI_OPTION_REFUSED",
      message: `twine does not take redis-cli's option ${option}: ${reason}`,
      remedy: `leave ${option} out; for another server use redis-cli itself`,
    },
    { exitCode: EXIT.usage },
  );
}

function usage(message: string): TwineError {
  return usageError("CLI_USAGE", message, "see twine --help");
}
