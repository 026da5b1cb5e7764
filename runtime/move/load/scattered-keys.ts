// scattered-keys.ts: which copy of a key counts where several servers may have it: twemproxy writes a key to another server while
// its own is ejected, and with `distribution: random` to any. Pure.
import { TwineError } from "../../core/errors.ts";

export const RULES = ["fail", "home", "first", "last"] as const;
/**
 * fail: such keys end it. home: only the server where clients look for a key counts; what lies elsewhere is left out.
 * first, last: of all servers that have the key, the first or the last by their order in the pool counts.
 */
export type CopyRule = (typeof RULES)[number];

/** A key that lies where it does not belong, or anywhere when no function says where it belongs. */
export interface ScatteredKey {
  readonly key: Buffer;
  /** Shards that have it, in their order; all of them. */
  readonly shards: readonly number[];
}

export interface Scattered {
  /** Of keys whose copy elsewhere than at home counts: latin1 -> shard. */
  readonly owners: ReadonlyMap<string, number>;
  /** On more than one server. */
  readonly twice: number;
  /** Only where clients don't look for them. */
  readonly misplaced: number;
  /** The first ones, with the servers that have them. */
  readonly examples: readonly { readonly key: string; readonly shards: readonly number[] }[];
}

const SHOWN_MAX = 5;

/** Throws LOAD_DUPLICATES. `names`: of the shards. */
export function decideScattered(
  found: Iterable<ScatteredKey>,
  rule: CopyRule,
  homeOf: ((key: Uint8Array) => number) | undefined,
  names: readonly string[],
): Scattered {
  const owners = new Map<string, number>();
  const examples: { key: string; shards: readonly number[] }[] = [];
  let [twice, misplaced] = [0, 0];
  for (const { key, shards } of found) {
    const home = homeOf?.(key);
    const isTwice = shards.length > 1;
    const isMisplaced = !isTwice && home !== undefined && shards[0] !== home;
    if (isTwice) twice++;
    if (isMisplaced) misplaced++;
    if ((isTwice || isMisplaced) && examples.length < SHOWN_MAX) {
      examples.push({ key: key.toString("utf8").slice(0, 200), shards });
    }
    const owner = rule === "last" ? shards.at(-1) : shards[0];
    // Without a function every key has an owner; by `home` nothing but the function counts.
    if (owner !== undefined && owner !== home && (home === undefined || rule !== "home")) {
      owners.set(key.toString("latin1"), owner);
    }
  }
  if (rule === "fail" && twice + misplaced > 0) throw duplicates(twice, misplaced, examples, names);
  return { owners, twice, misplaced, examples };
}

/** Whether the copy on that shard counts. */
export function countsAt(
  key: Buffer,
  shard: number,
  owners: ReadonlyMap<string, number>,
  homeOf: ((key: Uint8Array) => number) | undefined,
): boolean {
  const owner = owners.size === 0 ? undefined : owners.get(key.toString("latin1"));
  return (owner ?? homeOf?.(key)) === shard;
}

export function scatteredText(
  { twice, misplaced, examples }: Scattered,
  names: readonly string[],
): string {
  const shown = examples.map(
    ({ key, shards }) => `${JSON.stringify(key)} on ${shards.map((at) => names[at]).join(" and ")}`,
  );
  return `${twice} keys are on more than one server, and ${misplaced} only on a server where no client looks for them: ${shown.join("; ")}`;
}

function duplicates(
  twice: number,
  misplaced: number,
  examples: Scattered["examples"],
  names: readonly string[],
): TwineError {
  return new TwineError({
    code: "LOAD_DUPLICATES",
    message: scatteredText({ owners: new Map(), twice, misplaced, examples }, names),
    remedy:
      "nothing was changed; say which copy counts: --duplicates home (where clients look), first or last (by the order of the servers)",
  });
}
