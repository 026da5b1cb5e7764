// session.ts: executes the commands about one client's connection: HELLO, AUTH, PING, CLIENT and others. Pure.
// Returns the new state and the reply. Replies and errors are Redis's own texts, because clients depend on them (a client
// whose HELLO fails decides by the error's text whether to fall back).
import { bulk, encodeReply, errorReply, OK_REPLY } from "../../resp/encode.ts";
import type { RespValue } from "../../resp/value.ts";
import { isWord } from "../commands/keys.ts";
import { answerClient, BAD_NAME, isPlainName } from "./session-client.ts";
import {
  openSession,
  type Replies,
  type SessionContext,
  type SessionState,
} from "./session-state.ts";
import { loginOf, usersOf } from "./users.ts";
import { byteError, refusal, shownText, wrongArity } from "../replies/wire-errors.ts";

export interface SessionAnswer {
  readonly reply: Buffer;
  readonly state: SessionState;
  /** The connection is closed after this reply. */
  readonly isLast: boolean;
  /** Set if it changes: whether replies are sent from now on. skip: the next command's reply is not sent. */
  readonly replies?: Replies | undefined;
}

/** Commands that are allowed before authentication. */
export const BEFORE_AUTH: ReadonlySet<string> = new Set(["hello", "auth", "quit", "reset"]);
export const NOAUTH_REPLY: Buffer = errorReply("NOAUTH Authentication required.");

const ARITIES: Readonly<Record<string, readonly [least: number, most: number]>> = {
  hello: [1, Number.POSITIVE_INFINITY],
  auth: [2, Number.POSITIVE_INFINITY],
  ping: [1, 2],
  echo: [2, 2],
  select: [2, 2],
  quit: [1, Number.POSITIVE_INFINITY],
  reset: [1, 1],
  client: [2, Number.POSITIVE_INFINITY],
  acl: [2, 2],
};

/** Executes a command whose rule is "session". */
export function answerSession(
  state: SessionState,
  args: readonly Buffer[],
  context: SessionContext,
): SessionAnswer {
  const name = args[0]?.toString("latin1").toLowerCase() ?? "";
  const [least, most] = ARITIES[name] ?? [1, 1];
  const answer = (reply: Buffer, changed: Partial<SessionState> = {}): SessionAnswer => ({
    reply,
    state: { ...state, ...changed },
    isLast: name === "quit",
  });
  if (args.length < least || args.length > most) return answer(wrongArity(name));
  switch (name) {
    case "ping":
      return answer(args[1] === undefined ? Buffer.from("+PONG\r\n") : bulk(args[1]));
    case "echo":
      return answer(bulk(args[1] ?? Buffer.alloc(0)));
    case "quit":
      return answer(OK_REPLY);
    case "select":
      return answer(select(args[1]));
    case "reset": {
      const hasUsers = context.password !== undefined || context.users !== undefined;
      const fresh = openSession(state.id, state.address, hasUsers, state.localAddress);
      return { ...answer(Buffer.from("+RESET\r\n"), fresh), replies: "on" };
    }
    case "auth":
      return auth(args, context, answer);
    case "hello":
      return hello(state, args, context, answer);
    case "acl":
      // ACL WHOAMI. The other subcommands of ACL are not session commands.
      return answer(bulk(Buffer.from(state.user)));
    default: {
      const { reply, changed, replies } = answerClient(state, args, context);
      return { ...answer(reply, changed), replies };
    }
  }
}

type Answer = (reply: Buffer, changed?: Partial<SessionState>) => SessionAnswer;

function select(index: Buffer | undefined): Buffer {
  const text = index?.toString("latin1") ?? "";
  if (!/^-?\d{1,9}$/.test(text)) {
    return errorReply("ERR value is not an integer or out of range");
  }
  if (Number(text) === 0) return OK_REPLY;
  return refusal(`select ${text}`, "a partition has one database, and it is 0 here");
}

