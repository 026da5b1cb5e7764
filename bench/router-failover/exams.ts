// exams.ts: what each writer sends, and what the replies prove. Pure.
//
//   probe     SET p 0, SET p 1, ...                     its gap is the figure
//   values    SET v:0 0, SET v:1 1, ...                 each acknowledged one must be there in the end
//   counter   INCR c, INCR c, ...                       acknowledged <= counter <= acknowledged + uncertain, underreplicated
//   register  SET r 0, GET r, SET r 1, GET r, ...       a GET shows the SET before it: none older, none from later on
//   reader    SET k 1, GET k, GET k, ...                a read is never refused
//   wide      MSET w0 0 w1 0 ..., MGET w0 w1 ..., ...   a key in each partition: cut and merged
//
// Each writer has keys of its own, so what it reads is its own doing. Replies come in the order of the commands.
import { elementsOf } from "../../runtime/resp/reply-scanner.ts";

export type ExamName = "probe" | "values" | "counter" | "register" | "reader" | "wide";

/** What can be wrong, each a number of commands. */
export interface Faults {
  /** Acknowledged, and gone. */
  readonly lost: number;
  /** Executed more often than it was acknowledged or left uncertain. */
  readonly doubled: number;
  /** Reads that showed a write from behind their own place. */
  readonly ahead: number;
}

export const NO_FAULTS: Faults = { lost: 0, doubled: 0, ahead: 0 };

export interface Exam {
  next(): readonly string[];
  /** The reply to the oldest command without one, as it came. True: it was acknowledged. */
  hear(reply: Buffer): boolean;
  /** The commands that show what is there in the end. */
  questions(): readonly (readonly string[])[];
  /** The faults, with the replies to the questions, in their order. */
  judge(answers: readonly Buffer[]): Faults;
}

const MINUS = 45;

/** `prefixes`: what its keys begin with; of "wide" one for each key, of the others the first counts. */
export function examOf(name: ExamName, prefixes: readonly string[], valueBytes: number): Exam {
  const [prefix = ""] = prefixes;
  switch (name) {
    case "probe":
      return new ProbeExam(`${prefix}:p`);
    case "values":
      return new ValuesExam(`${prefix}:v`, valueBytes);
    case "counter":
      return new CounterExam(`${prefix}:c`);
    case "register":
      return new RegisterExam(`${prefix}:r`);
    case "reader":
      return new ReaderExam(`${prefix}:k`);
    case "wide":
      return new WideExam(prefixes.map((one) => `${one}:w`));
  }
}

/** The number in `:5` or in `$1 5`; -1 of nil: nothing was ever written. */
function numberIn(reply: Buffer): number {
  const text = reply.toString("latin1");
  const found = /^(?::|\$\d+\r\n)(\d+)/.exec(text);
  return found === null ? -1 : Number(found[1]);
}

class ProbeExam implements Exam {
  readonly #key: string;
  #next = 0;

  constructor(key: string) {
    this.#key = key;
  }

  next(): readonly string[] {
    return ["SET", this.#key, String(this.#next++)];
  }

  hear(reply: Buffer): boolean {
    return reply[0] !== MINUS;
  }

  questions(): readonly (readonly string[])[] {
    return [];
  }

  judge(): Faults {
    return NO_FAULTS;
  }
}

class ValuesExam implements Exam {
  readonly #key: string;
  readonly #padding: string;
  readonly #acknowledged: number[] = [];
  #sent = 0;
  #heard = 0;

  constructor(key: string, valueBytes: number) {
    this.#key = key;
    this.#padding = "v".repeat(valueBytes);
  }

  next(): readonly string[] {
    const number = this.#sent++;
    return ["SET", `${this.#key}:${number}`, `${number}${this.#padding}`];
  }

  hear(reply: Buffer): boolean {
    const number = this.#heard++;
    if (reply[0] === MINUS) return false;
    this.#acknowledged.push(number);
    return true;
  }

  questions(): readonly (readonly string[])[] {
    return this.#acknowledged.map((number) => ["EXISTS", `${this.#key}:${number}`]);
  }

  judge(answers: readonly Buffer[]): Faults {
    return { ...NO_FAULTS, lost: answers.filter((answer) => numberIn(answer) !== 1).length };
  }
}

/**
 * Nobody else counts, so each acknowledged value is one more than the one before, and more only by what was uncertain
 * in between. Less: acknowledged ones were lost. Compared from reply to reply, so that an uncertain one that was executed
 * hides no loss that came much later.
 */
class CounterExam implements Exam {
  readonly #key: string;
  #last = 0;
  #uncertain = 0;
  #lost = 0;
  #doubled = 0;

