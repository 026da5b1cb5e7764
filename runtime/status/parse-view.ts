// parse-view.ts: reads a published view and believes nothing. Pure.
// The view comes over the network, perhaps from another version of Twine: a missing field must become one clear
// sentence that names it, never a stack trace in some formatter. Fields that are not known are left alone.
import { TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";

/** Answers what was expected, when `value` is not it. */
type Check = (value: unknown, path: string) => string | undefined;

const textOf: Check = (value, path) =>
  typeof value === "string" ? undefined : `${path} is no text`;
const numberOf: Check = (value, path) =>
  typeof value === "number" && Number.isFinite(value) ? undefined : `${path} is no number`;
const truthOf: Check = (value, path) =>
  typeof value === "boolean" ? undefined : `${path} is neither true nor false`;

function orNull(check: Check): Check {
  return (value, path) => (value === null ? undefined : check(value, path));
}

/** A field that older versions don't write. */
function orAbsent(check: Check): Check {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

function oneOf(...words: readonly string[]): Check {
  return (value, path) =>
    words.some((word) => word === value) ? undefined : `${path} is none of ${words.join(", ")}`;
}

function listOf(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} is no list`;
    for (const [index, item] of value.entries()) {
      const wrong = check(item, `${path}[${index}]`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

function recordOf(fields: Readonly<Record<string, Check>>): Check {
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return `${path === "" ? "it" : path} is no object`;
    }
    for (const [name, check] of Object.entries(fields)) {
      const place = path === "" ? name : `${path}.${name}`;
      const field = (value as Record<string, unknown>)[name];
      const wrong = check(field, place);
      if (wrong !== undefined && !Object.hasOwn(value, name)) return `${place} is missing`;
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

const rescueOf = recordOf({
  runId: textOf,
  kind: oneOf("saved", "kept"),
  place: orNull(textOf),
  why: textOf,
  at: textOf,
  upTo: orAbsent(recordOf({ replicationId: textOf, offset: numberOf })),
  isSeen: orAbsent(truthOf),
});

const viewOf = recordOf({
  cluster: textOf,
  state: oneOf("OK", "DEGRADED", "HALT"),
  epoch: numberOf,
  revision: numberOf,
  alpha: textOf,
  updatedAt: textOf,
  confDigest: textOf,
  hashing: orAbsent(textOf),
  partitions: listOf(
    recordOf({
      index: numberOf,
      master: orNull(textOf),
      replicas: listOf(textOf),
      dead: listOf(textOf),
      replicationId: orNull(textOf),
      lastMaster: orNull(textOf),
      needs: orNull(textOf),
      handover: orAbsent(
        orNull(recordOf({ from: textOf, to: textOf, phase: oneOf("pause", "step-down") })),
      ),
    }),
  ),
  nodes: listOf(
    recordOf({
      name: textOf,
      kind: oneOf("data", "status", "monitor", "router"),
      host: textOf,
      port: numberOf,
      db: orNull(numberOf),
      partition: orNull(numberOf),
      role: oneOf("master", "replica", "up", "dead"),
      inSync: truthOf,
      runId: orNull(textOf),
      since: textOf,
      retiring: orAbsent(truthOf),
      rescue: orAbsent(rescueOf),
      earlierRescues: orAbsent(listOf(rescueOf)),
    }),
  ),
});

/** The view that a status node published as `body`. Throws VIEW_UNREADABLE, naming the first field that is wrong. */
export function parseView(body: string): View {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw unreadable("it is not JSON", cause);
  }
  const wrong = viewOf(value, "");
  if (wrong !== undefined) throw unreadable(wrong);
  return value as View;
}

function unreadable(why: string, cause?: unknown): TwineError {
  return new TwineError(
    {
      code: "VIEW_UNREADABLE",
      message: `the view on the status nodes can't be read: ${why}`,
      remedy: "use the version of Twine that the monitors run; the alpha's next change rewrites it",
    },
    { cause },
  );
}
