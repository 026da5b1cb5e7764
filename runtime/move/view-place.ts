// view-place.ts: where the keys of a running cluster lie, by the function that its view records. Pure.
import { provenSettings } from "../core/reshard.ts";
import { builtinPlace } from "../core/routing.ts";
import type { View } from "../core/view.ts";

/** undefined: the function is a module or an executable. */
export function placeOfView({
  hashing,
}: Pick<View, "hashing">): ((key: Uint8Array) => number) | undefined {
  const settings = hashing === undefined ? undefined : provenSettings(hashing);
  if (settings?.hash.kind !== "builtin") return undefined;
  const { hash, partitions, hashTag } = settings;
  const { name, distribution } = hash;
  return builtinPlace({ hash: name, partitions, hashTag, distribution });
}
