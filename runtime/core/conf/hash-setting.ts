// hash-setting.ts: what may stand after `hash`. Pure.
//   crc32 | crc16 | twemproxy-NAME      built in
//   ./my-hash.mjs                       a module: known by its ending (.mjs .js .cjs .mts .ts .cts)
//   ./my-hash, /usr/bin/my-hash         anything else with a / in it: an executable
import { TWEMPROXY_HASHES, type BuiltinHash, type HashSetting } from "../cluster.ts";
import { didYouMean } from "./suggest.ts";

export const BUILTIN_HASHES: readonly BuiltinHash[] = Object.freeze([
  "crc32",
  "crc16",
  ...TWEMPROXY_HASHES.map((name) => `twemproxy-${name}` as const),
]);

/** The setting, or a sentence that says why it is none. */
export function parseHash(text: string): HashSetting | string {
  const builtin = BUILTIN_HASHES.find((name) => name === text);
  if (builtin !== undefined) return { kind: "builtin", name: builtin };
  if (/\.[cm]?[jt]s$/.test(text)) return { kind: "module", path: text };
  if (text.includes("/")) return { kind: "executable", path: text };
  return `unknown hash '${text}'${didYouMean(text, BUILTIN_HASHES)}`;
}

export function printHash(hash: HashSetting): string {
  return hash.kind === "builtin" ? hash.name : hash.path;
}
