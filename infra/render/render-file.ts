// render-file.ts: a planned file and the templates give its text. Pure: the templates' texts and the password come in.
// A value that the template names and the plan lacks is our own mistake and throws; nothing is escaped as HTML,
// what needs quoting says how: {{redis value}} for redis.conf, {{sh value}} for a shell script.
import { createHash } from "node:crypto";
import Handlebars from "handlebars";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { assert } from "../../runtime/core/errors.ts";
import type { PlannedFile, PlannedSecret } from "../plan/plan.ts";

/**
 * The text of one file.
 * `templates`: file name in templates/ -> its text. `password`: the cluster's, when the plan was made with one.
 */
export function renderFile(
  file: PlannedFile,
  templates: ReadonlyMap<string, string>,
  password?: string,
): string {
  const text = templates.get(file.template);
  assert(text !== undefined, `the template ${file.template} of ${file.path} exists`);
  const secrets = Object.fromEntries(
    Object.entries(file.secrets).map(([name, secret]) => [name, secretText(secret, password)]),
  );
  return compiled(text)({ ...file.values, secrets });
}

const handlebars = Handlebars.create();
handlebars.registerHelper({
  redis: (value: unknown) => quoteForRedis(String(value)),
  sh: (value: unknown) => quoteForShell(String(value)),
});

const compilations = new Map<string, Handlebars.TemplateDelegate>();

function compiled(text: string): Handlebars.TemplateDelegate {
  const known = compilations.get(text);
  if (known !== undefined) return known;
  const template: Handlebars.TemplateDelegate = handlebars.compile(text, {
    strict: true,
    noEscape: true,
  });
  compilations.set(text, template);
  return template;
}

function secretText(secret: PlannedSecret, password: string | undefined): string {
  const credentials = credentialsOf(secret.user, password);
  assert(credentials !== undefined, "a plan with secrets is rendered with the password");
  if (secret.form === "plain") return credentials.password;
  return createHash("sha256").update(credentials.password).digest("hex");
}

/** As redis.conf's own splitter (sdssplitargs) reads it: bare where that is safe, else in double quotes. */
export function quoteForRedis(value: string): string {
  if (/^[A-Za-z0-9._:/@%+,=-]+$/.test(value)) return value;
  const escaped = value
    .replace(/["\\]/g, "\\$&")
    .replace(/[^\x20-\x7e]/gu, (character) => hexBytes(character));
  return `"${escaped}"`;
}

function hexBytes(character: string): string {
  const bytes = new TextEncoder().encode(character);
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** One word of a POSIX shell. */
export function quoteForShell(value: string): string {
  if (/^[A-Za-z0-9._:/@%+,=-]+$/.test(value)) return value;
  return `'${value.replaceAll("'", `'\\''`)}'`;
}
