// compared-types.ts: the commands on keys and their types, for compared-commands.ts, which says how they are written.

const STRINGS = `
SET k1 1
SET k1 2 GET
SET k1 3 NX
SET k1 3 EX nonsense
SET 5 a
GET k1
GETSET k1 4
GETEX k1 PERSIST
SETNX k1 9
SETNX k2 9
SETEX k3 1000 v
PSETEX k4 1000000 v
SETEX k3 0 v
APPEND k1 5
STRLEN k1
SUBSTR k1 0 0
GETRANGE k1 0 -1
SETRANGE k1 1 x
INCR k2
INCR k1
INCRBY k2 5
DECR k2
DECRBY k2 3
INCRBYFLOAT k2 1.5
GETDEL k2
GET k2
SETBIT bits 7 1
GETBIT bits 7
BITCOUNT bits
BITPOS bits 1
BITFIELD bits SET u8 0 255 GET u4 0
BITFIELD_RO bits GET u8 0
SET {t}x abc
SET {t}y abd
LCS {t}x {t}y IDX
BITOP XOR {t}z {t}x {t}y
GET {t}z
MSETNX {t}p 1 {t}q 2
MSETNX {t}p 1 {t}r 2
MSET k1 1 k2 2 k3 3 k4 4 k5 5
MSET k1 1 k2
MGET k1 none k2 k3 k4 k5 k1
EXISTS k1 k1 none k3
TOUCH k1 k2 none
DEL k1 none k2
UNLINK k3 k3 k4
DBSIZE
KEYS *
GET
GET a b
get {t}x
`;

const KEYS = `
SET {t}x v
SET k1 v
TYPE k1
TYPE none
EXPIRE k1 1000
EXPIRE k1 nonsense
PEXPIRE k1 2000000 GT
EXPIREAT k1 4000000000
EXPIRETIME k1
PEXPIREAT k1 4000000000000
PEXPIRETIME k1
PERSIST k1
TTL k1
PTTL none
COPY {t}x {t}copy
COPY {t}x {t}copy
COPY {t}x {t}copy REPLACE
RENAME {t}copy {t}moved
RENAME {t}copy {t}moved
RENAMENX {t}moved {t}x
DUMP {t}x
DUMP none
RESTORE k9 0 nonsense
OBJECT ENCODING k1
OBJECT REFCOUNT k1
OBJECT FREQ k1
OBJECT IDLETIME none
OBJECT NONSENSE k1
OBJECT HELP
MEMORY USAGE k1
MEMORY USAGE none
MEMORY HELP
RPUSH {t}n 3 1 2
SORT {t}n
SORT {t}n DESC LIMIT 0 2
SORT_RO {t}n
SORT {t}n STORE {t}sorted
MSET {t}w_1 30 {t}w_2 20 {t}w_3 10
SORT {t}n BY {t}w_* GET # GET {t}w_*
SORT_RO {t}n BY {t}w_*
SORT {t}n BY {t}w_* STORE {t}sorted
LRANGE {t}sorted 0 -1
SORT {t}x
`;

const LISTS = `
SET bits x
LPUSH l a b c
RPUSH l d
LPUSHX l e
LPUSHX none e
RPUSHX l f
LLEN l
LINDEX l 0
LINSERT l BEFORE a x
LPOS l a
LRANGE l 0 -1
LREM l 1 a
LSET l 0 z
LSET l 99 z
LTRIM l 0 3
LPOP l
LPOP l 2
RPOP l
RPUSH {t}l 1 2 3 4
LMOVE {t}l {t}m LEFT RIGHT
RPOPLPUSH {t}l {t}m
LMPOP 2 {t}none {t}l LEFT COUNT 2
LMPOP 1 {t}none LEFT
LMPOP 0 {t}none LEFT
LPUSH bits 1
`;

const SETS = `
SADD s 1 2 3
SADD one 1
SCARD s
SISMEMBER s 1
SMISMEMBER s 1 9
SMEMBERS s
SREM s 3 9
SRANDMEMBER one
SRANDMEMBER one -2
SPOP one
SPOP one
SADD {t}s 1 2 3
SADD {t}u 2 3 4
SMOVE {t}s {t}u 1
SINTER {t}s {t}u
SINTERCARD 2 {t}s {t}u LIMIT 1
SINTERCARD nonsense {t}s
SINTERSTORE {t}d {t}s {t}u
SUNION {t}s {t}u
SUNIONSTORE {t}d {t}s {t}u
SDIFF {t}u {t}s
SDIFFSTORE {t}d {t}u {t}s
SSCAN s 0
SSCAN s nonsense
SSCAN none 0 COUNT 5
`;

