// schema.ts: checks values from outside. Pure.
// Data from the network may be damaged, hostile or of another version. A check reports the first fault in one sentence
// and limits sizes. Unknown fields are kept.

/** Returns what is wrong with `value`, or undefined. `path` names the value, as in `nodes[3].port`. */
export type Check = (value: unknown, path: string) => string | undefined;

/** The longest text of a field without a limit of its own. */
const TEXT_CHARS_MAX = 4096;
/** The longest list of a field without a limit of its own. */
const LIST_COUNT_MAX = 10_000;

export function textUpTo(charsMax: number): Check {
  return (value, path) => {
    if (typeof value !== "string") return `${path} is not a text`;
    return value.length <= charsMax ? undefined : `${path} is longer than ${charsMax} characters`;
  };
}

export const text = textUpTo(TEXT_CHARS_MAX);

export const finiteNumber: Check = (value, path) =>
  typeof value === "number" && Number.isFinite(value) ? undefined : `${path} is not a number`;

export const wholeNumber: Check = (value, path) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? undefined
    : `${path} is not a whole number of at least 0`;

export const trueOrFalse: Check = (value, path) =>
  typeof value === "boolean" ? undefined : `${path} is neither true nor false`;

export function orNull(check: Check): Check {
  return (value, path) => (value === null ? undefined : check(value, path));
}

/** For a field that some versions do not write. */
export function orAbsent(check: Check): Check {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

export function oneOf(...words: readonly string[]): Check {
  return (value, path) =>
    words.some((word) => word === value) ? undefined : `${path} is not one of ${words.join(", ")}`;
}

export function listOf(check: Check, countMax = LIST_COUNT_MAX): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} is not a list`;
    if (value.length > countMax) return `${path} has more than ${countMax} entries`;
    for (const [index, item] of value.entries()) {
      const wrong = check(item, `${path}[${index}]`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

export function recordOf(fields: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(fields);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return `${path === "" ? "it" : path} is not an object`;
    }
    for (const [name, check] of checks) {
      const place = path === "" ? name : `${path}.${name}`;
      const field = Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined;
      const wrong = check(field, place);
      if (wrong !== undefined) return Object.hasOwn(value, name) ? wrong : `${place} is missing`;
    }
    return undefined;
  };
}

export type Parsed<T> =
  | { readonly kind: "parsed"; readonly value: T }
  | { readonly kind: "malformed"; readonly why: string; readonly cause?: unknown };

/** Parses `json` and checks the value. `check` must guarantee the type T. */
export function parseJson<T>(json: string, check: Check, bytesMax: number): Parsed<T> {
  if (json.length > bytesMax) {
    return { kind: "malformed", why: `it is longer than ${bytesMax} characters` };
  }
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    return { kind: "malformed", why: "it is not JSON", cause };
  }
  const why = check(value, "");
  return why === undefined ? { kind: "parsed", value: value as T } : { kind: "malformed", why };
}
