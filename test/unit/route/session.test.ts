// session.test.ts: what a router says itself, in Redis's own words.
import { expect, test } from "vitest";
import { answerSession, openSession } from "../../../runtime/route/session.ts";

const context = { password: undefined, redisVersion: "7.0.15" };
const secret = { ...context, password: "pw" };

function say(command: string, state = openSession(7, "127.0.0.1:1", false), with_ = context) {
  const args = command.split(" ").map((word) => Buffer.from(word));
  return answerSession(state, args, with_);
}

test("HELLO 3 answers with a map and HELLO 2 with an array, and the session speaks it from then on", () => {
  const three = say("HELLO 3 SETNAME me");
  expect(three.reply.toString()).toMatch(/^%7\r\n\$6\r\nserver\r\n/);
  expect(three.state).toMatchObject({ protocol: 3, name: "me" });
  expect(say("HELLO 2", three.state).reply.toString()).toMatch(/^\*14\r\n/);
});

test("an unknown protocol is refused with NOPROTO, which clients look for", () => {
  expect(say("HELLO 4").reply.toString()).toBe("-NOPROTO unsupported protocol version\r\n");
});

test("AUTH takes the password alone, or with the user app or default, and nothing else", () => {
  const closed = openSession(7, "127.0.0.1:1", true);
  for (const command of ["AUTH pw", "AUTH app pw", "AUTH default pw", "HELLO 3 AUTH app pw"]) {
    expect(
      answerSession(
        closed,
        command.split(" ").map((w) => Buffer.from(w)),
        secret,
      ).state,
    ).toMatchObject({ isAuthenticated: true });
  }
  for (const command of ["AUTH no", "AUTH eve pw", "HELLO 3 AUTH app no", "HELLO 3"]) {
    const answer = answerSession(
      closed,
      command.split(" ").map((w) => Buffer.from(w)),
      secret,
    );
    expect(answer.state.isAuthenticated).toBe(false);
    expect(answer.reply.toString()).toMatch(/^-(WRONGPASS|NOAUTH)/);
  }
});

test("CLIENT GETNAME gives what CLIENT SETNAME took, and null before", () => {
  expect(say("CLIENT GETNAME").reply.toString()).toBe("$-1\r\n");
  const named = say("CLIENT SETNAME me");
  expect(say("CLIENT GETNAME", named.state).reply.toString()).toBe("$2\r\nme\r\n");
});

test("SELECT takes 0 alone", () => {
  expect(say("SELECT 0").reply.toString()).toBe("+OK\r\n");
  expect(say("SELECT 1").reply.toString()).toMatch(/^-ERR twine: 'select 1' is not supported/);
});

test("RESET forgets the protocol, the name and the password", () => {
  const state = { ...openSession(7, "a", false), protocol: 3 as const, name: "me" };
  const reset = answerSession(state, [Buffer.from("RESET")], secret);
  expect(reset.state).toEqual(openSession(7, "a", true));
});
