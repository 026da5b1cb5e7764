// rdb-types.ts: how long each kind of value in an RDB is, as small programs: what to step over, not what it means. Pure.
//
// A program is a list of steps: a string, a length (which is a number), so many raw bytes, or a loop that reads its count
// and repeats its body. Known: Redis 6.2 to 8.2 and Valkey 8 and 9 (rdb.h of each).

export type Step =
  | { readonly kind: "string" }
  | { readonly kind: "length" }
  | { readonly kind: "raw"; readonly bytes: number }
  /** A score as text, of files before Redis 4. */
  | { readonly kind: "old-double" }
  /** What a module wrote: typed pieces up to an end mark. */
  | { readonly kind: "module" }
  | { readonly kind: "loop"; readonly body: Program };
export type Program = readonly Step[];

/** As `TYPE` names it. */
export type ValueKind = "string" | "list" | "set" | "zset" | "hash" | "stream" | "module";

export interface ValueType {
  readonly kind: ValueKind;
  readonly program: Program;
}

const STRING: Step = { kind: "string" };
const LENGTH: Step = { kind: "length" };
const MODULE: Step = { kind: "module" };
const raw = (bytes: number): Step => ({ kind: "raw", bytes });
const loop = (...body: Step[]): Step => ({ kind: "loop", body });
const repeat = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step);

/** `level` 1: since Redis 5; 2: since 7.0, with what was deleted and read; 3: since 7.2, with consumers' activity. */
function stream(level: 1 | 2 | 3): Program {
  const pending = loop(raw(16 + 8), LENGTH);
  const consumer = [STRING, raw(level === 3 ? 16 : 8), loop(raw(16))];
  const group = [STRING, ...repeat(level === 1 ? 2 : 3, LENGTH), pending, loop(...consumer)];
  return [loop(STRING, STRING), ...repeat(level === 1 ? 3 : 8, LENGTH), loop(...group)];
}

/** The program of most types. */
export const ONE_STRING: Program = [STRING];
const COMMON: Readonly<Record<number, ValueType>> = {
  0: { kind: "string", program: ONE_STRING },
  1: { kind: "list", program: [loop(STRING)] },
  2: { kind: "set", program: [loop(STRING)] },
  3: { kind: "zset", program: [loop(STRING, { kind: "old-double" })] },
  4: { kind: "hash", program: [loop(STRING, STRING)] },
  5: { kind: "zset", program: [loop(STRING, raw(8))] },
  7: { kind: "module", program: [LENGTH, MODULE] },
  9: { kind: "hash", program: ONE_STRING },
  10: { kind: "list", program: ONE_STRING },
  11: { kind: "set", program: ONE_STRING },
  12: { kind: "zset", program: ONE_STRING },
  13: { kind: "hash", program: ONE_STRING },
  14: { kind: "list", program: [loop(STRING)] },
  15: { kind: "stream", program: stream(1) },
  16: { kind: "hash", program: ONE_STRING },
  17: { kind: "zset", program: ONE_STRING },
  18: { kind: "list", program: [loop(LENGTH, STRING)] },
  19: { kind: "stream", program: stream(2) },
  20: { kind: "set", program: ONE_STRING },
  21: { kind: "stream", program: stream(3) },
};

/** Hashes whose fields expire: each project has types of its own under numbers that the other uses otherwise. */
const OF_REDIS: Readonly<Record<number, ValueType>> = {
  24: { kind: "hash", program: [raw(8), loop(LENGTH, STRING, STRING)] },
  25: { kind: "hash", program: [raw(8), STRING] },
};
const OF_VALKEY: Readonly<Record<number, ValueType>> = {
  22: { kind: "hash", program: [loop(STRING, STRING, raw(8))] },
};

export type RdbMagic = "REDIS" | "VALKEY";

/** The types of one file, by number. */
export function valueTypes(magic: RdbMagic): readonly (ValueType | undefined)[] {
  const all = { ...COMMON, ...(magic === "REDIS" ? OF_REDIS : OF_VALKEY) };
  return Array.from({ length: 64 }, (_, number) => all[number]);
}

export const OPCODE = Object.freeze({
  slotImport: 243,
  slotInfo: 244,
  function: 245,
  moduleAux: 247,
  idle: 248,
  frequency: 249,
  aux: 250,
  resize: 251,
  expireMs: 252,
  expireSeconds: 253,
  selectDb: 254,
  end: 255,
});

/** Steps of what is no key; the others are read by the scanner itself. */
export const OPCODE_PROGRAMS: Readonly<Record<number, Program>> = {
  [OPCODE.slotImport]: [STRING, loop(LENGTH, LENGTH)],
  [OPCODE.slotInfo]: [LENGTH, LENGTH, LENGTH],
  [OPCODE.moduleAux]: [LENGTH, LENGTH, LENGTH, MODULE],
  [OPCODE.resize]: [LENGTH, LENGTH],
};

/** The oldest and newest version of each that this table knows. Redis 7.4 to 8.2 write 12; Valkey 9 writes 80. */
export const KNOWN_VERSIONS: Readonly<
  Record<RdbMagic, { readonly min: number; readonly max: number }>
> = {
  REDIS: { min: 1, max: 12 },
  VALKEY: { min: 80, max: 80 },
};
