// command-page.ts: the table of Redis's commands in docs/commands.md, read back.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescribedCommand } from "../../runtime/route/commands/describe.ts";
import { ROOT } from "./source-files.ts";

export function readCommandPage(): DescribedCommand[] {
  const page = readFileSync(join(ROOT, "docs/commands.md"), "utf8");
  const [, table = ""] = /<!-- commands: begin -->([^]*)<!-- commands: end -->/.exec(page) ?? [];
  return table
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (command|-+) /.test(line))
    .map((line) => {
      const [name = "", answer = "", remark = ""] = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      return { name, answer, remark };
    });
}
