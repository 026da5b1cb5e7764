// describe.test.ts: docs/commands.md says of each command what the router does with it, and decide() does that.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import {
  parseCommandTable,
  type CommandSpec,
} from "../../../runtime/route/commands/command-table.ts";
import { decide } from "../../../runtime/route/decide.ts";
import { describeTable } from "../../../runtime/route/commands/describe.ts";
import { answerSession } from "../../../runtime/route/session/session.ts";
import { openSession } from "../../../runtime/route/session/session-state.ts";
import { readCommandPage } from "../../support/command-page.ts";

const file = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(file))));
const described = describeTable(table);

test("docs/commands.md is what scripts/command-table.ts writes from the rules", () => {
  // Differs? Run: node scripts/command-table.ts
  expect(readCommandPage()).toEqual(described);
});

test("every command of the table and every subcommand is described once", () => {
  const names = [...table.values()].flatMap((spec) =>
    spec.subcommands.size === 0
      ? [spec.name]
      : [...spec.subcommands.values()].map((one) => one.name),
  );
  const shown = described.map(({ name }) => name.toLowerCase().replace(" ", "|"));
  expect(shown).toEqual([...new Set(shown)]);
  expect(names.filter((name) => !shown.includes(name))).toEqual([]);
  expect(shown.filter((name) => !names.includes(name))).toEqual(["command"]);
});

/** What decide() may say of a command that is described so. Malformed samples go to any node, which knows the words. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  forwarded: ["forward", "any"],
  "one partition": ["forward", "any"],
  split: ["split"],
  everywhere: ["gather"],
  added: ["gather"],
  least: ["gather"],
  joined: ["gather"],
  "at random": ["gather"],
  "in turn": ["scan"],
  any: ["any"],
  "own connection": ["own", "blocking", "any"],
  router: ["session", "answer"],
  refused: ["refusal"],
};

test("the router does with each command what is described", () => {
  const different = described.flatMap(({ name, answer }) => {
    const kind = kindOf(sampleOf(name));
    return KINDS[answer]?.includes(kind) === true ? [] : [`${name}: ${answer}, but ${kind}`];
  });
  expect(different).toEqual([]);
});

function kindOf(args: readonly Buffer[]): string {
  const decision = decide(args, { table, partitions: 3 });
  const context = { password: undefined, redisVersion: "7.0.15" };
  const reply =
    decision.kind === "session"
      ? answerSession(openSession(1, "a", false), args, context).reply
      : decision.kind === "reply"
        ? decision.reply
        : undefined;
  if (reply?.toString().includes("is not supported") === true) return "refusal";
  return decision.kind === "reply" ? "answer" : decision.kind;
}

/** As few arguments as it takes, all of them 1; database 1 is refused, though. */
function sampleOf(name: string): Buffer[] {
  const words = name.toLowerCase().split(" ");
  const [command = "", sub = ""] = words;
  const spec = table.get(command);
  const found: CommandSpec | undefined = spec?.subcommands.get(sub) ?? spec;
  while (words.length < Math.abs(found?.arity ?? 0)) words.push(command === "select" ? "0" : "1");
  return words.map((word) => Buffer.from(word));
}
