// session-state.ts: what a router knows of one client's connection, and what its answers about it need. Pure.
import type { Protocol } from "../resp/encode.ts";
import type { Users } from "./users.ts";

export interface SessionState {
  readonly id: number;
  /** host:port of the client, for CLIENT INFO. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly name: string;
  readonly libName: string;
  readonly libVersion: string;
  readonly isAuthenticated: boolean;
  /** Where the client came in, host:port. */
  readonly localAddress: string;
  /** Channels and patterns that it is subscribed to. */
  readonly subscriptions?: number;
  /** Who logged in; "default" before that, as Redis says. */
  readonly user: string;
  readonly isReadOnly: boolean;
}

/** Of one client, for CLIENT LIST. */
export interface ClientFacts {
  readonly state: SessionState;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
}

export interface SessionContext {
  /** Of the user app; undefined: nobody is asked. */
  readonly password: string | undefined;
  /** All who may log in, when there may be others than app. */
  readonly users?: Users | undefined;
  /** Of the redis-servers behind. */
  readonly redisVersion: string;
  /** What HELLO calls this server; standalone unless told otherwise. */
  readonly mode?: "standalone" | "sentinel";
  /** Of this client, for CLIENT INFO. */
  readonly self?: Omit<ClientFacts, "state">;
  /** All clients, for CLIENT LIST; without it, this one alone. */
  readonly clients?: () => Iterable<ClientFacts>;
}

/** Whether replies are sent from here on; skip: not that of the next command. */
export type Replies = "on" | "off" | "skip";

export function openSession(
  id: number,
  address: string,
  hasPassword: boolean,
  localAddress = "",
): SessionState {
  return {
    id,
    address,
    localAddress,
    protocol: 2,
    name: "",
    libName: "",
    libVersion: "",
    isAuthenticated: !hasPassword,
    user: "default",
    isReadOnly: false,
  };
}
