// values.ts: the values that travel between the Pulumi engine and a provider. Pure.
// A property bag is plain JSON; a value that isn't known before `up` travels as one fixed string (pulumi/pulumi,
// sdk/go/common/resource/plugin/rpc.go, UnknownStringValue).
export type Bag = Readonly<Record<string, unknown>>;

export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

export function flag(value: unknown, otherwise = false): boolean {
  return typeof value === "boolean" ? value : otherwise;
}

export function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.map(String) : undefined;
}

export function bags(value: unknown): Bag[] {
  return Array.isArray(value) ? value.map(bag) : [];
}

export function bag(value: unknown): Bag {
  return typeof value === "object" && value !== null ? (value as Bag) : {};
}

/** A map of texts, or undefined when nothing was given. */
export function textMap(value: unknown): Record<string, string> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
}

/** [{label, value}], as the provider takes labels, to a map, as Docker takes them. */
export function labelMap(value: unknown): Record<string, string> | undefined {
  if (!Array.isArray(value)) return undefined;
  return Object.fromEntries(bags(value).map((one) => [String(one["label"]), String(one["value"])]));
}

/** The same JSON, whatever the order of an object's keys; null and absent are the same. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    const entries = Object.entries(item).filter(([, one]) => one !== null && one !== undefined);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
