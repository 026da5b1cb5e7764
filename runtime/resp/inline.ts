// inline.ts: splits an inline command (one line of text) as Redis does (sds.c, sdssplitargs). Pure.
// White space separates words. "double quotes" support \n \r \t \b \a and \xHH, 'single quotes' only \'. A closing quote
// ends its word: white space or the end of the line must follow.
import { RespError } from "./limits.ts";

const SPACE = new Set([9, 10, 11, 12, 13, 32]);
/** Redis skips six kinds of white space between words, but only these end one. */
const WORD_ENDS = new Set([0, 9, 10, 13, 32]);
const BACKSLASH = 92;
const DOUBLE = 34;
const SINGLE = 39;
const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, b: 8, a: 7 };

/** The words of a line without its newline; empty for an empty line. Throws RespError on unbalanced quotes. */
export function splitInline(line: Buffer): Buffer[] {
  const words: Buffer[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++;
    // Redis reads the line as a C string: a zero byte ends it.
    if (at >= line.length || line[at] === 0) return words;
    const word: number[] = [];
    at = readWord(line, at, word);
    words.push(Buffer.from(word));
  }
}

/** Appends the word that begins at `from` to `word`; returns its end. */
function readWord(line: Buffer, from: number, word: number[]): number {
  let at = from;
  while (at < line.length) {
    const byte = line[at] ?? 0;
    if (WORD_ENDS.has(byte)) return at;
    if (byte === DOUBLE || byte === SINGLE) return readQuoted(line, at + 1, byte, word);
    word.push(byte);
    at++;
  }
  return at;
}

function readQuoted(line: Buffer, from: number, quote: number, word: number[]): number {
  let at = from;
  while (at < line.length) {
    const byte = line[at] ?? 0;
    if (byte === quote) {
      if (at + 1 < line.length && !isSpace(line[at + 1])) break;
      return at + 1;
    }
    if (byte === BACKSLASH && quote === DOUBLE && at + 1 < line.length) {
      at = readEscape(line, at, word);
    } else if (byte === BACKSLASH && line[at + 1] === SINGLE) {
      word.push(SINGLE);
      at += 2;
    } else {
      word.push(byte);
      at++;
    }
  }
  throw new RespError("unbalanced quotes in request");
}

function readEscape(line: Buffer, at: number, word: number[]): number {
  const hex = /^\\x([0-9a-fA-F]{2})/.exec(line.toString("latin1", at, at + 4));
  if (hex !== null) {
    word.push(Number.parseInt(hex[1] ?? "", 16));
    return at + 4;
  }
  const escaped = line[at + 1] ?? 0;
  word.push(ESCAPES[String.fromCharCode(escaped)] ?? escaped);
  return at + 2;
}

function isSpace(byte: number | undefined): boolean {
  return byte !== undefined && SPACE.has(byte);
}
