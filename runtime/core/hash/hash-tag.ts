// hash-tag.ts: which part of a key is hashed if twine.conf has a hash-tag. Pure.
//
//   hash-tag {}   user:{42}:name -> 42            the first "{", then the first "}" after it
//                 user:{}:{42}   -> user:{}:{42}  nothing between those two: the whole key
//
// The same rule as twemproxy's hash_tag and Redis Cluster's, so that clusters of both can be taken over.
import { TwineError } from "../errors.ts";

/**
 * Wraps `use` so that it gets the range to hash: the bytes between the two characters of `hashTag`, else the whole key.
 * `hashTag`: two characters of 7-bit ASCII, opening and closing, which may be the same. Throws HASH_TAG_BAD for any other
 * text.
 */
export function withHashTag<T>(
  hashTag: string | undefined,
  use: (bytes: Uint8Array, start: number, end: number) => T,
): (bytes: Uint8Array, start: number, end: number) => T {
  if (hashTag === undefined) return use;
  const [opening, closing] = tagBytes(hashTag);
  return (bytes, start, end) => {
    for (let at = start; at < end; at += 1) {
      if (bytes[at] !== opening) continue;
      for (let to = at + 1; to < end; to += 1) {
        if (bytes[to] !== closing) continue;
        return to > at + 1 ? use(bytes, at + 1, to) : use(bytes, start, end);
      }
      break;
    }
    return use(bytes, start, end);
  };
}

function tagBytes(hashTag: string): readonly [number, number] {
  const opening = hashTag.charCodeAt(0);
  const closing = hashTag.charCodeAt(1);
  if (hashTag.length === 2 && opening < 0x80 && closing < 0x80) return [opening, closing];
  throw new TwineError({
    code: "HASH_TAG_BAD",
    message: `hash-tag '${hashTag}' is not two characters of 7-bit ASCII`,
    remedy: "write the opening and the closing character together, as in: hash-tag {}",
  });
}