const HASHES = `
SET k1 v
HSET h f 1
HSET h g 2 i 3
HMSET h j 4
HSETNX h f 9
HGET h f
HMGET h f none g
HGETALL h
HKEYS h
HVALS h
HLEN h
HEXISTS h f
HSTRLEN h f
HINCRBY h f 5
HINCRBYFLOAT h f 0.5
HDEL h g none
HSET one-field f v
HRANDFIELD one-field
HRANDFIELD one-field -2 WITHVALUES
HSCAN h 0 MATCH f COUNT 10
HSET k1 f v
`;

const SORTED_SETS = `
ZADD z 1 a 2 b 3 c
ZADD z XX INCR 5 a
ZADD z NX XX 5 a
ZCARD z
ZCOUNT z -inf +inf
ZSCORE z a
ZMSCORE z a none
ZINCRBY z 1.5 b
ZRANK z a
ZREVRANK z a
ZRANGE z 0 -1 WITHSCORES
ZREVRANGE z 0 -1 WITHSCORES
ZRANGEBYSCORE z 0 10
ZREVRANGEBYSCORE z 10 0
ZADD lex 0 a 0 b 0 c
ZRANGEBYLEX lex - +
ZREVRANGEBYLEX lex + -
ZLEXCOUNT lex - +
ZREMRANGEBYLEX lex [a [a
ZREMRANGEBYSCORE z 6 6
ZREMRANGEBYRANK z 0 0
ZREM z none
ZADD single 1 m
ZRANDMEMBER single
ZRANDMEMBER single -2 WITHSCORES
ZSCAN single 0
ZPOPMIN single
ZPOPMAX lex
ZADD {t}z 1 a 2 b
ZADD {t}v 3 b 4 c
ZUNION 2 {t}z {t}v WITHSCORES
ZINTER 2 {t}z {t}v WITHSCORES
ZINTERCARD 2 {t}z {t}v
ZDIFF 2 {t}z {t}v WITHSCORES
ZUNIONSTORE {t}o 2 {t}z {t}v WEIGHTS 2 3
ZINTERSTORE {t}o 2 {t}z {t}v
ZDIFFSTORE {t}o 2 {t}z {t}v
ZRANGESTORE {t}o {t}z 0 -1
ZMPOP 2 {t}none {t}z MIN
ZUNION 9 {t}z
`;

const GEO_AND_COUNTS = `
GEOADD {t}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEODIST {t}g Palermo Catania km
GEOHASH {t}g Palermo
GEOPOS {t}g Palermo none
GEORADIUS {t}g 15 37 200 km ASC
GEORADIUS {t}g 15 37 200 km STORE {t}gs
GEORADIUS_RO {t}g 15 37 200 km WITHDIST ASC
GEORADIUSBYMEMBER {t}g Palermo 200 km ASC
GEORADIUSBYMEMBER_RO {t}g Palermo 200 km ASC
GEOSEARCH {t}g FROMLONLAT 15 37 BYRADIUS 200 km ASC
GEOSEARCHSTORE {t}gs {t}g FROMLONLAT 15 37 BYRADIUS 200 km
PFADD {t}h1 a b c
PFADD {t}h2 c d
PFCOUNT {t}h1 {t}h2
PFMERGE {t}h3 {t}h1 {t}h2
PFCOUNT {t}h3
`;

const STREAMS = `
XADD st 1-1 f v
XADD st 1-1 f v
XADD st 2-1 f w
XADD {t}st 1-1 f v
XADD {t}st2 1-1 f v
XLEN st
XRANGE st - +
XREVRANGE st + -
XREAD COUNT 1 STREAMS st 0
XREAD STREAMS {t}st {t}st2 0 0
XREAD STREAMS st
XGROUP CREATE st g 0
XGROUP CREATE st g 0
XGROUP CREATECONSUMER st g c
XGROUP SETID st g 0
XREADGROUP GROUP g c COUNT 1 STREAMS st >
XREADGROUP GROUP none c STREAMS st >
XPENDING st g
XACK st g 1-1
XCLAIM st g c 0 2-1
XAUTOCLAIM st g c 0 0
XINFO STREAM st
XINFO GROUPS st
XINFO CONSUMERS none g
XINFO HELP
XSETID st 5-1
XDEL st 2-1
XTRIM st MAXLEN 0
XGROUP DELCONSUMER st g c
XGROUP DESTROY st g
XGROUP HELP
`;

export function linesOf(text: string): string[] {
  return text.trim().split("\n");
}

/** By their subject; each begins on an empty cluster. */
export const COMPARED_TYPES: Readonly<Record<string, readonly string[]>> = {
  strings: linesOf(STRINGS),
  keys: linesOf(KEYS),
  lists: linesOf(LISTS),
  sets: linesOf(SETS),
  hashes: linesOf(HASHES),
  "sorted sets": linesOf(SORTED_SETS),
  "geo and counts": linesOf(GEO_AND_COUNTS),
  streams: linesOf(STREAMS),
};
