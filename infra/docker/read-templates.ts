// read-templates.ts: reads the templates of configuration files, by name.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** `home`: Twine's own folder. */
export function readTemplates(home: string): Map<string, string> {
  const folder = join(home, "templates");
  const names = readdirSync(folder).filter((name) => name.endsWith(".hbs"));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}
