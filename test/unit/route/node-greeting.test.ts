import { expect, test } from "vitest";
import { greetedBy, greetingOf } from "../../../runtime/route/session/node-greeting.ts";

const TEXT = "# Server\r\nrun_id:f00d\r\ntcp_port:1\r\n";
const INFO = `$${TEXT.length}\r\n${TEXT}\r\n`;

function said(...replies: string[]): Buffer[] {
  return replies.map((reply) => Buffer.from(reply));
}

test("a node is greeted with everything in one HELLO, and its database is chosen where it is not the first", () => {
  const credentials = { username: "app" as const, password: "secret" };
  const greeting = greetingOf({ protocol: 3, credentials, clientName: "twine-router", db: 2 });
  expect(greeting.map(String)).toEqual([
    "*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\nsecret\r\n$7\r\nSETNAME\r\n$12\r\ntwine-router\r\n",
    "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
    "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n",
  ]);
  const plain = greetingOf({ protocol: 2, credentials: undefined, clientName: "twine", db: 0 });
  expect(plain).toHaveLength(2);
  expect(String(plain[0])).not.toContain("AUTH");
});

test("what a node answers says which process it is, which connection this is, and whether it is master, by either protocol", () => {
  const fields = "$2\r\nid\r\n:7\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
  const greeted = { identity: { id: 7, runId: "f00d" }, isMaster: true };
  expect(greetedBy(said(`*4\r\n${fields}`, INFO))).toEqual(greeted);
  expect(greetedBy(said(`%2\r\n${fields}`, INFO))).toEqual(greeted);
  const replica = fields.replace("$6\r\nmaster", "$7\r\nreplica");
  expect(greetedBy(said(`*4\r\n${replica}`, INFO)).isMaster).toBe(false);
});
