// trace.ts: what happened, a line each, and a hash over all of it: two runs of one seed must agree to the last line.

export class Trace {
  readonly lines: string[] = [];
  readonly #nowMs: () => number;
  #hash = 0x811c9dc5;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(text: string): void {
    const line = `${this.#nowMs().toFixed(2).padStart(9)} ${text}`;
    this.lines.push(line);
    this.#mix(line);
  }

  /** FNV-1a over the lines, http://www.isthe.com/chongo/tech/comp/fnv/. */
  hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  #mix(line: string): void {
    let hash = this.#hash;
    for (let index = 0; index < line.length; index++) {
      hash = Math.imul(hash ^ line.charCodeAt(index), 0x01000193);
    }
    this.#hash = hash;
  }
}
