// table.ts: twemproxy's twelve hashes by their names in nutcracker.yml. Pure.
// test/integration/hash-twemproxy.test.ts compares each with the real nutcracker.
import type { TwemproxyHash } from "../../cluster.ts";
import type { HashFunction } from "../hash-function.ts";
import { twemproxyCrc16 } from "./crc16.ts";
import { twemproxyCrc32 } from "./crc32.ts";
import { twemproxyCrc32a } from "./crc32a.ts";
import { fnv1For32 } from "./fnv1-32.ts";
import { fnv1For64 } from "./fnv1-64.ts";
import { fnv1aFor32 } from "./fnv1a-32.ts";
import { fnv1aFor64 } from "./fnv1a-64.ts";
import { hsieh } from "./hsieh.ts";
import { jenkins } from "./jenkins.ts";
import { md5 } from "./md5.ts";
import { murmur } from "./murmur.ts";
import { oneAtATime } from "./one-at-a-time.ts";

export const TWEMPROXY_TABLE: Readonly<Record<TwemproxyHash, HashFunction>> = Object.freeze({
  one_at_a_time: oneAtATime,
  md5,
  crc16: twemproxyCrc16,
  crc32: twemproxyCrc32,
  crc32a: twemproxyCrc32a,
  fnv1_64: fnv1For64,
  fnv1a_64: fnv1aFor64,
  fnv1_32: fnv1For32,
  fnv1a_32: fnv1aFor32,
  hsieh,
  murmur,
  jenkins,
});
