// nutcracker-yaml.ts: the pools of a nutcracker.yml, each with settings of one word and lists of words, and the place of every
// word. Pure. YAML itself is read by the package yaml, without types: for nutcracker every scalar is a text.
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type YAMLMap,
} from "yaml";
import type { Problem, SourceAt } from "../../core/errors.ts";

export interface YamlWord {
  readonly text: string;
  readonly at: SourceAt;
}

export interface YamlSetting {
  readonly key: YamlWord;
  /** Of a list: its items. */
  readonly value: YamlWord | readonly YamlWord[];
}

export interface YamlPool {
  readonly name: YamlWord;
  readonly settings: readonly YamlSetting[];
}

export interface YamlRead {
  readonly pools: readonly YamlPool[];
  readonly errors: readonly Problem[];
}

const SHAPE =
  "write it as nutcracker reads it: POOL: on a line of its own, and below it KEY: VALUE";

export function readNutcrackerYaml(text: string, file: string): YamlRead {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    ...{ lineCounter, schema: "failsafe", prettyErrors: false },
    // Pools and settings that are there twice are named with their places by nutcracker.ts.
    uniqueKeys: false,
  });
  return new PoolReader(document, lineCounter, text, file).read();
}

class PoolReader {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #text: string;
  readonly #file: string;
  readonly #errors: Problem[] = [];

  constructor(document: Document, lines: LineCounter, text: string, file: string) {
    this.#document = document;
    this.#lines = lines;
    this.#text = text;
    this.#file = file;
  }

  read(): YamlRead {
    const [error] = this.#document.errors;
    // After the first one the rest of the document is a guess.
    if (error !== undefined) this.#complain(this.#at(error.pos[0]), lowered(error.message));
    const { contents } = this.#document;
    const pools = error === undefined && contents !== null ? this.#pools(contents) : [];
    return { pools, errors: this.#errors };
  }

  #pools(contents: unknown): YamlPool[] {
    if (!isMap(contents)) {
      this.#complain(this.#placeOf(contents), "it holds no pool");
      return [];
    }
    return contents.items.flatMap(({ key, value }) => {
      const name = this.#word(key);
      if (name === undefined) return [];
      if (isMap(value)) return { name, settings: this.#settings(value) };
      this.#complain(name.at, `'${name.text}' stands where a pool's name is wanted`);
      return [];
    });
  }

  #settings(pool: YAMLMap): YamlSetting[] {
    return pool.items.flatMap(({ key, value }) => {
      const word = this.#word(key);
      if (word === undefined) return [];
      if (isSeq(value)) {
        return { key: word, value: value.items.flatMap((item) => this.#word(item) ?? []) };
      }
      if (value === null) {
        this.#complain(word.at, `'${word.text.slice(0, 40)}' is no setting`);
        return [];
      }
      const text = this.#word(value);
      return text === undefined ? [] : { key: word, value: text };
    });
  }

  /** undefined, with a complaint: a map, a list or an alias. */
  #word(node: unknown): YamlWord | undefined {
    const at = this.#placeOf(node);
    if (isScalar(node)) return { text: typeof node.value === "string" ? node.value : "", at };
    this.#complain(at, "a single word is wanted here");
    return undefined;
  }

  #placeOf(node: unknown): SourceAt {
    const range = typeof node === "object" && node !== null && "range" in node ? node.range : null;
    return this.#at(Array.isArray(range) ? Number(range[0]) : 0);
  }

  #at(given: number): SourceAt {
    // Some errors of the package begin at the line's indentation.
    const offset = given + (/^ */.exec(this.#text.slice(given, given + 200))?.[0].length ?? 0);
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  #complain(at: SourceAt, message: string): void {
    this.#errors.push({ code: "YAML_UNREADABLE", message, at, remedy: SHAPE });
  }
}

/** The first line of the package's message, as a part of a sentence. */
function lowered(message: string): string {
  const [line = ""] = message.split("\n");
  return `it is no YAML: ${line.charAt(0).toLowerCase()}${line.slice(1)}`;
}
