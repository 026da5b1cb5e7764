// limits.ts: the limits of one client, and the settings that may change while a router runs. Pure.
//
//   a client that doesn't read:  fewer requests in flight as its replies get longer -> reading from it stops -> closed
//
// Backpressure comes first: a client that reads slowly is slowed down. Only a client that reads nothing is closed, when
// its unread replies exceed output-bytes plus its longest reply (so a single reply may have any length).
import type { Settings } from "../core/cluster.ts";
import { connectionsMaxOf, HTTP_PORT } from "../core/side-ports.ts";
import { REQUEST_LIMITS, type RequestLimits } from "../resp/limits.ts";
import type { Users } from "../route/session/users.ts";
import type { LinkTls } from "../ports/link-tls.ts";

export interface ClientLimits {
  readonly clientsMax: number;
  readonly requests: RequestLimits;
  readonly outputBytesMax: number;
  /** For all clients of this process together. */
  readonly outputTotalBytesMax: number;
  /** The number of dedicated connections. */
  readonly dedicatedMax: number;
  /** 0: no timeout. */
  readonly idleMs: number;
  readonly drainMs: number;
}

/** The settings that SIGHUP may change. Read them here at every use. */
export interface EngineRules {
  settings: Settings;
  limits: ClientLimits;
  /** undefined: no authentication. */
  users: Users | undefined;
  /** `nodes` undefined: connections to nodes are without TLS. */
  tls: { readonly nodes: LinkTls | undefined };
}

/** The rules for a program's own engine: without the limits of a router's clients, and without users. */
export function programRules(settings: Settings, tls: LinkTls | undefined): EngineRules {
  const limits = { ...limitsOf(settings), requests: REQUEST_LIMITS };
  return { settings, limits, users: undefined, tls: { nodes: tls } };
}

/** Reserved for shared connections to nodes, listeners, files, and Node itself. */
const DESCRIPTORS_RESERVED = 64;
const DESCRIPTORS_PER_NODE = 4;

/** `descriptors` is the process's limit of open files, if known. After the reserve and the port for statistics, clients
    get at most half of the rest, because each may need a dedicated connection. So clients never use up the descriptor for
    a new master's connection. */
export function limitsOf(
  settings: Settings,
  descriptors = Number.POSITIVE_INFINITY,
  dataNodes = 0,
): ClientLimits {
  const { commandBytesMax } = settings;
  const reserved = DESCRIPTORS_RESERVED + connectionsMaxOf(HTTP_PORT, descriptors);
  const left = Math.max(descriptors - reserved - DESCRIPTORS_PER_NODE * dataNodes, 2);
  const clientsMax = Math.min(settings.maxClients, Math.floor(left / 2));
  return {
    clientsMax,
    dedicatedMax: left - clientsMax,
    outputTotalBytesMax: settings.outputTotalBytesMax,
    requests: {
      arrayLength: settings.commandArgsMax,
      bulkBytes: Math.min(REQUEST_LIMITS.bulkBytes, commandBytesMax),
      commandBytes: commandBytesMax,
    },
    outputBytesMax: settings.outputBytesMax,
    idleMs: settings.idleTimeoutMs,
    drainMs: settings.drainForMs,
  };
}

/** Outstanding replies of one client at which its reading stops: the most, and the limit before its first replies. */
export const OWED_MAX = 1024;
export const OWED_FIRST = 64;
/** The most bytes of one client's outstanding replies, estimated from earlier ones. A node replies to one client's share
    before the next one's: with 16 MB here and below, the p99 of other clients beside a flooding one doubled. */
const OWED_REPLY_BYTES = 1024 * 1024;

/** The most outstanding replies of a client with replies of this length: at most half of output-bytes. */
export function owedMaxOf(replyBytes: number, outputBytesMax: number): number {
  const bytesMax = Math.min(OWED_REPLY_BYTES, outputBytesMax / 2);
  if (replyBytes * OWED_MAX <= bytesMax) return OWED_MAX;
  return Math.max(1, Math.floor(bytesMax / replyBytes));
}

/** The least allowed output-bytes: smaller amounts need no check. */
export const OUTPUT_BYTES_LEAST = 64 * 1024;

/** Not commands: a browser was made to send HTTP here, and the rest could be anything. Redis closes such connections too
    (its securityWarningCommand). */
export const HTTP_WORDS: ReadonlySet<string> = new Set(["post", "host:"]);

/** Bytes of a client's unanswered requests at which its reading stops. */
export const OWED_BYTES_MAX = 1024 * 1024;
/** How long a client may take to close its side after the server closed its own. */
export const LINGER_MS = 2000;
/** Event-loop ticks without a request after which a draining router considers its sockets empty. */
export const QUIET_TICKS = 3;
/** While more replies are outstanding, replies are delayed for this many event-loop ticks: the replies to one pipeline
    come from several partitions, and one write for all is cheaper than one for each. Ticks are not time: an idle event
    loop runs through them at once. */
export const TICKS_WAITED_MAX = 2;
/** The most bytes read ahead from a blocked client: enough to notice its disconnect. */
export const AHEAD_BYTES_MAX = 64 * 1024;

/** How long to await the replies of a node that is no longer master. */
export const DRAIN_MS = 200;
/** The interval at which a node that refused everything is tried again. */
export const PROBE_EVERY_MS = 50;
/** The longest pause between two attempts to connect. */
export const RECONNECT_MS_MAX = 500;
/** After this a silent replica gets reads again. */
export const FALLBACK_MS = 500;

export const TOO_MANY_CLIENTS = "-ERR max number of clients reached\r\n";
