// places.ts: in which partitions keys lie, and what is said when they should share one and don't.
import type { Partitioner } from "../ports/partitioner.ts";
import { errorReply } from "../resp/encode.ts";
import { crossSlot } from "../route/wire-errors.ts";

/** The partitions of keys, at once where the hash answers at once. Throws or rejects what the hash does. */
export function placesOf(
  keys: readonly Buffer[],
  partitioner: Partitioner,
): readonly number[] | Promise<readonly number[]> {
  const places: number[] = [];
  const later: Promise<void>[] = [];
  keys.forEach((key, at) => {
    const partition = partitioner.partitionOf(key);
    if (typeof partition === "number") places[at] = partition;
    else later.push(partition.then((number) => void (places[at] = number)));
  });
  return later.length === 0 ? places : Promise.all(later).then(() => places);
}

/** The same as withPlaces for one key. */
export function withPlace(
  key: Buffer,
  partitioner: Partitioner,
  use: (place: number) => void,
  failed: (reply: Buffer) => void,
): Promise<void> | undefined {
  let place: number | Promise<number>;
  try {
    place = partitioner.partitionOf(key);
  } catch (error) {
    failed(hashFailed(error));
    return undefined;
  }
  if (typeof place === "number") {
    use(place);
    return undefined;
  }
  return place.then(use, (error: unknown) => {
    failed(hashFailed(error));
  });
}

/** Hands `use` the places of the keys; `failed` gets the hash's failure as a reply. Resolves when it has, or gives undefined
    when it did at once. */
export function withPlaces(
  keys: readonly Buffer[],
  partitioner: Partitioner,
  use: (places: readonly number[]) => void,
  failed: (reply: Buffer) => void,
): Promise<void> | undefined {
  let places: readonly number[] | Promise<readonly number[]>;
  try {
    places = placesOf(keys, partitioner);
  } catch (error) {
    failed(hashFailed(error));
    return undefined;
  }
  if (!("then" in places)) {
    use(places);
    return undefined;
  }
  return places.then(use, (error: unknown) => {
    failed(hashFailed(error));
  });
}

/** The error for keys that must share a partition and don't, naming the first two that lie apart; undefined: they do. */
export function strayReply(keys: readonly Buffer[], places: readonly number[]): Buffer | undefined {
  const [key] = keys;
  const [place] = places;
  const stray = places.findIndex((other) => other !== place);
  const other = keys[stray];
  if (key === undefined || place === undefined || other === undefined) return undefined;
  return crossSlot(key, place, other, places[stray] ?? place);
}

function hashFailed(error: unknown): Buffer {
  const why = error instanceof Error ? error.message : String(error);
  return errorReply(`ERR twine: the hash of twine.conf failed: ${why}`);
}
