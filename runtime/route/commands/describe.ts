// describe.ts: how a router handles each command, in words: the table of docs/commands.md. Pure.
// It uses the rules of policy.ts, so the page and the router can't differ.
import type { CommandSpec, CommandTable } from "./command-table.ts";
import { ruleOf, type Gather, type Rule } from "./policy.ts";
import { refusedClientReason } from "../session/session-client.ts";

export interface DescribedCommand {
  /** As it is typed, in capitals: XGROUP CREATE. */
  readonly name: string;
  /** One or two words; docs/commands.md explains them. */
  readonly answer: string;
  /** A remark, or the reason of a refusal; may be empty. */
  readonly remark: string;
}

/** Every command and subcommand of the table, by name. A command that needs a subcommand is not listed itself. */
export function describeTable(table: CommandTable): DescribedCommand[] {
  return [...table.values()]
    .flatMap((spec) => {
      const isOnlyContainer = spec.subcommands.size > 0 && spec.arity < -1;
      return [...(isOnlyContainer ? [] : [spec]), ...spec.subcommands.values()];
    })
    .map(describe)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function describe(spec: CommandSpec): DescribedCommand {
  const [command = "", sub = ""] = spec.name.split("|");
  const name = spec.name.replace("|", " ").toUpperCase();
  const unheard = command === "client" ? refusedClientReason(sub) : undefined;
  if (unheard !== undefined) return { name, answer: "refused", remark: unheard };
  const rule = ruleOf(spec);
  const remark = [remarkOf(rule), REMARKS[spec.name] ?? ""].filter((text) => text !== "");
  return { name, answer: answerOf(rule, spec), remark: remark.join("; ") };
}

function answerOf(rule: Rule, spec: CommandSpec): string {
  switch (rule.kind) {
    case "session":
    case "answer":
      return "router";
    case "keys":
      return hasOneKey(spec) ? "forwarded" : "one partition";
    case "cursor":
    case "channel":
      return "forwarded";
    case "script":
      return "one partition";
    case "split":
      return "split";
    case "gather":
      return GATHERED[rule.gather];
    case "scan":
      return "in turn";
    case "any":
    case "settings":
      return "any";
    case "own":
      return "own connection";
    case "blocking":
      return "own connection";
    case "refuse":
      return "refused";
  }
}

const GATHERED: Readonly<Record<Gather, string>> = {
  sum: "added",
  pairs: "added",
  least: "least",
  concat: "joined",
  slowlog: "joined",
  same: "everywhere",
  and: "everywhere",
  info: "added",
  randomkey: "at random",
};

function hasOneKey({ keys }: CommandSpec): boolean {
  const [only, ...more] = keys;
  return more.length === 0 && only?.find.kind === "range" && only.find.lastKey === 0;
}

function remarkOf(rule: Rule): string {
  switch (rule.kind) {
    case "refuse":
      return rule.reason;
    case "cursor":
      return "the cursor is marked with the master that gave it: another one begins the key again";
    case "channel":
      return "to the partition of its channel";
    case "blocking":
      return "in one partition";
    case "script":
      return `without keys to any partition as ${rule.readOnly}: it may not write then`;
    case "settings":
      return "passwords are shown empty";
    default:
      return "";
  }
}

/** By name, as in the table. */
const REMARKS: Readonly<Record<string, string>> = {
  bgsave: "each partition's master",
  bgrewriteaof: "each partition's master",
  "client|list": "the clients of this router process",
  "client|no-evict": "without effect",
  copy: "DB is refused: a partition has one database, and it is 0 here",
  evalsha: "NOSCRIPT after a failover as in Redis: masters don't pass scripts on",
  flushall: "as FLUSHDB: other databases of the nodes are not this cluster's",
  info: "also the section `router`; what does not add up is the first partition's",
  msetnx: "all or nothing, hence not split",
  pfcount: "one count of several keys can't be added up of several",
  randomkey: "every key as likely as any other",
  role: "master, without replicas",
  scan: "partition after partition; a partition whose master changed begins again",
  "script|exists": "1 where every partition has it",
  select: "0 alone",
  "slowlog|get": "newest first; ids are made unique",
  sort: "BY and GET with a pattern need a hash tag before the asterisk",
  sort_ro: "BY and GET with a pattern need a hash tag before the asterisk",
  xread: "with BLOCK on a connection of its own",
  xreadgroup: "with BLOCK on a connection of its own",
};
