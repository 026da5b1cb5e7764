// compared-commands.ts: commands that a router over several partitions must answer byte for byte as one Redis that has the
// same data, one after the other. Words are parted by one space; a word in <angles> stands for a reply or a text below.
// Containers hold one member, or numbers, wherever Redis would otherwise choose an order or a member at random.
import { createHash } from "node:crypto";
import { COMPARED_TYPES, linesOf } from "./compared-types.ts";

const GET_SCRIPT = "return redis.call('GET', KEYS[1])";

/** Longer words, with spaces and line ends in them. */
export const WORDS: Readonly<Record<string, string>> = {
  "<get>": GET_SCRIPT,
  "<two>": "return {KEYS[1], KEYS[2], ARGV[1]}",
  "<write>": "return redis.call('SET', KEYS[1], ARGV[1])",
  "<sha>": createHash("sha1").update(GET_SCRIPT).digest("hex"),
  "<library>":
    "#!lua name=lib\nredis.register_function('put', function(keys, args) " +
    "return redis.call('SET', keys[1], args[1]) end)\n" +
    "redis.register_function{function_name='say', callback=function(keys, args) " +
    "return args[1] end, flags={'no-writes'}}",
  "<empty>": "",
};

const SCRIPTS = `
SET k1 v
EVAL <get> 1 k1
EVAL <get> 9 k1
EVAL <get> nonsense k1
EVAL_RO <get> 1 k1
EVAL <two> 2 {t}a {t}b c
EVAL <write> 1 k7 w
EVAL_RO <write> 1 k7 w
EVALSHA 0000000000000000000000000000000000000000 1 k1
SCRIPT LOAD <get>
SCRIPT EXISTS <sha> nonsense
EVALSHA <sha> 1 k1
EVALSHA <sha> 1 k2
EVALSHA_RO <sha> 1 k7
SCRIPT FLUSH
SCRIPT EXISTS <sha>
SCRIPT HELP
FUNCTION LOAD <library>
FUNCTION LOAD <library>
FUNCTION LOAD REPLACE <library>
FUNCTION LIST
FUNCTION DUMP
FUNCTION RESTORE nonsense
FUNCTION HELP
FCALL put 1 k1 x
FCALL put 1 k8 y
FCALL_RO put 1 k8 y
FCALL_RO say 1 k8 hello
FCALL say 0 hello
FCALL none 1 k1
FUNCTION DELETE lib
FUNCTION DELETE lib
FUNCTION LOAD nonsense
FUNCTION FLUSH
`;

const SERVER = `
SET k1 v
DBSIZE
EXISTS k1
COMMAND
COMMAND COUNT
COMMAND INFO get mset nonsense
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYSANDFLAGS SET a 1
COMMAND GETKEYS PING
COMMAND LIST FILTERBY PATTERN xread*
COMMAND DOCS get
COMMAND HELP
COMMAND NONSENSE
CONFIG GET maxmemory
CONFIG GET requirepass
CONFIG GET nonsense
CONFIG GET
CONFIG HELP
ACL CAT geo
ACL HELP
ACL NONSENSE
ACL WHOAMI
LATENCY HELP
MODULE LIST
MODULE HELP
PUBLISH channel x
SPUBLISH channel x
PUBSUB CHANNELS
PUBSUB SHARDCHANNELS
PUBSUB NUMSUB a b
PUBSUB SHARDNUMSUB a
PUBSUB NUMPAT
PUBSUB HELP
SLOWLOG LEN
SLOWLOG GET
SLOWLOG GET nonsense
SLOWLOG RESET
SLOWLOG HELP
CLUSTER HELP
ROLE
MEMORY PURGE
ECHO <empty>
ECHO hello
PING
PING hello
SELECT 0
SELECT nonsense
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT NO-EVICT ON
RESET
`;

/** By their subject; each begins on an empty cluster. */
export const COMPARED: Readonly<Record<string, readonly string[]>> = {
  ...COMPARED_TYPES,
  "scripts and functions": linesOf(SCRIPTS),
  "the server": linesOf(SERVER),
};

/** The words of a line, as bytes. */
export function argsOf(line: string): string[] {
  return line.split(" ").map((word) => WORDS[word] ?? word);
}

/** Whose elements come in no order. */
export const UNORDERED =
  /^(KEYS|COMMAND ?(DOCS|LIST|INFO|GETKEYSANDFLAGS|$)|FUNCTION LIST|ACL CAT)/;

/** Not in any list above, and why; router-commands-*.test.ts try them by themselves. */
export const NOT_COMPARED: Readonly<Record<string, string>> = {
  "acl|genpass": "at random",
  lolwut: "at random",
  randomkey: "at random",
  time: "the clock",
  lastsave: "the clock",
  info: "of all partitions, which one Redis has not",
  scan: "a cursor of its own",
  bgsave: "it runs on after its reply",
  bgrewriteaof: "it runs on after its reply",
  flushall: "done between the lists",
  flushdb: "done between the lists",
};
