// session-state.ts: the state of a client's session, and the context of session commands. Pure.
import type { Protocol } from "../../resp/encode.ts";
import type { Users } from "./users.ts";
import type { Secret } from "../../core/credentials.ts";

export interface SessionState {
  readonly id: number;
  /** host:port of the client, for CLIENT INFO. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly name: string;
  readonly libName: string;
  readonly libVersion: string;
  readonly isAuthenticated: boolean;
  /** The router's address that the client connected to, host:port. */
  readonly localAddress: string;
  /** The number of its subscribed channels and patterns. */
  readonly subscriptions?: number;
  /** The user after login; "default" before it, as in Redis. */
  readonly user: string;
  readonly isReadOnly: boolean;
}

/** One client's data for CLIENT LIST. */
export interface ClientFacts {
  readonly state: SessionState;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
}

export interface SessionContext {
  /** The password of the user app; undefined: no login is needed. */
  readonly password: Secret | undefined;
  /** All users, if there may be others than app. */
  readonly users?: Users | undefined;
  /** The version of the redis-servers behind the router. */
  readonly redisVersion: string;
  /** redis when absent. */
  readonly serverName?: "redis" | "valkey";
  /** The mode in HELLO's reply. @default standalone */
  readonly mode?: "standalone" | "sentinel";
  /** This client's times, for CLIENT INFO. */
  readonly self?: Omit<ClientFacts, "state">;
  /** All clients, for CLIENT LIST. Absent: only this client. */
  readonly clients?: () => Iterable<ClientFacts>;
}

/** Whether replies are sent from now on. skip: the next command's reply is not sent. */
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
