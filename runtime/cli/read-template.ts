// read-template.ts: reads one of Twine's own templates; pure rooms get its text as an argument.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./package-root.ts";

/** `name`: its file name in templates/, e.g. "status.html.hbs". */
export function readTemplate(name: string): string {
  return readFileSync(join(packageRoot(), "templates", name), "utf8");
}
