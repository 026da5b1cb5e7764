// Who may log in to a router.
import { expect, test } from "vitest";
import { digestOf, loginOf, usersOf } from "../../../runtime/route/session/users.ts";

const reader = {
  name: "reader",
  digests: [digestOf("old"), digestOf("new")],
  isReadOnly: true,
};

function loginName(user: string | undefined, password: string): string | undefined {
  const users = usersOf("secret", [reader]);
  return users === undefined ? "nobody" : loginOf(users, user, Buffer.from(password))?.name;
}

test("without a password and without users nobody is asked", () => {
  expect(usersOf(undefined)).toBeUndefined();
  expect(usersOf(undefined, [reader])?.size).toBe(1);
});

test("who names nobody, or default, is app", () => {
  expect(loginName(undefined, "secret")).toBe("app");
  expect(loginName("default", "secret")).toBe("app");
  expect(loginName("app", "secret")).toBe("app");
});

test("each of a user's passwords opens, and no other", () => {
  expect(loginName("reader", "old")).toBe("reader");
  expect(loginName("reader", "new")).toBe("reader");
  expect(loginName("reader", "secret")).toBeUndefined();
  expect(loginName("reader", "")).toBeUndefined();
  expect(loginName("app", "old")).toBeUndefined();
  expect(loginName("nobody", "secret")).toBeUndefined();
});

test("the app of nobody's password can't be logged in to", () => {
  const users = usersOf(undefined, [reader]);
  if (users === undefined) throw new Error("there is a user");
  expect(loginOf(users, undefined, Buffer.from("old"))).toBeUndefined();
});
