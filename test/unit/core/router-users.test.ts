// The users file: what it says, and what wrong ones are told.
import { expect, test } from "vitest";
import { parseUsers } from "../../../runtime/core/router-users.ts";

const ONE = "a".repeat(64);
const TWO = "B".repeat(64);

function placesOf(text: string, hasPassword = true): string[] {
  return parseUsers(text, "users", hasPassword).errors.map(
    ({ code, at }) => `${code} ${at?.line ?? 0}:${at?.column ?? 0}`,
  );
}

test("a line names a user, one or two passwords, and perhaps that it only reads", () => {
  const text = `# NAME SHA-256\n\nwriter ${ONE}\r\nreader ${ONE} ${TWO} read-only # since May\n`;
  const { users, errors } = parseUsers(text, "users", true);
  expect(errors).toEqual([]);
  expect(
    users.map(({ name, digests, isReadOnly }) => [
      name,
      digests.map((digest) => digest.toString("hex")),
      isReadOnly,
    ]),
  ).toEqual([
    ["writer", [ONE], false],
    ["reader", [ONE, TWO.toLowerCase()], true],
  ]);
});

test("app may stand there when the cluster has no password, and not otherwise", () => {
  expect(placesOf(`app ${ONE}`, false)).toEqual([]);
  expect(placesOf(`app ${ONE}`, true)).toEqual(["USERS_APP 1:1"]);
});

test("every wrong line is said with its place", () => {
  const text = [
    `default ${ONE}`,
    `a/b ${ONE}`,
    "  joe secret",
    "jim",
    "jane read-only",
    `jack ${ONE}`,
    `jack ${TWO}`,
    `jill ${ONE} readonly`,
  ].join("\n");
  expect(placesOf(text)).toEqual([
    "USERS_BAD_NAME 1:1",
    "USERS_BAD_NAME 2:1",
    "USERS_BAD_DIGEST 3:7",
    "USERS_NO_PASSWORD 4:4",
    "USERS_NO_PASSWORD 5:15",
    "USERS_TWICE 7:1",
    "USERS_BAD_DIGEST 8:71",
  ]);
});

test("a word that may be a password is not repeated in the error", () => {
  const { errors } = parseUsers("joe hunter2", "users", true);
  expect(JSON.stringify(errors)).not.toContain("hunter2");
});