function auth(args: readonly Buffer[], context: SessionContext, answer: Answer): SessionAnswer {
  if (args.length > 3) return answer(SYNTAX_ERROR);
  const [user, password] = args.length === 3 ? [args[1], args[2]] : [undefined, args[1]];
  const users = context.users ?? usersOf(context.password);
  if (users === undefined) {
    // Without users, the user default has no password and accepts any, as in Redis. No other user exists.
    if (user !== undefined) return answer(isWord(user, "default") ? OK_REPLY : WRONG_PASSWORD);
    return answer(
      errorReply(
        "ERR AUTH <password> called without any password configured for the default user. " +
          "Are you sure your configuration is correct?",
      ),
    );
  }
  const login = loginOf(users, user?.toString("latin1"), password ?? Buffer.alloc(0));
  if (login === undefined) return answer(WRONG_PASSWORD);
  const { name, isReadOnly } = login;
  return answer(OK_REPLY, { isAuthenticated: true, user: name, isReadOnly });
}

const SYNTAX_ERROR = errorReply("ERR syntax error");
const WRONG_PASSWORD = errorReply("WRONGPASS invalid username-password pair or user is disabled.");

/** HELLO [protocol [AUTH user password] [SETNAME name]]: https://redis.io/docs/latest/commands/hello/ */
function hello(
  state: SessionState,
  args: readonly Buffer[],
  context: SessionContext,
  answer: Answer,
): SessionAnswer {
  const version = args[1]?.toString("latin1");
  if (version !== undefined && !/^-?\d{1,9}$/.test(version)) {
    return answer(errorReply("ERR Protocol version is not an integer or out of range"));
  }
  if (version !== undefined && version !== "2" && version !== "3") {
    return answer(errorReply("NOPROTO unsupported protocol version"));
  }
  let next: SessionState = {
    ...state,
    protocol: version === undefined ? state.protocol : version === "3" ? 3 : 2,
  };
  for (let index = 2; index < args.length; index++) {
    const option = args[index];
    if (isWord(option, "auth") && index + 2 < args.length) {
      const given = auth(
        ["AUTH", args[index + 1], args[index + 2]].map(asBuffer),
        context,
        (reply, changed) => ({
          reply,
          state: { ...next, ...changed },
          isLast: false,
        }),
      );
      if (given.reply !== OK_REPLY) return answer(given.reply);
      next = given.state;
      index += 2;
    } else if (isWord(option, "setname") && index + 1 < args.length) {
      const name = args[++index]?.toString("latin1") ?? "";
      if (!isPlainName(name)) return answer(BAD_NAME);
      next = { ...next, name };
    } else {
      return answer(byteError(`ERR Syntax error in HELLO option '${shownText(option, 128)}'`));
    }
  }
  if (!next.isAuthenticated) return answer(HELLO_NOAUTH);
  return answer(greeting(next, context), next);
}

function asBuffer(value: Buffer | string | undefined): Buffer {
  return typeof value === "string" ? Buffer.from(value) : (value ?? Buffer.alloc(0));
}

const HELLO_NOAUTH = errorReply(
  "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select " +
    "the RESP protocol version at the same time",
);

function greeting(state: SessionState, context: SessionContext): Buffer {
  const { mode = "standalone" } = context;
  const text = (value: string): RespValue => ({ type: "bulk", bytes: Buffer.from(value) });
  const integer = (value: number): RespValue => ({ type: "integer", value: BigInt(value) });
  const entries: [RespValue, RespValue][] = [
    [text("server"), text(context.serverName ?? "redis")],
    [text("version"), text(context.redisVersion)],
    [text("proto"), integer(state.protocol)],
    [text("id"), integer(state.id)],
    [text("mode"), text(mode)],
    // Sentinel mode has no role, as in Redis.
    ...(mode === "sentinel" ? [] : [[text("role"), text("master")] as [RespValue, RespValue]]),
    [text("modules"), { type: "array", items: [] }],
  ];
  return encodeReply({ type: "map", entries }, state.protocol);
}
