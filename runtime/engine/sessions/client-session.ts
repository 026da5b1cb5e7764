// client-session.ts: one client's session (route/session/session.ts), its limits, and its permissions.
import type { ClientStream } from "./client-stream.ts";
import type { WrittenPartitions } from "../../route/session/written-partitions.ts";
import { UNAUTHENTICATED_LIMITS, type RequestLimits } from "../../resp/limits.ts";
import { refusedToReader } from "../../route/commands/read-only.ts";
import { answerSession, type SessionAnswer } from "../../route/session/session.ts";
import {
  openSession,
  type ClientFacts,
  type SessionState,
} from "../../route/session/session-state.ts";
import type { CommandSource } from "../dispatch/command-source.ts";
import type { Users } from "../../route/session/users.ts";
import type { EngineRules } from "../limits.ts";

export interface ClientSessionContext {
  /** Read at every use, because they may change. */
  readonly rules: EngineRules;
  readonly commands: CommandSource;
  /** All clients of this process, for CLIENT LIST. */
  readonly clients?: ReadonlySet<{ readonly facts: ClientFacts }>;
}

/** Options of one client. */
export interface OwnOptions {
  readonly isTrusted?: boolean;
  /** Of another stream of the same program. */
  readonly written?: WrittenPartitions | undefined;
  readonly hasLostWatch?: boolean;
}

export class ClientSession {
  state: SessionState;
  readonly #context: ClientSessionContext;
  /** A program's own stream: no authentication, and its permissions don't change. */
  readonly #isTrusted: boolean;

  constructor(id: number, socket: ClientStream, context: ClientSessionContext, isTrusted: boolean) {
    this.#context = context;
    this.#isTrusted = isTrusted;
    const address = `${socket.remoteAddress ?? "unixsocket"}:${socket.remotePort ?? 0}`;
    const localAddress = `${socket.localAddress ?? "unixsocket"}:${socket.localPort ?? 0}`;
    this.state = openSession(id, address, this.#users !== undefined, localAddress);
  }

  get #users(): Users | undefined {
    return this.#isTrusted ? undefined : this.#context.rules.users;
  }

  get requestLimits(): RequestLimits {
    return this.state.isAuthenticated
      ? this.#context.rules.limits.requests
      : UNAUTHENTICATED_LIMITS;
  }

  /** Executes a session command. */
  answer(args: readonly Buffer[], self: ClientFacts): SessionAnswer {
    const answer = answerSession(this.state, args, {
      password: undefined,
      users: this.#users,
      redisVersion: this.#context.commands.redisVersion,
      serverName: this.#context.commands.serverName,
      self,
      clients: () => [...(this.#context.clients ?? [])].map(({ facts }) => facts),
    });
    this.state = answer.state;
    return answer;
  }

  /** The client's data for CLIENT LIST. */
  facts(ageMs: number, idleMs: number, isSubscribed: boolean): ClientFacts {
    const state = { ...this.state, subscriptions: isSubscribed ? 1 : 0 };
    return { state, ageSeconds: wholeSeconds(ageMs), idleSeconds: wholeSeconds(idleMs) };
  }

  /** Call this after a change of the users. False if this client's user was removed. */
  recheck(): boolean {
    const users = this.#users;
    const { user, isAuthenticated } = this.state;
    const known = users?.get(user);
    if (users !== undefined && known === undefined) {
      this.state = { ...this.state, isAuthenticated: false };
      return !isAuthenticated;
    }
    const isKnown = isAuthenticated || users === undefined;
    this.state = {
      ...this.state,
      isAuthenticated: isKnown,
      isReadOnly: known?.isReadOnly ?? false,
    };
    return true;
  }

  /** Redis's error if this user may not run the command; undefined if it may, or if no node has reported its table. */
  refusal(args: readonly Buffer[]): Buffer | undefined {
    const { table } = this.#context.commands;
    if (!this.state.isReadOnly || table === undefined) return undefined;
    return refusedToReader(args, table);
  }
}

function wholeSeconds(ms: number): number {
  return Math.max(Math.floor(ms / 1000), 0);
}
