// lines.ts: splits a text into lines and words with their locations. Pure.
//
//   backup-dir "/mnt/my backups"   # why
//   ^word 1    ^word 2, quoted     ^comment: from a # that begins a word
//
// Why a # must begin a word: paths and directives may contain one (`backup-dir /mnt/disk#1`). Words of node lines can't,
// so a comment may follow them without a space. Quotes keep white space and # inside a word.

export interface Word {
  /** Without quotes and escapes. */
  readonly text: string;
  /** Offsets in the line, from the first character to after the last one, quotes included. */
  readonly start: number;
  readonly end: number;
}

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  readonly words: readonly Word[];
  /** An error in a quoted word: its message and its offset. */
  readonly flaw?: { readonly message: string; readonly offset: number };
}

const BLANK = /\s/;

/** The lines with words; without comments and blank lines. Accepts LF, CRLF and CR, and a BOM. */
export function linesOf(text: string): Line[] {
  const body = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const lines: Line[] = [];
  body.split(/\r\n|\n|\r/).forEach((line, index) => {
    const read = readLine(line, index + 1);
    if (read.words.length > 0 || read.flaw !== undefined) lines.push(read);
  });
  return lines;
}

/** Splits one line into words. */
export function readLine(text: string, number: number): Line {
  const words: Word[] = [];
  let offset = 0;
  for (;;) {
    while (offset < text.length && BLANK.test(text.charAt(offset))) offset++;
    if (offset === text.length || text[offset] === "#") return { number, text, words };
    const quote = text[offset];
    if (quote === '"' || quote === "'") {
      const word = readQuoted(text, offset, quote);
      if (typeof word === "string") {
        return { number, text, words, flaw: { message: word, offset } };
      }
      words.push(word);
      offset = word.end;
    } else {
      const start = offset;
      while (offset < text.length && !BLANK.test(text.charAt(offset))) offset++;
      words.push({ text: text.slice(start, offset), start, end: offset });
    }
  }
}

/** The quoted word at `start`, or an error message. A backslash escapes a quote or a backslash. */
function readQuoted(text: string, start: number, quote: string): Word | string {
  let inside = "";
  for (let offset = start + 1; offset < text.length; offset++) {
    const character = text.charAt(offset);
    const next = text.charAt(offset + 1);
    if (character === "\\" && (next === quote || next === "\\")) {
      inside += next;
      offset++;
    } else if (character !== quote) {
      inside += character;
    } else {
      const end = offset + 1;
      if (end < text.length && !BLANK.test(text.charAt(end))) {
        return `the quote that opens here closes right before '${text.slice(end, end + 10)}'`;
      }
      return { text: inside, start, end };
    }
  }
  return "the quote that opens here is never closed";
}

/** Prints a word so that it parses to the same word. */
export function printWord(text: string): string {
  if (text !== "" && !/[\s"'\\]/.test(text) && !text.startsWith("#")) return text;
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
