// routing.ts: what must happen to a command and where a key must lie, as tables that every routing suite reads: the pure
// route, the router, the client and `twine`.

export interface RoutingCase {
  readonly command: string;
  /** forward: by its keys, which are given. refuse: with a text that begins so. */
  readonly expect:
    | { readonly kind: "forward"; readonly keys: string; readonly isRead: boolean }
    | { readonly kind: "split" | "scan" | "session" | "ask-keys" | "router-info" | "own" }
    | { readonly kind: "blocking"; readonly keys: string; readonly isRead: boolean }
    | { readonly kind: "answer"; readonly reply: string }
    | { readonly kind: "gather"; readonly gather: string }
    | { readonly kind: "any"; readonly becomes?: string }
    | { readonly kind: "refuse"; readonly text: string };
}

const read = (keys: string): RoutingCase["expect"] => ({ kind: "forward", keys, isRead: true });
const write = (keys: string): RoutingCase["expect"] => ({ kind: "forward", keys, isRead: false });
const refuse = (text: string): RoutingCase["expect"] => ({ kind: "refuse", text });
const gather = (how: string): RoutingCase["expect"] => ({ kind: "gather", gather: how });
const row = (command: string, expect: RoutingCase["expect"]): RoutingCase => ({ command, expect });

/** Words are parted by one space. */
export const ROUTING_CASES: readonly RoutingCase[] = [
  row("GET a", read("a")),
  row("gEt a", read("a")),
  row("SET a 1 EX 10", write("a")),
  row("PFCOUNT a b", read("a b")),
  row("RENAME a b", write("a b")),
  row("SMOVE a b c", write("a b")),
  row("BITOP AND dst a b", write("dst a b")),
  row("MSETNX a 1 b 2", write("a b")),
  row("ZUNIONSTORE dst 2 a b WEIGHTS 1 2", write("dst a b")),
  row("ZUNION 2 a b", read("a b")),
  row("SINTERCARD 2 a b LIMIT 1", read("a b")),
  row("LMPOP 2 a b LEFT", write("a b")),
  row("OBJECT ENCODING a", read("a")),
  row("MEMORY USAGE a", read("a")),
  row("XINFO STREAM a", read("a")),
  row("XGROUP CREATE a g 0", write("a")),
  row("XREAD COUNT 1 STREAMS a b 0 0", read("a b")),
  row("XREAD STREAMS block 0", read("block")),
  row("XREAD COUNT streams STREAMS a 0", read("a")),
  row("XREADGROUP NOACK GROUP block streams STREAMS a >", write("a")),
  row("XREAD STREAMS a b 0", { kind: "any" }),
  row("XREAD BLOCK 0 STREAMS a 0", { kind: "blocking", keys: "a", isRead: true }),
  row("XREADGROUP GROUP g c STREAMS a >", write("a")),
  row("SORT a", write("a")),
  row("SORT a LIMIT 0 5 ASC STORE b", write("a b")),
  row("SORT a BY nosort GET #", write("a")),
  row("SORT a BY w_*", refuse("ERR twine: 'sort' is not supported")),
  row("SORT a BY w_*->{t}", refuse("ERR twine: 'sort' is not supported")),
  row("SORT_RO a GET *{t}", refuse("ERR twine: 'sort_ro' is not supported")),
  row("SORT {t}a BY w{t}_*->f GET # GET {t}_*", write("{t}a w{t}_*->f {t}_*")),
  row("SORT_RO {t}a BY {t}_*", read("{t}a {t}_*")),
  row("GEORADIUS a 1 1 1 km STORE b", write("a b")),
  row("COPY a b", write("a b")),
  row("COPY a b DB 1", refuse("ERR twine: 'copy' is not supported")),
  row("EVAL s 2 a b x", write("a b")),
  row("EVAL_RO s 1 a", read("a")),
  row("EVAL s 0 x", { kind: "any", becomes: "EVAL_RO s 0 x" }),
  row("EVAL s nonsense", { kind: "any" }),
  row("EVAL s 9 a", { kind: "any" }),
  row("MGET a b", { kind: "split" }),
  row("MSET a 1 b 2", { kind: "split" }),
  row("MSET a 1 b", refuse("ERR wrong number of arguments for 'mset' command")),
  row("DEL a", { kind: "split" }),
  row("UNLINK a b", { kind: "split" }),
  row("EXISTS a a", { kind: "split" }),
  row("TOUCH a", { kind: "split" }),
  row("DBSIZE", gather("sum")),
  row("KEYS *", gather("concat")),
  row("SLOWLOG GET 3", gather("slowlog")),
  row("SLOWLOG LEN", gather("sum")),
  row("SLOWLOG RESET", gather("same")),
  row("LASTSAVE", gather("least")),
  row("BGSAVE", gather("same")),
  row("FLUSHALL", gather("same")),
  row("FLUSHDB ASYNC", gather("same")),
  row("RANDOMKEY", gather("randomkey")),
  row("INFO", gather("info")),
  row("INFO all", gather("info")),
  row("INFO router", { kind: "router-info" }),
  row("INFO router keyspace", gather("info")),
  row("SCRIPT LOAD s", gather("same")),
  row("SCRIPT EXISTS x", gather("and")),
  row("SCRIPT KILL", refuse("ERR twine: 'script kill' is not supported")),
  row("SCAN 0", { kind: "scan" }),
  row("HSCAN a 0", read("a")),
  row("SSCAN a 0 COUNT 5", read("a")),
  row("PING", { kind: "session" }),
  row("ACL WHOAMI", { kind: "session" }),
  row("ACL SETUSER x", refuse("ERR twine: 'acl setuser' is not supported: users are")),
  row("ACL CAT", { kind: "any" }),
  row("ROLE", { kind: "answer", reply: "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" }),
  row("MODULE LIST", { kind: "any" }),
  row("LATENCY HELP", { kind: "any" }),
  row("LATENCY LATEST", refuse("ERR twine: 'latency latest' is not supported")),
  row("MEMORY STATS", refuse("ERR twine: 'memory stats' is not supported: it speaks to one")),
  row("HELLO 3", { kind: "session" }),
  row("CLIENT ID", { kind: "session" }),
  row("SELECT 1", { kind: "session" }),
  row("TIME", { kind: "any" }),
  row("COMMAND", { kind: "any" }),
  row("COMMAND DOCS get", { kind: "any" }),
  row("CONFIG GET save", { kind: "any" }),
  row("CONFIG SET save x", refuse("ERR twine: 'config set' is not supported")),
  row("MULTI", { kind: "own" }),
  row("WATCH a", { kind: "own" }),
  row("SUBSCRIBE a", { kind: "own" }),
  row("PUBLISH a b", write("a")),
  row("SPUBLISH a b", write("a")),
  row("PUBSUB NUMSUB a", gather("pairs")),
  row("PUBSUB CHANNELS", gather("concat")),
  row("BLPOP a 0", { kind: "blocking", keys: "a", isRead: false }),
  row("BLMPOP 0 1 a LEFT", { kind: "blocking", keys: "a", isRead: false }),
  row("MONITOR", refuse("ERR twine: 'monitor' is not supported")),
  row("DEBUG SLEEP 0", refuse("ERR twine: 'debug' is not supported")),
  row("SHUTDOWN", refuse("ERR twine: 'shutdown' is not supported")),
  row("REPLICAOF a 1", refuse("ERR twine: 'replicaof' is not supported")),
  row("CLUSTER NODES", refuse("ERR twine: 'cluster nodes' is not supported")),
  row("SWAPDB 0 1", refuse("ERR twine: 'swapdb' is not supported")),
  row("WAIT 0 0", { kind: "own" }),
  row("GET", refuse("ERR wrong number of arguments for 'get' command")),
  row("GET a b", refuse("ERR wrong number of arguments for 'get' command")),
  row("FOO a b", refuse("ERR unknown command 'FOO', with args beginning with: 'a' 'b' ")),
  row("OBJECT FOO a", refuse("ERR unknown subcommand 'FOO'. Try OBJECT HELP.")),
];

