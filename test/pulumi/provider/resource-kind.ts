// resource-kind.ts: what one type of resource can do, and how a difference of two of its states is judged. Pure.
//
//   old state, new inputs -> same | update in place | replace
//
// The old side is the state, not the old inputs: a refresh that found something else must show. The tables of the
// kinds say which property replaces; any other property that differs is an update, even where that update does nothing
// (the real provider's silent no-ops: field-tested, see container.ts).
import type Docker from "dockerode";
import type { PropertyProblem } from "./property-types.ts";
import { UNKNOWN, canonical, type Bag } from "./values.ts";

export interface Created {
  readonly id: string;
  readonly state: Bag;
}

export interface ResourceKind {
  readonly type: string;
  /** Outputs that only the engine knows: unknown in a preview. */
  readonly computed: readonly string[];
  /** Properties whose change replaces the resource. */
  readonly replacing: ReadonlySet<string>;
  /** Lists whose order does not matter. */
  readonly unordered: ReadonlySet<string>;
  /** What an absent property means. */
  readonly defaults: Bag;
  /** Whether the old one goes first although its name was made up by the provider. */
  readonly deletesFirst: boolean;
  /** Whether the provider makes up a name when none is given. */
  readonly autonames: boolean;
  /** Whether the real provider bridges it from Terraform, whose errors come wrapped. */
  readonly isBridged: boolean;
  /** Adds what the provider fills in; says what it refuses beyond the declared properties, and what it logs. */
  check?(inputs: Bag): {
    readonly inputs: Bag;
    readonly problems: readonly PropertyProblem[];
    readonly advice?: string;
  };
  create(docker: Docker, inputs: Bag): Promise<Created>;
  /** The state as it is now, undefined when it is gone. */
  read(docker: Docker, id: string, state: Bag): Promise<Created | undefined>;
  update(docker: Docker, id: string, olds: Bag, news: Bag): Promise<Bag>;
  delete(docker: Docker, id: string, state: Bag): Promise<void>;
}

/** Created, but not as asked: the engine keeps it in the state and tries again at the next up. */
export class HalfCreated extends Error {
  readonly created: Created;

  constructor(message: string, created: Created) {
    super(message);
    this.created = created;
  }
}

export interface Judgement {
  readonly changed: readonly string[];
  readonly replacing: readonly string[];
}

/** Marks a name that the provider made up; such a resource may be created beside the old one. */
export const MADE_UP_NAME = "__madeUpName";
/** In the state of a container that was created and could not be started: the next up replaces it. */
export const NEVER_STARTED = "__neverStarted";

/** Compares the state with the inputs asked for. */
export function judge(
  kind: ResourceKind,
  state: Bag,
  oldInputs: Bag,
  news: Bag,
  ignored: readonly string[],
): Judgement {
  const names = new Set([
    ...Object.keys(oldInputs),
    ...Object.keys(news),
    ...Object.keys(kind.defaults),
  ]);
  const changed = [...names].filter((name) => {
    if (name === MADE_UP_NAME || ignored.some((path) => isWithin(name, path))) return false;
    const before = valueOf(kind, state, name);
    const after = valueOf(kind, news, name);
    return after === UNKNOWN || normal(kind, name, before) !== normal(kind, name, after);
  });
  const replacing = changed.filter((name) => kind.replacing.has(name));
  if (state[NEVER_STARTED] === true) {
    return { changed: [...changed, "start"], replacing: [...replacing, "start"] };
  }
  return { changed, replacing };
}

function isWithin(name: string, path: string): boolean {
  return (
    path === "*" || path === name || path.startsWith(`${name}[`) || path.startsWith(`${name}.`)
  );
}

function valueOf(kind: ResourceKind, values: Bag, name: string): unknown {
  return values[name] ?? kind.defaults[name];
}

function normal(kind: ResourceKind, name: string, value: unknown): string {
  if (kind.unordered.has(name) && Array.isArray(value)) {
    return JSON.stringify(value.map(canonical).sort());
  }
  // An empty list or map and none are the same to the provider's framework.
  const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return isEmpty ? "null" : canonical(value ?? null);
}
