// command-table.ts: writes the table of Redis's commands in docs/commands.md from the router's own rules, for the commands of
// redis-server 7.0.15. Run: node scripts/command-table.ts
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { format, resolveConfig } from "prettier";
import { decodeReply } from "../runtime/resp/decode.ts";
import { parseCommandTable } from "../runtime/route/commands/command-table.ts";
import { describeTable } from "../runtime/route/commands/describe.ts";
import { ROOT } from "./steps.ts";

const PAGE = join(ROOT, "docs/commands.md");
const COMMANDS = join(ROOT, "test/cases/command-7.0.15.resp.gz");
const [BEGIN, END] = ["<!-- commands: begin -->", "<!-- commands: end -->"];

const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(COMMANDS))));
const rows = describeTable(table).map(
  ({ name, answer, remark }) => `| ${name} | ${answer} | ${remark} |`,
);
const page = readFileSync(PAGE, "utf8");
const [before, rest] = page.split(BEGIN);
const after = rest?.split(END)[1];
if (before === undefined || after === undefined) {
  throw new Error(`docs/commands.md has no ${BEGIN} and ${END}`);
}
const lines = [BEGIN, "", "| command | answer | remark |", "| - | - | - |", ...rows, "", END];
const options = { ...(await resolveConfig(PAGE)), filepath: PAGE };
writeFileSync(PAGE, await format(before + lines.join("\n") + after, options));
process.stdout.write(`docs/commands.md: ${rows.length} commands\n`);
