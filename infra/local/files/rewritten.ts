// rewritten.ts: files in which the process itself records the master: redis.conf under Sentinel, sentinel.conf,
// nutcracker.yml. Pure.
//
//   plan's text as at the last run    on the disk    what happens
//   the same                          anything       kept: the process's notes are newer
//   another, or --overwrite           nothing        written
//   another, or --overwrite           a text         written, with the process's notes
//
// Without the last rule a new `redis` line would restore the first master, perhaps days after it lost that role.
import { digestOf } from "./hand-edit.ts";

export interface Rewritten {
  readonly decision: "write" | "same";
  readonly text: string;
}

export function decideRewritten(input: {
  readonly planned: string;
  readonly existing: string | undefined;
  /** Digests of the plan's texts that were written. */
  readonly remembered: readonly string[];
  readonly overwrite: boolean;
}): Rewritten {
  const { planned, existing, remembered, overwrite } = input;
  if (existing === undefined) return { decision: "write", text: planned };
  const isKnown = remembered.includes(digestOf(planned));
  if (isKnown && !overwrite) return { decision: "same", text: existing };
  return { decision: "write", text: withNotes(planned, existing) };
}

/** The plan's text with the masters, and other state that the process needs, from the text on the disk. */
export function withNotes(planned: string, existing: string): string {
  if (/^sentinel monitor /m.test(planned)) return withSentinelNotes(planned, existing);
  if (/^ {2}servers:$/m.test(planned)) return withServers(planned, existing);
  return withRole(planned, existing);
}

/** The directives in which Sentinel stores its state. */
const NOTES =
  /^sentinel (myid|config-epoch|leader-epoch|current-epoch|known-replica|known-slave|known-sentinel) .*$/gm;
const REPLICA = /^sentinel known-replica (\S+) .*\n/gm;
const MONITOR = /^sentinel monitor (\S+) (\S+ \S+) \S+$/gm;

function withSentinelNotes(planned: string, existing: string): string {
  const masters = new Map(
    [...existing.matchAll(MONITOR)].map(([, name = "", address = ""]) => [name, address]),
  );
  const known = new Set([...planned.matchAll(MONITOR)].map(([, name]) => name));
  const bare = planned.replace(REPLICA, (line: string, name: string) =>
    masters.has(name) ? "" : line,
  );
  const text = bare.replace(MONITOR, (line: string, name: string, address: string) =>
    line.replace(` ${address} `, ` ${masters.get(name) ?? address} `),
  );
  const isOfKnown = (line: string): boolean => {
    const [, word = "", name] = line.split(" ");
    return word === "myid" || word === "current-epoch" || known.has(name);
  };
  const notes = (existing.match(NOTES) ?? []).filter(isOfKnown);
  return notes.length === 0 ? text : `${text}\n${notes.join("\n")}\n`;
}

const SERVER = /^ +- *"?\S+:\d+:\d+ +(\S+?)"?$/gm;

function withServers(planned: string, existing: string): string {
  const lines = new Map([...existing.matchAll(SERVER)].map(([line, name = ""]) => [name, line]));
  return planned.replace(SERVER, (line: string, name: string) => lines.get(name) ?? line);
}

const ROLE = /^(replicaof|slaveof) .*\n/m;

function withRole(planned: string, existing: string): string {
  const role = ROLE.exec(existing)?.[0] ?? "";
  // CONFIG REWRITE puts the line anywhere; ours belongs below the comment about it.
  const bare = planned.replace(ROLE, "");
  return bare.replace(
    /^# The first node of each partition begins as master.*\n/m,
    (line) => line + role,
  );
}
