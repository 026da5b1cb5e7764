// directive-forms.ts: the forms that the arguments of a directive take: a duration, a size, a number, one of several
// words, a text. Pure.
// Reading and printing stand side by side, so that what is printed is read back as the same.
import type { Settings } from "../cluster.ts";
import { readNumber, reject, type Reading } from "./complain.ts";
import { parseDuration, printDuration } from "./durations.ts";
import { printWord, type Word } from "./lines.ts";
import { parseSize, printSize } from "./sizes.ts";
import { didYouMean } from "./suggest.ts";

export interface Directive {
  readonly name: string;
  /** What stands behind the name, e.g. "DURATION". */
  readonly shape: string;
  readonly repeats: boolean;
  /** How many words may follow the name. */
  readonly words: { readonly min: number; readonly max: number };
  /** What these arguments set, or null after a complaint. `settings` is what holds so far. */
  read(reading: Reading, args: readonly Word[], settings: Settings): Partial<Settings> | null;
  /**
   * The arguments that set what holds: one string for each line; none when there is nothing to say.
   */
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
        : `${name} ${word.text} is not from ${printDuration(min)} to ${printDuration(max)}`;
    const remedy = "write a whole number and its unit: 500ms, 1s, 10m, 1h, 1d";
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
        : `${name} ${word.text} is not from ${printSize(min)} to ${printSize(max)}`;
    const remedy = "write a whole number and its unit as Redis does: 512kb, 64mb, 1gb";
    return reject(reading, word, "CONF_BAD_SIZE", message, remedy);
  };
  return single(name, "SIZE", read, (settings) => [printSize(get(settings))]);
}

/** A text of a certain form; `remedy` says which. */
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

/** A directive that may be repeated, each time with another text. */
export function list(
  name: string,
  shape: string,
  form: { readonly pattern: RegExp; readonly remedy: string },
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
