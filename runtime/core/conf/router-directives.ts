// router-directives.ts: what twine.conf says about the clients of routers: how many, how much each may cost, who they are,
// and TLS. Pure.
// The limits are per router process. Where Redis has a setting of the kind, the default is Redis's, except for
// output-bytes, which Redis leaves open: a router has more clients than memory for what all of them don't read.
import type { RouterSettings } from "../cluster.ts";
import {
  choice,
  count,
  duration,
  single,
  size,
  type Directive,
  type Get,
  type Set,
} from "./directive-forms.ts";
import { printWord } from "./lines.ts";

const MB = 1024 ** 2;
const GB = 1024 ** 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const ROUTER_DEFAULTS: RouterSettings = Object.freeze<RouterSettings>({
  maxClients: 10_000,
  commandBytesMax: 512 * MB,
  commandArgsMax: 1_048_576,
  outputBytesMax: 256 * MB,
  idleTimeoutMs: 0,
  drainForMs: 3_000,
  tlsAuthClients: "no",
  tlsPlain: "local",
  tlsNodes: "no",
});

/** The path of a file, absent unless said. Relative ones start at the folder of twine.conf. */
function file(name: string, get: Get<string | undefined>, set: Set<string>): Directive {
  return single(
    name,
    "FILE",
    (_, word) => set(word.text),
    (settings) => {
      const path = get(settings);
      return path === undefined ? [] : [printWord(path)];
    },
  );
}

/** In the order in which they are printed and documented. */
export const ROUTER_DIRECTIVES: readonly Directive[] = Object.freeze([
  count(
    "max-clients",
    [1, 1_000_000],
    (s) => s.maxClients,
    (n) => ({ maxClients: n }),
  ),
  size(
    "command-bytes",
    [16 * 1024, GB],
    (s) => s.commandBytesMax,
    (bytes) => ({ commandBytesMax: bytes }),
  ),
  count(
    "command-args",
    [16, 10_000_000],
    (s) => s.commandArgsMax,
    (n) => ({ commandArgsMax: n }),
  ),
  size(
    "output-bytes",
    [64 * 1024, 1024 * GB],
    (s) => s.outputBytesMax,
    (bytes) => ({ outputBytesMax: bytes }),
  ),
  duration(
    "idle-timeout",
    [0, 24 * DAY_MS],
    (s) => s.idleTimeoutMs,
    (ms) => ({ idleTimeoutMs: ms }),
  ),
  duration(
    "drain-for",
    [0, HOUR_MS],
    (s) => s.drainForMs,
    (ms) => ({ drainForMs: ms }),
  ),
  file(
    "users-file",
    (s) => s.usersFile,
    (usersFile) => ({ usersFile }),
  ),
  file(
    "tls-cert",
    (s) => s.tlsCert,
    (tlsCert) => ({ tlsCert }),
  ),
  file(
    "tls-key",
    (s) => s.tlsKey,
    (tlsKey) => ({ tlsKey }),
  ),
  file(
    "tls-ca",
    (s) => s.tlsCa,
    (tlsCa) => ({ tlsCa }),
  ),
  choice(
    "tls-auth-clients",
    ["no", "optional", "yes"],
    (s) => s.tlsAuthClients,
    (tlsAuthClients) => ({ tlsAuthClients }),
  ),
  choice(
    "tls-plain",
    ["local", "all"],
    (s) => s.tlsPlain,
    (tlsPlain) => ({ tlsPlain }),
  ),
  choice(
    "tls-nodes",
    ["no", "yes"],
    (s) => s.tlsNodes,
    (tlsNodes) => ({ tlsNodes }),
  ),
]);
