// read-template.ts: the text of one of Twine's own templates; pure rooms get it handed in.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./package-root.ts";

/** `name` as in templates/, e.g. "status.html.hbs". */
export function readTemplate(name: string): string {
  return readFileSync(join(packageRoot(), "templates", name), "utf8");
}
