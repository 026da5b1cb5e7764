// before-seven.ts: what COMMAND omits on a server before Redis 7.0, as 7.0 reports it. Pure, a table.
// Such a server lists no subcommands and has no flag for blocking commands. It has only a first key, a last key and a
// step, which are not enough where a count or a word precedes the keys.

/** Where the keys are: at an index; after a count at an index; or the first half of the arguments after STREAMS. */
export type OldKeys =
  | { readonly kind: "at"; readonly index: number }
  | { readonly kind: "counted"; readonly index: number }
  | { readonly kind: "streams"; readonly startFrom: number };

const single = (index: number): OldKeys => ({ kind: "at", index });
const counted = (index: number): OldKeys => ({ kind: "counted", index });
const streams = (startFrom: number): OldKeys => ({ kind: "streams", startFrom });

/** By command; a subcommand is "memory|usage". For all others COMMAND has the right keys. */
export const OLD_KEYS: ReadonlyMap<string, readonly OldKeys[]> = new Map<
  string,
  readonly OldKeys[]
>([
  ["memory|usage", [single(2)]],
  ...["encoding", "freq", "idletime", "refcount"].map((sub): [string, readonly OldKeys[]] => [
    `object|${sub}`,
    [single(2)],
  ]),
  ["eval", [counted(2)]],
  ["evalsha", [counted(2)]],
  ["xread", [streams(1)]],
  ["xreadgroup", [streams(4)]],
  ["zdiff", [counted(1)]],
  ["zinter", [counted(1)]],
  ["zunion", [counted(1)]],
  ["zdiffstore", [single(1), counted(2)]],
  ["zinterstore", [single(1), counted(2)]],
  ["zunionstore", [single(1), counted(2)]],
]);

export const OLD_BLOCKING: ReadonlySet<string> = new Set([
  ...["blpop", "brpop", "brpoplpush", "blmove", "bzpopmin", "bzpopmax"],
  ...["xread", "xreadgroup", "wait"],
]);

/** By command: its subcommands with their arity. Not needed for commands that a router executes or refuses as a whole. */
export const OLD_SUBCOMMANDS: ReadonlyMap<string, Readonly<Record<string, number>>> = new Map([
  [
    "acl",
    {
      ...{ cat: -2, deluser: -3, genpass: -2, getuser: 3, help: 2, list: 2, load: 2 },
      ...{ log: -2, save: 2, setuser: -3, users: 2, whoami: 2 },
    },
  ],
  ["config", { get: 3, help: 2, resetstat: 2, rewrite: 2, set: 4 }],
  ["latency", { doctor: 2, graph: 3, help: 2, history: 3, latest: 2, reset: -2 }],
  ["memory", { doctor: 2, help: 2, "malloc-stats": 2, purge: 2, stats: 2, usage: -3 }],
  ["module", { help: 2, list: 2, load: -3, unload: 3 }],
  ["object", { encoding: 3, freq: 3, help: 2, idletime: 3, refcount: 3 }],
  ["pubsub", { channels: -2, help: 2, numpat: 2, numsub: -2 }],
  ["script", { debug: 3, exists: -3, flush: -2, help: 2, kill: 2, load: 3 }],
  ["slowlog", { get: -2, help: 2, len: 2, reset: 2 }],
]);
