// hash-setting.ts: the values of the directive `hash`. Pure.
//   crc32 | crc16 | twemproxy-NAME      built in
//   twemproxy-NAME ketama a:1 b:2       built in, with a distribution (hash/distribution.ts)
//   ./my-hash.mjs                       a module: has one of the endings .mjs .js .cjs .mts .ts .cts
//   ./my-hash, /usr/bin/my-hash         any other text with a / in it: an executable
import { TWEMPROXY_HASHES, type BuiltinHash, type HashSetting } from "../cluster.ts";
import { parseDistribution, printDistribution } from "../hash/distribution.ts";
import { didYouMean } from "./suggest.ts";

export const BUILTIN_HASHES: readonly BuiltinHash[] = Object.freeze([
  "crc32",
  "crc16",
  ...TWEMPROXY_HASHES.map((name) => `twemproxy-${name}` as const),
]);

/** The setting, or a sentence with the reason why the text is invalid. */
export function parseHash(text: string): HashSetting | string {
  const [first = "", ...rest] = text.split(" ");
  const builtin = BUILTIN_HASHES.find((name) => name === first);
  if (builtin !== undefined) {
    if (rest.length === 0) return { kind: "builtin", name: builtin };
    const distribution = parseDistribution(rest);
    if (typeof distribution === "string") return distribution;
    return { kind: "builtin", name: builtin, distribution };
  }
  if (/\.[cm]?[jt]s$/.test(text)) return { kind: "module", path: text };
  if (text.includes("/")) return { kind: "executable", path: text };
  return `unknown hash '${text}'${didYouMean(text, BUILTIN_HASHES)}`;
}

/** Prints a setting as parseHash reads it. Only a path may contain a space that separates nothing. */
export function printHash(hash: HashSetting): string {
  if (hash.kind !== "builtin") return hash.path;
  const { name, distribution } = hash;
  return [name, ...(distribution === undefined ? [] : printDistribution(distribution))].join(" ");
}
