// docs/commands.md shows how each tool is called; its --help is what the tool takes. Neither may know an option that the other
// does not.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { runCommand } from "../support/run-tool.ts";

/** Described once for all tools; each block names those that matter to its tool. */
const SHARED = new Set(["--conf", "--dir", "--json", "--version", "--help"]);

const page = readFileSync("docs/commands.md", "utf8");
const TOOLS = (["runtime", "infra"] as const).flatMap((room) =>
  readdirSync(`${room}/bin`).map((file) => ({ name: file.replace(/\.ts$/, ""), room })),
);

/** The lines of the first indented block under the tool's heading. */
function usageOf(name: string): string[] {
  const [, section = ""] =
    new RegExp(String.raw`^## ${name}\b(?!-)([^]*?)(?=^## |$(?![^]))`, "m").exec(page) ?? [];
  const [block = ""] = /(^ {4}\S.*\n)+/m.exec(section) ?? [];
  return block.trimEnd().split("\n");
}

const optionsIn = (text: string): Set<string> => new Set(text.match(/(?<![\w-])--[a-z][a-z-]*/g));

const added = (all: ReadonlySet<string>): string[] =>
  [...all].filter((option) => !SHARED.has(option)).toSorted();

test.each(TOOLS)(
  "$name: its usage block names the options of its --help",
  async ({ name, room }) => {
    const usage = usageOf(name);
    for (const line of usage) expect(line.trim().split(" ")[0]).toBe(name);
    const { code, stdout } = await runCommand(
      process.execPath,
      [binPath(name, room), "--help"],
      {},
    );
    expect(code).toBe(0);
    const [, options = ""] = /^Options.*:\n([^]*?)\n\n/m.exec(stdout) ?? [];
    const heads = optionsIn((options.match(/^ {2}-.*?(?= {2}|$)/gm) ?? []).join("\n"));
    const shown = optionsIn(usage.join("\n"));
    expect(added(shown)).toEqual(added(heads));
    expect([...shown].filter((option) => !heads.has(option))).toEqual([]);
  },
);