/** Of 3 partitions, the one of each key. Computed by Python's zlib.crc32 and binascii.crc_hqx, and by twemproxy's
    rule, for which bytes from 128 on are negative. */
export interface PlaceCases {
  readonly hash: "crc32" | "crc16" | "twemproxy-fnv1a_64";
  readonly hashTag: string | undefined;
  readonly places: Readonly<Record<string, number>>;
}

export const PLACES_PARTITIONS = 3;
export const PLACE_CASES: readonly PlaceCases[] = [
  {
    hash: "crc32",
    hashTag: undefined,
    places: {
      apple: 2,
      "user:1": 0,
      "user:2": 1,
      a: 0,
      b: 2,
      c: 0,
      naïve: 0,
      "{u}a": 0,
      "{u}b": 1,
      "x{u}": 2,
      "{}y": 0,
      "{{v}}": 0,
    },
  },
  {
    hash: "crc32",
    hashTag: "{}",
    places: {
      apple: 2,
      "user:1": 0,
      "user:2": 1,
      a: 0,
      b: 2,
      c: 0,
      naïve: 0,
      "{u}a": 0,
      "{u}b": 0,
      "x{u}": 0,
      "{}y": 0,
      "{{v}}": 2,
    },
  },
  {
    hash: "crc16",
    hashTag: "{}",
    places: {
      apple: 1,
      "user:1": 0,
      "user:2": 1,
      a: 1,
      b: 1,
      c: 1,
      naïve: 1,
      "{u}a": 0,
      "{u}b": 0,
      "x{u}": 0,
      "{}y": 2,
      "{{v}}": 0,
    },
  },
  {
    hash: "twemproxy-fnv1a_64",
    hashTag: undefined,
    places: {
      apple: 2,
      "user:1": 1,
      "user:2": 1,
      a: 1,
      b: 1,
      c: 1,
      naïve: 1,
      "{u}a": 1,
      "{u}b": 1,
      "x{u}": 2,
      "{}y": 1,
      "{{v}}": 2,
    },
  },
];

/** In this order, on an empty cluster; words parted by one space. The reply in lines as redis-cli prints it when nobody
    looks: a null is an empty line, an array one line for each element. */
export const SPLIT_CASES: readonly (readonly [command: string, lines: readonly string[]])[] = [
  ["MSET apple 1 user:1 2 user:2 3 a 4 b 5 c 6", ["OK"]],
  ["MGET c none b apple user:2 user:1 a apple", ["6", "", "5", "1", "3", "2", "4", "1"]],
  ["EXISTS apple apple user:1 none c", ["4"]],
  ["TOUCH a b c none", ["3"]],
  ["DBSIZE", ["6"]],
  ["DEL a b none", ["2"]],
  ["UNLINK c c user:1", ["2"]],
  ["MGET a b c user:1 user:2", ["", "", "", "", "3"]],
  ["DBSIZE", ["2"]],
  ["FLUSHALL", ["OK"]],
  ["DBSIZE", ["0"]],
];
