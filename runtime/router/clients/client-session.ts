// client-session.ts: who one client is: its session (route/session.ts), the limits that follow from it, and what it may do.
import type { Socket } from "node:net";
import { UNAUTHENTICATED_LIMITS, type RequestLimits } from "../../resp/limits.ts";
import { refusedToReader } from "../../route/read-only.ts";
import { answerSession, type SessionAnswer } from "../../route/session.ts";
import { openSession, type ClientFacts, type SessionState } from "../../route/session-state.ts";
import type { CommandSource } from "../dispatch/command-source.ts";
import type { RouterRules } from "../rules/limits.ts";

export interface ClientSessionContext {
  /** Read anew each time: they may change. */
  readonly rules: RouterRules;
  readonly commands: CommandSource;
  /** All of this process, for CLIENT LIST. */
  readonly clients?: ReadonlySet<{ readonly facts: ClientFacts }>;
}

export class ClientSession {
  state: SessionState;
  readonly #context: ClientSessionContext;

  constructor(id: number, socket: Socket, context: ClientSessionContext) {
    this.#context = context;
    const address = `${socket.remoteAddress ?? "unixsocket"}:${socket.remotePort ?? 0}`;
    const localAddress = `${socket.localAddress ?? "unixsocket"}:${socket.localPort ?? 0}`;
    this.state = openSession(id, address, context.rules.users !== undefined, localAddress);
  }

  get requestLimits(): RequestLimits {
    return this.state.isAuthenticated
      ? this.#context.rules.limits.requests
      : UNAUTHENTICATED_LIMITS;
  }

  /** Answers a command of the session's own. */
  answer(args: readonly Buffer[], self: ClientFacts): SessionAnswer {
    const answer = answerSession(this.state, args, {
      password: undefined,
      users: this.#context.rules.users,
      redisVersion: this.#context.commands.redisVersion,
      self,
      clients: () => [...(this.#context.clients ?? [])].map(({ facts }) => facts),
    });
    this.state = answer.state;
    return answer;
  }

  /** For CLIENT LIST. */
  facts(ageMs: number, idleMs: number, isSubscribed: boolean): ClientFacts {
    const state = { ...this.state, subscriptions: isSubscribed ? 1 : 0 };
    return { state, ageSeconds: wholeSeconds(ageMs), idleSeconds: wholeSeconds(idleMs) };
  }

  /** The users may be others now. False when this client is none of them any more. */
  recheck(): boolean {
    const { users } = this.#context.rules;
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

  /** Why this user may not run the command, in Redis's words; undefined when it may, or when no node has told its table. */
  refusal(args: readonly Buffer[]): Buffer | undefined {
    const { table } = this.#context.commands;
    if (!this.state.isReadOnly || table === undefined) return undefined;
    return refusedToReader(args, table);
  }
}

function wholeSeconds(ms: number): number {
  return Math.max(Math.floor(ms / 1000), 0);
}
