// router-directives.ts: the directives about the clients of routers: limits, users and TLS. Pure.
// The limits are per router process. Where Redis has a similar setting, the default is Redis's. Exception: output-bytes,
// which Redis does not limit: a router has too many clients to buffer unread replies without a limit.
import type { RouterSettings } from "../cluster.ts";
import { choice, count, duration, file, quiet, size, type Directive } from "./directive-forms.ts";

const MB = 1024 ** 2;
const GB = 1024 ** 3;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const ROUTER_DEFAULTS: RouterSettings = Object.freeze<RouterSettings>({
  maxClients: 10_000,
  commandBytesMax: 512 * MB,
  commandArgsMax: 1_048_576,
  outputBytesMax: 256 * MB,
  outputTotalBytesMax: GB,
  idleTimeoutMs: 0,
  tcpKeepaliveMs: 300_000,
  drainForMs: 3_000,
  tlsAuthClients: "no",
  tlsPlain: "local",
  tlsNodes: "no",
});

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
  quiet(
    size(
      "output-bytes-total",
      [64 * 1024, 1024 * GB],
      (s) => s.outputTotalBytesMax,
      (bytes) => ({ outputTotalBytesMax: bytes }),
    ),
    (s) => s.outputTotalBytesMax === ROUTER_DEFAULTS.outputTotalBytesMax,
  ),
  quiet(
    duration(
      "tcp-keepalive",
      [0, DAY_MS],
      (s) => s.tcpKeepaliveMs,
      (ms) => ({ tcpKeepaliveMs: ms }),
    ),
    (s) => s.tcpKeepaliveMs === ROUTER_DEFAULTS.tcpKeepaliveMs,
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
