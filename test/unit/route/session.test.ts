// session.test.ts: what a router says itself, in Redis's own words.
import { expect, test } from "vitest";
import { answerSession } from "../../../runtime/route/session/session.ts";
import { openSession } from "../../../runtime/route/session/session-state.ts";

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

test("without a password AUTH answers as a Redis without one", () => {
  const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  const texts: Readonly<Record<string, string>> = {
    "AUTH a b": wrong,
    "HELLO 3 AUTH a b": wrong,
    "AUTH default b": "+OK\r\n",
    "AUTH a b c": "-ERR syntax error\r\n",
    AUTH: "-ERR wrong number of arguments for 'auth' command\r\n",
  };
  for (const [command, text] of Object.entries(texts)) {
    expect([command, say(command).reply.toString()]).toEqual([command, text]);
  }
  expect(say("AUTH b").reply.toString()).toMatch(/^-ERR AUTH <password> called without any/);
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

test("CLIENT LIST shows the clients of the router in Redis's fields, all or those that are asked for", () => {
  const [a, b] = [7, 8].map((id) => openSession(id, `127.0.0.1:${id}`, false, "127.0.0.1:9"));
  if (a === undefined || b === undefined) throw new Error("there are two");
  const clients = () => [a, b].map((state) => ({ state, ageSeconds: 5, idleSeconds: 2 }));
  const list = (command: string): string =>
    say(command, a, { ...context, clients } as typeof context).reply.toString();
  expect(list("CLIENT LIST")).toMatch(
    /^\$\d+\r\nid=7 addr=127.0.0.1:7 laddr=127.0.0.1:9 .*\nid=8 /,
  );
  expect(list("CLIENT LIST ID 8 9")).toMatch(
    /^\$\d+\r\nid=8 .* age=5 idle=2 .* user=default .*\n\r\n$/,
  );
  expect(list("CLIENT LIST TYPE normal").match(/id=/g)).toHaveLength(2);
  expect(list("CLIENT LIST TYPE replica")).toBe("$0\r\n\r\n");
  expect(list("CLIENT LIST TYPE nonsense")).toBe("-ERR Unknown client type 'nonsense'\r\n");
  expect(list("CLIENT LIST ID x")).toBe("-ERR Invalid client ID\r\n");
  expect(list("CLIENT LIST nonsense")).toBe("-ERR syntax error\r\n");
});

test("CLIENT REPLY OFF and SKIP have no reply themselves, and ON has", () => {
  const told = (command: string) => {
    const { reply, replies } = say(command);
    return [reply.toString(), replies];
  };
  expect(told("CLIENT REPLY OFF")).toEqual(["", "off"]);
  expect(told("CLIENT REPLY SKIP")).toEqual(["", "skip"]);
  expect(told("CLIENT REPLY ON")).toEqual(["+OK\r\n", "on"]);
  expect(told("RESET")).toEqual(["+RESET\r\n", "on"]);
  expect(told("PING")).toEqual(["+PONG\r\n", undefined]);
  expect(say("CLIENT REPLY nonsense").reply.toString()).toBe("-ERR syntax error\r\n");
});

test("what of CLIENT reaches further than this connection is refused by name with the reason", () => {
  for (const sub of ["KILL ID 3", "PAUSE 10", "UNPAUSE", "UNBLOCK 3", "TRACKING ON", "GETREDIR"]) {
    const name = `client ${sub.split(" ")[0]?.toLowerCase() ?? ""}`;
    expect(say(`CLIENT ${sub}`).reply.toString()).toMatch(
      new RegExp(`^-ERR twine: '${name}' is not supported: \\w+`),
    );
  }
  expect(say("CLIENT NONSENSE").reply.toString()).toMatch(/^-ERR unknown subcommand 'NONSENSE'/);
  expect(say("CLIENT HELP").reply.toString()).toMatch(/^\*\d+\r\n\+CLIENT <subcommand>/);
  expect(say("CLIENT NO-EVICT ON").reply.toString()).toBe("+OK\r\n");
  expect(say("CLIENT NO-TOUCH maybe").reply.toString()).toBe("-ERR syntax error\r\n");
});

test("ACL WHOAMI names the user who logged in", () => {
  expect(say("ACL WHOAMI").reply.toString()).toBe("$7\r\ndefault\r\n");
  const words = (text: string) => text.split(" ").map((word) => Buffer.from(word));
  const { state } = answerSession(openSession(7, "a", true), words("AUTH pw"), secret);
  expect(answerSession(state, words("ACL WHOAMI"), secret).reply.toString()).toBe("$3\r\napp\r\n");
});
