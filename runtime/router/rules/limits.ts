// limits.ts: what one client may cost, and what of a router may change while it runs. Pure.
//
//   a client that doesn't read:  fewer requests in flight the longer its replies are -> reading from it stops -> closed
//
// Backpressure comes first: a client that reads slowly is slowed down, and only one that takes nothing is closed, when
// what waits for it is more than output-bytes and its longest reply (so that a single reply of any length passes).
import type { Settings } from "../../core/cluster.ts";
import { REQUEST_LIMITS, type RequestLimits } from "../../resp/limits.ts";
import type { Users } from "../../route/users.ts";
import type { RouterTls } from "./tls.ts";

export interface ClientLimits {
  readonly clientsMax: number;
  readonly requests: RequestLimits;
  readonly outputBytesMax: number;
  /** 0: for ever. */
  readonly idleMs: number;
  readonly drainMs: number;
}

/** All that SIGHUP may change; whoever needs it reads it here each time. */
export interface RouterRules {
  settings: Settings;
  limits: ClientLimits;
  /** undefined: nobody is asked who it is. */
  users: Users | undefined;
  tls: RouterTls;
}

export function limitsOf(settings: Settings): ClientLimits {
  const { commandBytesMax } = settings;
  return {
    clientsMax: settings.maxClients,
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

/** Replies owed to one client before its reading stops: at most, and before its first replies were seen. */
export const OWED_MAX = 1024;
export const OWED_FIRST = 64;
/** As much as the replies owed to one client may come to, by the length of those it had. */
const OWED_REPLY_BYTES = 16 * 1024 * 1024;

/** How many replies may be owed to a client whose replies are that long: half of what it may leave unread, at most. */
export function owedMaxOf(replyBytes: number, outputBytesMax: number): number {
  const bytesMax = Math.min(OWED_REPLY_BYTES, outputBytesMax / 2);
  if (replyBytes * OWED_MAX <= bytesMax) return OWED_MAX;
  return Math.max(1, Math.floor(bytesMax / replyBytes));
}

/** No output-bytes is below this: what is less needs no closer look. */
export const OUTPUT_BYTES_LEAST = 64 * 1024;

/** No command is named so: it is a browser that was made to send HTTP here, and what follows could be anything. Redis
    closes such connections too (its securityWarningCommand). */
export const HTTP_WORDS: ReadonlySet<string> = new Set(["post", "host:"]);

/** Bytes of the requests of the replies that are owed to one client, before its reading stops. */
export const OWED_BYTES_MAX = 16 * 1024 * 1024;
/** How long a client that was told the end may take to end its side. */
export const LINGER_MS = 2000;
/** Turns of the event loop without a request, before a draining router believes that none is in its sockets. */
export const QUIET_TURNS = 3;
/** While more replies are owed, those that have come wait for so many turns of the event loop: the replies of one pipeline
    come from several partitions, and one write for all of them costs less than one for each. Turns are not time: when
    nothing else is to be done they pass at once. */
export const TURNS_WAITED_MAX = 2;
/** As much is read of a client that waits: enough to see it leave. */
export const AHEAD_BYTES_MAX = 64 * 1024;

export const TOO_MANY_CLIENTS = "-ERR max number of clients reached\r\n";
