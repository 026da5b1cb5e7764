// directive-forms.ts: the forms of a directive's arguments: a duration, a size, a number, one of several words, a text.
// Pure.
// Parser and printer are side by side, so that a printed setting parses to the same value.
import type { Settings } from "../cluster.ts";
import { readNumber, reject, type Reading } from "./complain.ts";
import { parseDuration, printDuration } from "./durations.ts";
import { printWord, type Word } from "./lines.ts";
import { parseSize, printSize } from "./sizes.ts";
import { didYouMean } from "./suggest.ts";

export interface Directive {
  readonly name: string;
  /** The arguments after the name, e.g. "DURATION". */
  readonly shape: string;
  readonly repeats: boolean;
  /** How many words may follow the name. */
  readonly words: { readonly min: number; readonly max: number };
  /** The settings that these arguments change, or null after an error. `settings`: the present settings. */
  read(reading: Reading, args: readonly Word[], settings: Settings): Partial<Settings> | null;
  /** The arguments that give the present value: one string for each line; empty if no line is needed. */
  print(settings: Settings): readonly string[];
}

export type Limits = readonly [min: number, max: number];
export type Set<T> = (value: T) => Partial<Settings>;
export type Get<T> = (settings: Settings) => T;

const ONE = Object.freeze({ min: 1, max: 1 });

export function single(
  name: string,
  shape: string,
  read: (reading: Reading, word: Word, settings: Settings) => Partial<Settings> | null,
  print: Directive["print"],
  repeats = false,
): Directive {
  return {
    name,
    shape,
    repeats,
    words: ONE,
    read: (reading, [word], settings) =>
      word === undefined ? null : read(reading, word, settings),
    print,
  };
}

export function duration(
  name: string,
  limits: Limits,
  get: Get<number>,
  set: Set<number>,
): Directive {
  const [min, max] = limits;
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const ms = parseDuration(word.text);
    if (ms !== undefined && ms >= min && ms <= max) return set(ms);
    const message =
      ms === undefined
        ? `'${word.text}' is no duration for ${name}`
        : `${name} ${word.text} is out of range`;
    const remedy =
      ms === undefined
        ? "write a whole number and its unit: 500ms, 1s, 10m, 1h, 1d"
        : `write a duration from ${printDuration(min)} to ${printDuration(max)}`;
    return reject(reading, word, "CONF_BAD_DURATION", message, remedy);
  };
  return single(name, "DURATION", read, (settings) => [printDuration(get(settings))]);
}

export function count(name: string, limits: Limits, get: Get<number>, set: Set<number>): Directive {
  const [min, max] = limits;
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const value = readNumber(reading, word, { what: name, min, max, remedy: `write ${name} N` });
    return value === null ? null : set(value);
  };
  return single(name, "N", read, (settings) => [String(get(settings))]);
}

export function choice<T extends string>(
  name: string,
  choices: readonly T[],
  get: Get<T>,
  set: Set<T>,
): Directive {
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const found = choices.find((known) => known === word.text);
    if (found !== undefined) return set(found);
    const message = `${name} can't be '${word.text}'${didYouMean(word.text, choices)}`;
    return reject(
      reading,
      word,
      "CONF_BAD_VALUE",
      message,
      `write ${name} ${choices.join(" or ")}`,
    );
  };
  return single(name, choices.join("|"), read, (settings) => [get(settings)]);
}

export function size(name: string, limits: Limits, get: Get<number>, set: Set<number>): Directive {
  const [min, max] = limits;
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const bytes = parseSize(word.text);
    if (bytes !== undefined && bytes >= min && bytes <= max) return set(bytes);
    const message =
      bytes === undefined
        ? `'${word.text}' is no size for ${name}`
        : `${name} ${word.text} is out of range`;
    const remedy =
      bytes === undefined
        ? "write a whole number and its unit as Redis does: 512kb, 64mb, 1gb"
        : `write a size from ${printSize(min)} to ${printSize(max)}`;
    return reject(reading, word, "CONF_BAD_SIZE", message, remedy);
  };
  return single(name, "SIZE", read, (settings) => [printSize(get(settings))]);
}

/** A text that must match a pattern; `remedy` describes the form. */
export function text(
  name: string,
  shape: string,
  form: { readonly pattern: RegExp; readonly remedy: string },
  get: Get<string>,
  set: Set<string>,
): Directive {
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    if (form.pattern.test(word.text)) return set(word.text);
    const message = `${name} can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, form.remedy);
  };
  return single(name, shape, read, (settings) => [printWord(get(settings))]);
}

/** The path of a file; undefined by default. Relative paths start at twine.conf's folder. */
export function file(
  name: string,
  get: Get<string | undefined>,
  set: Set<string>,
  form: { readonly pattern: RegExp; readonly remedy: string } = PATH,
): Directive {
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    if (form.pattern.test(word.text)) return set(word.text);
    const message = `${name} can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, form.remedy);
  };
  return single(name, "FILE", read, (settings) => {
    const path = get(settings);
    return path === undefined ? [] : [printWord(path)];
  });
}

const PATH = { pattern: /./s, remedy: "write the path of a file" };

/** A directive that may be repeated with different texts. */
export function list(
  name: string,
  shape: string,
  form: { readonly pattern: Pick<RegExp, "test">; readonly remedy: string },
  get: Get<readonly string[]>,
  set: Set<readonly string[]>,
): Directive {
  const read = (reading: Reading, word: Word, so: Settings): Partial<Settings> | null => {
    if (get(so).includes(word.text)) {
      const message = `${name} ${word.text} is given twice`;
      return reject(reading, word, "CONF_DIRECTIVE_TWICE", message, "keep one of the two lines");
    }
    if (form.pattern.test(word.text)) return set([...get(so), word.text]);
    const message = `${name} can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, form.remedy);
  };
  return single(name, shape, read, (settings) => get(settings).map(printWord), true);
}

/** The same directive, but printed only if its value differs from the default. For settings on which monitors need not
    agree; a cluster that does not use the directive keeps its digest when Twine is upgraded. */
export function quiet(directive: Directive, isDefault: (settings: Settings) => boolean): Directive {
  return {
    ...directive,
    print: (settings) => (isDefault(settings) ? [] : directive.print(settings)),
  };
}
