// diff-settings.ts: the differences between two twine.conf, setting by setting, as text. Pure.
import type { Settings } from "../../runtime/core/cluster.ts";
import { DIRECTIVES } from "../../runtime/core/conf/directives.ts";
import type { Change } from "./diff-nodes.ts";

/** Settings that decide which partition a key belongs to. */
const ROUTING = ["partitions", "hash", "hash-tag"];
/** Redis refuses `CONFIG SET` for these (7.0 to 8.2): a node reads them only when it starts. */
const AT_START = new Set([
  ...["always-show-logo", "crash-log-enabled", "crash-memcheck-enabled", "disable-thp"],
  ...["enable-debug-command", "enable-module-command", "enable-protected-configs", "io-threads"],
  ...[
    "io-threads-do-reads",
    "jemalloc-bg-thread",
    "loadmodule",
    "locale-collate",
    "proc-title-template",
  ],
  ...["server-cpulist", "bio-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist", "set-proc-title"],
  ...["server_cpulist", "bio_cpulist", "aof_rewrite_cpulist", "bgsave_cpulist"],
  ...["syslog-enabled", "syslog-facility", "syslog-ident", "tcp-backlog", "use-exit-on-panic"],
]);
const NONE = "(not set)";

/** Whether a data node reads this directive only at its start. */
export function isTakenAtStart(name: string): boolean {
  return AT_START.has(name.toLowerCase());
}

export function diffSettings(before: Settings, after: Settings): Change[] {
  return DIRECTIVES.flatMap((directive) => {
    const [old, now] = [directive.print(before), directive.print(after)];
    if (old.join("\n") === now.join("\n")) return [];
    if (directive.name === "redis") return diffRedis(old, now);
    const text = `${directive.name}: ${valueOf(old)} -> ${valueOf(now)}`;
    const danger = dangerOf(directive.name);
    return [setting(directive.name, text, danger)];
  });
}

/** Whether keys change partition. */
export function isRoutingChange({ kind, subject }: Change): boolean {
  return kind === "setting" && ROUTING.includes(subject);
}

function dangerOf(name: string): Change["danger"] {
  if (ROUTING.includes(name)) {
    return {
      why: "keys change partition, and a running cluster does not take this over from twine.conf",
      remedy:
        "on plain hosts: keep this line, and write a NEW.conf for twine-reshard (docs/reshard.md); with Pulumi: take a backup (twine-backup), make a new stack from the new file (pulumi up), and load it there (twine-restore FOLDER-OF-THE-BACKUP, docs/backup.md); what is written after the backup is not in it",
    };
  }
  if (name !== "cluster") return undefined;
  return {
    why: "it is the name of another cluster: its nodes refuse this one's data",
    remedy: "keep the name, or move the keys into the new cluster",
  };
}

/** By name: a directive may be repeated, and then the order of its lines matters. */
function diffRedis(old: readonly string[], now: readonly string[]): Change[] {
  const [before, after] = [byDirective(old), byDirective(now)];
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before.get(name) ?? [], after.get(name) ?? []];
    if (was.join("\n") === is.join("\n")) return [];
    const text = `redis ${name}: ${valueOf(was)} -> ${valueOf(is)}: ${howTaken(name, is)}`;
    return [setting(`redis ${name}`, text, undefined)];
  });
}

function howTaken(name: string, values: readonly string[]): string {
  if (isTakenAtStart(name)) return "a data node takes it when it starts";
  if (name !== "appendonly") return "Redis can change it while it runs";
  // Redis loads only one kind of file at its start.
  return values.at(-1) === "yes"
    ? "switched while the node runs; it does not restart before the append only file is complete"
    : "switched while the node runs, once an RDB has all data";
}

function byDirective(lines: readonly string[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const line of lines) {
    const space = line.indexOf(" ");
    const name = line.slice(0, space).toLowerCase();
    values.set(name, [...(values.get(name) ?? []), line.slice(space + 1)]);
  }
  return values;
}

function valueOf(values: readonly string[]): string {
  return values.length === 0 ? NONE : values.join(", ");
}

function setting(subject: string, text: string, danger: Change["danger"]): Change {
  return { kind: "setting", subject, text, ...(danger === undefined ? {} : { danger }) };
}
