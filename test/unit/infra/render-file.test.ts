// render-file.test.ts: templates are strict, and values arrive as what they are.
import { expect, test } from "vitest";
import type { PlannedFile } from "../../../infra/plan/plan.ts";
import { quoteForRedis, quoteForShell, renderFile } from "../../../infra/render/render-file.ts";

const FILE: PlannedFile = {
  path: "a/redis.conf",
  purpose: "generated",
  template: "t.hbs",
  values: { name: `<a & "b">` },
  secrets: {},
  mode: 0o644,
};

test("nothing is escaped as HTML", () => {
  expect(renderFile(FILE, new Map([["t.hbs", "{{name}}"]]))).toBe(`<a & "b">`);
});

test("a value that the plan lacks is an error, not an empty string", () => {
  expect(() => renderFile(FILE, new Map([["t.hbs", "{{port}}"]]))).toThrow(/port/);
});

test("a template that is missing is an error that names it", () => {
  expect(() => renderFile(FILE, new Map())).toThrow(/t\.hbs/);
});

test("a plan with secrets is not rendered without the password", () => {
  const file: PlannedFile = { ...FILE, secrets: { app: { user: "app", form: "plain" } } };
  expect(() => renderFile(file, new Map([["t.hbs", "{{secrets.app}}"]]))).toThrow(/password/);
  expect(renderFile(file, new Map([["t.hbs", "{{secrets.app}}"]]), "word")).toBe("word");
});

test.each([
  ["256mb", "256mb"],
  ["a b", `"a b"`],
  ["", `""`],
  [`say "x\\y"`, `"say \\"x\\\\y\\""`],
  ["é\n", `"\\xc3\\xa9\\x0a"`],
])("redis.conf reads %j as %s", (value, quoted) => {
  expect(quoteForRedis(value)).toBe(quoted);
});

test.each([
  ["a1", "a1"],
  ["a b", "'a b'"],
  ["it's", `'it'\\''s'`],
  ["$(x)", "'$(x)'"],
])("a shell reads %j as %s", (value, quoted) => {
  expect(quoteForShell(value)).toBe(quoted);
});