  constructor(key: string) {
    this.#key = key;
  }

  next(): readonly string[] {
    return ["INCR", this.#key];
  }

  hear(reply: Buffer): boolean {
    if (reply[0] === MINUS) {
      // Any other error says that it was not executed.
      if (/^-(UNCERTAIN|UNDERREPLICATED) /.test(reply.toString("latin1", 0, 20))) this.#uncertain++;
      return false;
    }
    this.#compare(numberIn(reply), this.#last + 1);
    return true;
  }

  #compare(value: number, expected: number): void {
    this.#lost += Math.max(expected - value, 0);
    this.#doubled += Math.max(value - expected - this.#uncertain, 0);
    this.#last = value;
    this.#uncertain = 0;
  }

  questions(): readonly (readonly string[])[] {
    return [["GET", this.#key]];
  }

  judge([answer]: readonly Buffer[]): Faults {
    if (answer !== undefined) this.#compare(Math.max(numberIn(answer), 0), this.#last);
    return { lost: this.#lost, doubled: this.#doubled, ahead: 0 };
  }
}

class RegisterExam implements Exam {
  readonly #key: string;
  #sent = 0;
  #heard = 0;
  /** The newest acknowledged number. */
  #known = -1;
  #lost = 0;
  #ahead = 0;

  constructor(key: string) {
    this.#key = key;
  }

  next(): readonly string[] {
    const turn = this.#sent++;
    return turn % 2 === 0 ? ["SET", this.#key, String(turn / 2)] : ["GET", this.#key];
  }

  hear(reply: Buffer): boolean {
    const turn = this.#heard++;
    const number = Math.floor(turn / 2);
    if (reply[0] === MINUS) return false;
    if (turn % 2 === 0) this.#known = number;
    else this.#read(numberIn(reply), number);
    return true;
  }

  #read(value: number, newest: number): void {
    if (value > newest) this.#ahead++;
    if (value < this.#known) this.#lost++;
    this.#known = Math.min(value, newest);
  }

  questions(): readonly (readonly string[])[] {
    return [["GET", this.#key]];
  }

  judge([answer]: readonly Buffer[]): Faults {
    if (answer !== undefined) this.#read(numberIn(answer), Math.floor(this.#sent / 2));
    return { lost: this.#lost, doubled: 0, ahead: this.#ahead };
  }
}

class ReaderExam implements Exam {
  readonly #key: string;
  #isWritten = false;
  #isHeard = false;
  #lost = 0;

  constructor(key: string) {
    this.#key = key;
  }

  next(): readonly string[] {
    if (this.#isWritten) return ["GET", this.#key];
    this.#isWritten = true;
    return ["SET", this.#key, "1"];
  }

  hear(reply: Buffer): boolean {
    if (reply[0] === MINUS) return false;
    if (this.#isHeard && numberIn(reply) !== 1) this.#lost++;
    this.#isHeard = true;
    return true;
  }

  questions(): readonly (readonly string[])[] {
    return [];
  }

  judge(): Faults {
    return { ...NO_FAULTS, lost: this.#lost };
  }
}

/** Each of its keys is a register of its own; what became of the parts of an MSET that failed is unknown. */
class WideExam implements Exam {
  readonly #keys: readonly string[];
  readonly #known: number[];
  #sent = 0;
  #heard = 0;
  #lost = 0;
  #ahead = 0;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
    this.#known = keys.map(() => -1);
  }

  next(): readonly string[] {
    const turn = this.#sent++;
    if (turn % 2 === 1) return ["MGET", ...this.#keys];
    return ["MSET", ...this.#keys.flatMap((key) => [key, String(turn / 2)])];
  }

  hear(reply: Buffer): boolean {
    const turn = this.#heard++;
    const number = Math.floor(turn / 2);
    if (reply[0] === MINUS) return false;
    if (turn % 2 === 0) this.#known.fill(number);
    else this.#read(reply, number);
    return true;
  }

  #read(reply: Buffer, newest: number): void {
    for (const [at, element] of (elementsOf(reply) ?? []).entries()) {
      const value = numberIn(element);
      if (value > newest) this.#ahead++;
      if (value < (this.#known[at] ?? -1)) this.#lost++;
      this.#known[at] = Math.min(value, newest);
    }
  }

  questions(): readonly (readonly string[])[] {
    return [["MGET", ...this.#keys]];
  }

  judge([answer]: readonly Buffer[]): Faults {
    if (answer !== undefined) this.#read(answer, Math.floor(this.#sent / 2));
    return { lost: this.#lost, doubled: 0, ahead: this.#ahead };
  }
}
