// parse.ts: parses twine.conf (and roma.conf). Pure.
//
//   text -> lines -> nodes and settings -> relations -> ClusterConfig, or all errors
//
// The grammar is in docs/twine-conf.md. No function throws: the result is a config or a list of errors.
import type { ClusterConfig, Settings } from "../cluster.ts";
import type { Problem, SourceAt } from "../errors.ts";
import { placeOf, reject, type Reading } from "./complain.ts";
import { DEFAULT_SETTINGS, DIRECTIVES, DIRECTIVE_NAMES } from "./directives.ts";
import type { Directive } from "./directive-forms.ts";
import { linesOf, type Line } from "./lines.ts";
import { NODE_SHAPES, nodeHeadOf, readNode, type NodeWords } from "./node-lines.ts";
import { warningsOf } from "./placement.ts";
import { COMMON_DIRECTIVES, isSecret } from "./redis-directives.ts";
import { checkRelations, type Draft } from "./relations.ts";
import { didYouMean, suggest } from "./suggest.ts";
import { unusedSettings } from "./unused-settings.ts";

export interface ParsedConf {
  /** Absent when there are errors. */
  readonly config?: ClusterConfig;
  /** In the order of the file. */
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** The location of each directive (the last one if repeated), for errors about the files that it names. */
  readonly places: ReadonlyMap<string, SourceAt>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type GrowingDraft = Mutable<Draft> & {
  nodes: Draft["nodes"][number][];
  claimed: number[];
  places: Map<string, SourceAt>;
  words: Map<Draft["nodes"][number], NodeWords>;
  names: Map<string, number>;
};

const DIRECTIVE_BY_NAME = new Map(DIRECTIVES.map((directive) => [directive.name, directive]));

/** Parses a whole file. `file` is used in error locations. The config is not completed (see complete.ts). */
export function parseConf(text: string, file: string): ParsedConf {
  const errors: Problem[] = [];
  const draft: GrowingDraft = {
    file,
    nodes: [],
    settings: DEFAULT_SETTINGS,
    places: new Map(),
    words: new Map(),
    claimed: [],
    isGuessing: false,
    names: new Map(),
  };
  for (const line of linesOf(text)) {
    readLineInto(draft, { file, line, complain: (problem) => errors.push(problem) });
  }
  errors.push(...checkRelations(draft));
  const { places } = draft;
  if (errors.length > 0) return { errors: errors.sort(comparePlaces), warnings: [], places };
  const config = { file, nodes: draft.nodes, settings: countPartitions(draft) };
  const warnings = [...warningsOf(config), ...unusedSettings(config, places)].sort(comparePlaces);
  return { config, errors, warnings, places };
}

function comparePlaces(a: Problem, b: Problem): number {
  return (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0);
}

function countPartitions(draft: Draft): Settings {
  const { settings, nodes } = draft;
  if (settings.partitions > 0) return settings;
  let highest = 0;
  for (const node of nodes) {
    if (node.kind === "data" && node.partition > highest) highest = node.partition;
  }
  return { ...settings, partitions: highest + 1 };
}

function readLineInto(draft: GrowingDraft, reading: Reading): void {
  const { line, file } = reading;
  if (line.flaw !== undefined) {
    const { message, offset } = line.flaw;
    draft.isGuessing = true;
    reading.complain({
      code: "CONF_BAD_QUOTE",
      message,
      at: { file, line: line.number, column: offset + 1 },
      remedy: 'close a quote with the same character; a quote inside "..." is written \\"',
    });
    return;
  }
  const control = line.text.search(/(?!\s)\p{Cc}/u);
  if (control !== -1) {
    draft.isGuessing = true;
    reading.complain({
      code: "CONF_BAD_CHARACTER",
      message: `the control character U+${line.text.charCodeAt(control).toString(16).padStart(4, "0")} is not allowed here`,
      at: { file, line: line.number, column: control + 1 },
      remedy: "save the file as plain text in UTF-8",
    });
    return;
  }
  const head = nodeHeadOf(line, (name) => DIRECTIVE_BY_NAME.has(name));
  if (head === undefined) {
    readDirective(draft, reading, line);
    return;
  }
  const nodeReading = { ...reading, line: head.line };
  const said = readNode(nodeReading, head, DIRECTIVE_NAMES);
  const taken = draft.names.get(said.name.text);
  if (taken !== undefined) {
    const message = `the name ${said.name.text} is already used on line ${taken}`;
    const remedy = "give every node its own name";
    reject(nodeReading, said.name, "CONF_NAME_TAKEN", message, remedy);
  } else if (said.name.text !== "") {
    draft.names.set(said.name.text, line.number);
  }
  if (said.node !== null) {
    draft.nodes.push(said.node);
    draft.words.set(said.node, said.words);
  } else if (said.partition !== null) draft.claimed.push(said.partition);
  else if (said.kind === null || said.kind === "data") draft.isGuessing = true;
}

function readDirective(draft: GrowingDraft, reading: Reading, line: Line): void {
  const [name, ...args] = line.words;
  if (name === undefined) return;
  const directive = DIRECTIVE_BY_NAME.get(name.text);
  if (directive === undefined) {
    rejectDirective(draft, reading, line);
    return;
  }
  const { min, max } = directive.words;
  if (args.length < min || args.length > max) {
    const isSpaced = args[0]?.text.startsWith("=") === true;
    const message = isSpaced
      ? `${name.text} is a directive, and directives take no =`
      : `${name.text} takes ${wordCount(directive)}, not ${args.length}`;
    const remedy = `write ${name.text} ${directive.shape}; put a value with spaces in "quotes"`;
    reject(reading, isSpaced ? args[0] : args[max], "CONF_WORD_COUNT", message, remedy);
    return;
  }
  const place = draft.places.get(name.text);
  if (place !== undefined && !directive.repeats) {
    const message = `${name.text} is given twice, on line ${place.line} and here`;
    reject(reading, name, "CONF_DIRECTIVE_TWICE", message, "keep one of the two lines");
    return;
  }
  draft.places.set(name.text, placeOf(reading, name));
  const set = directive.read(reading, args, draft.settings);
  draft.settings = { ...draft.settings, ...set };
}

function wordCount({ name, words: { min, max } }: Directive): string {
  if (name === "redis") return "a name and a value";
  return max === 1 ? "one word" : `${min} to ${max} words`;
}

function rejectDirective(draft: GrowingDraft, reading: Reading, line: Line): void {
  const [name, kind, ...rest] = line.words;
  if (name === undefined) return;
  const values = line.text.slice(kind?.start ?? 0, line.words.at(-1)?.end);
  if (kind !== undefined && Object.hasOwn(NODE_SHAPES, kind.text) && rest.length > 0) {
    draft.isGuessing = true;
    const message = `this ${kind.text} line has no = behind its name`;
    const remedy = `write ${name.text}=${values}`;
    reject(reading, name, "CONF_UNKNOWN_DIRECTIVE", message, remedy);
    return;
  }
  if (isSecret(name.text.toLowerCase())) {
    const message = `${name.text} holds a password, and secrets never stand in twine.conf`;
    const remedy = "leave it out and put the password into the file that TWINE_PASSWORD_FILE names";
    reject(reading, name, "CONF_SECRET", message, remedy);
    return;
  }
  if (COMMON_DIRECTIVES.includes(name.text.toLowerCase())) {
    const message = `${name.text} is a directive of Redis, not of Twine`;
    const remedy = `write redis ${name.text.toLowerCase()} and its value`;
    reject(reading, name, "CONF_UNKNOWN_DIRECTIVE", message, remedy);
    return;
  }
  const guess = didYouMean(name.text, DIRECTIVE_NAMES);
  const message = `unknown directive '${name.text.slice(0, 120)}'${guess}`;
  const meant = DIRECTIVE_BY_NAME.get(suggest(name.text, DIRECTIVE_NAMES) ?? "");
  const remedy =
    meant === undefined
      ? `a line is a node, NAME=KIND ..., or one of ${DIRECTIVE_NAMES.join(", ")}`
      : `write ${meant.name} ${meant.shape}`;
  reject(reading, name, "CONF_UNKNOWN_DIRECTIVE", message, remedy);
}
