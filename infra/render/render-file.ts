// render-file.ts: renders the text of a planned file from its template. Pure: the templates' texts and the password are
// inputs.
// A value that the template names and the plan lacks is a bug and throws; nothing is escaped as HTML. Quoting is explicit:
// {{redis value}} for redis.conf, {{sh value}} for a shell script.
import { createHash } from "node:crypto";
import Handlebars from "handlebars";
import { derived, passwordsOf, type Secret } from "../../runtime/core/credentials.ts";
import { TwineError, assert } from "../../runtime/core/errors.ts";
import type { PlannedFile, PlannedSecret } from "../plan/plan.ts";

/**
 * The text of one file. `templates`: file name in templates/ -> its text. `password`: the cluster's, when the plan was made
 * with one.
 */
export function renderFile(
  file: PlannedFile,
  templates: ReadonlyMap<string, string>,
  password?: Secret,
): string {
  const text = templates.get(file.template);
  assert(text !== undefined, `the template ${file.template} of ${file.path} exists`);
  const secrets = Object.fromEntries(
    Object.entries(file.secrets).map(([name, secret]) => [name, secretText(secret, password)]),
  );
  const partials = text.includes("{{> ") ? { partials: Object.fromEntries(templates) } : {};
  return compiled(text)({ ...file.values, secrets }, partials);
}

const handlebars = Handlebars.create();
handlebars.registerHelper({
  redis: (value: unknown) => quoteForRedis(String(value)),
  sh: (value: unknown) => quoteForShell(String(value)),
  join: (left: unknown, right: unknown) => `${String(left)}${String(right)}`,
  // A JSON string is a valid YAML string.
  yaml: (value: unknown) => JSON.stringify(String(value)),
  monit: (value: unknown) => quoteForMonit(String(value)),
  monitCommand: (words: unknown) => monitCommand(words as readonly string[]),
  systemd: (words: unknown) => (words as readonly string[]).map(quoteForSystemd).join(" "),
  systemdValue: (value: unknown) => quoteForSystemd(String(value)),
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

/** plain: the password that is used first. lines: each valid password. sha256: a rule for each valid password, as in an ACL
    file. */
function secretText({ user, form }: PlannedSecret, secret: Secret | undefined): string {
  const passwords = passwordsOf(secret).map((password) => derived(user, password));
  const [first] = passwords;
  assert(first !== undefined, "a plan with secrets is rendered with the password");
  if (form === "plain") return first;
  if (form === "lines") return passwords.join("\n");
  const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");
  return passwords.map((password) => `#${digestOf(password)}`).join(" ");
}

/** Quoted for redis.conf's own splitter (sdssplitargs): bare if that is safe, otherwise in double quotes. */
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

/** A monit string: it has no escapes, so a text with both kinds of quotes can't be written. */
export function quoteForMonit(text: string): string {
  if (!text.includes('"')) return `"${text}"`;
  if (!text.includes("'")) return `'${text}'`;
  throw unwritable("monit", text);
}

/** A program with its arguments, one string in which words with spaces stand in single quotes. */
export function monitCommand(words: readonly string[]): string {
  const bad = words.find((word) => /["']/.test(word));
  if (bad !== undefined) throw unwritable("monit", bad);
  return `"${words.map((word) => (/^[^\s]+$/.test(word) ? word : `'${word}'`)).join(" ")}"`;
}

/** One word of a unit's command line or a value: systemd expands % and $ and reads C escapes (systemd.syntax(7)). */
export function quoteForSystemd(word: string): string {
  if (/[\n\r\0]/.test(word)) throw unwritable("systemd", word);
  const escaped = word.replaceAll("%", "%%").replaceAll("$", "$$$$").replace(/["\\]/g, "\\$&");
  return /^[A-Za-z0-9._:/@%+,=$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

function unwritable(program: string, text: string): TwineError {
  return new TwineError({
    code: "RENDER_UNWRITABLE",
    message: `the configuration of ${program} can't hold the text ${JSON.stringify(text)}`,
    remedy: "use a folder without quotes and line breaks in its path",
  });
}

/** One word of a POSIX shell. */
export function quoteForShell(value: string): string {
  if (/^[A-Za-z0-9._:/@%+,=-]+$/.test(value)) return value;
  return `'${value.replaceAll("'", `'\\''`)}'`;
}
