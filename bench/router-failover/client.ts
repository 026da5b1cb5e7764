// client.ts: one connection to the router that sends an exam's commands, batch after batch, and counts. The next batch goes
// out when the last one is answered, not before its time. Nothing is repeated: a client that sees an error goes on.
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { Wire } from "../failover/wire.ts";
import { examOf, type Exam, type ExamName } from "./exams.ts";

export interface ClientPlan {
  readonly exam: ExamName;
  /** Where its keys lie; null: in all of them. */
  readonly partition: number | null;
  /** Its keys begin with these, and a hash tag in them decides where they lie. */
  readonly prefixes: readonly string[];
  /** Commands that go out together. */
  readonly batch: number;
  /** From one batch's sending to the next one's at the earliest. */
  readonly everyMs: number;
  readonly valueBytes: number;
}

export interface ClientResult {
  readonly plan: ClientPlan;
  /** When something was acknowledged, rising, no two closer than 0.5 ms. */
  readonly times: readonly number[];
  readonly replies: number;
  /** Error replies and broken connections, by their first word. */
  readonly errors: Readonly<Record<string, number>>;
  readonly faults: Readonly<{ lost: number; doubled: number; ahead: number }>;
}

const FINEST_MS = 0.5;
const MINUS = 45;
/** After a broken connection, of which there should be none. */
const AGAIN_MS = 20;

export class Client {
  readonly #plan: ClientPlan;
  readonly #exam: Exam;
  readonly #port: number;
  readonly #nowMs: () => number;
  readonly #times: number[] = [];
  readonly #errors: Record<string, number> = {};
  #replies = 0;
  #wire: Wire | undefined;
  #owed = 0;
  #sentMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #drained: (() => void) | undefined;
  /** Set while questions are asked: their answers. */
  #answers: Buffer[] | undefined;

  constructor(plan: ClientPlan, port: number, nowMs: () => number) {
    this.#plan = plan;
    this.#port = port;
    this.#nowMs = nowMs;
    this.#exam = examOf(plan.exam, plan.prefixes, plan.valueBytes);
    this.#connect();
  }

  get lastAckMs(): number {
    return this.#times.at(-1) ?? 0;
  }

  /** Sends no more, waits for what is owed, looks what is there, and closes. */
  async end(): Promise<ClientResult> {
    clearTimeout(this.#timer);
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
      if (this.#owed === 0) resolve();
    });
    const answers = await this.#ask(this.#exam.questions());
    this.#wire?.close();
    const [plan, times, replies, errors] = [this.#plan, this.#times, this.#replies, this.#errors];
    return { plan, times, replies, errors, faults: this.#exam.judge(answers) };
  }

  async #ask(questions: readonly (readonly string[])[]): Promise<readonly Buffer[]> {
    const answers: Buffer[] = [];
    this.#answers = answers;
    for (let from = 0; from < questions.length; from += 500) {
      const some = questions.slice(from, from + 500);
      this.#owed = some.length;
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
        this.#wire?.send(Buffer.concat(some.map((args) => encodeCommand(args))));
      });
    }
    return answers;
  }

  #connect(): void {
    this.#wire = new Wire(this.#port, {
      onOpen: () => {
        this.#send();
      },
      onReply: (raw) => {
        this.#hear(raw);
      },
      onBroken: (why) => {
        this.#broken(why);
      },
    });
  }

  #send(): void {
    if (this.#drained !== undefined) return;
    const commands: Buffer[] = [];
    for (let index = 0; index < this.#plan.batch; index++) {
      commands.push(encodeCommand(this.#exam.next()));
    }
    this.#owed = commands.length;
    this.#sentMs = this.#nowMs();
    this.#wire?.send(Buffer.concat(commands));
  }

  #hear(raw: Buffer): void {
    if (this.#answers === undefined) this.#judge(raw);
    else this.#answers.push(Buffer.from(raw));
    if (--this.#owed > 0) return;
    if (this.#drained !== undefined) {
      this.#drained();
      return;
    }
    const waitMs = this.#sentMs + this.#plan.everyMs - this.#nowMs();
    if (waitMs <= 0) this.#send();
    else {
      this.#timer = setTimeout(() => {
        this.#send();
      }, waitMs);
    }
  }

  #judge(raw: Buffer): void {
    this.#replies++;
    const isAcknowledged = this.#exam.hear(raw);
    if (raw[0] === MINUS) this.#count(raw.toString("latin1", 1).split(/\s/, 1)[0] ?? "");
    const nowMs = this.#nowMs();
    if (isAcknowledged && nowMs - this.lastAckMs >= FINEST_MS) this.#times.push(nowMs);
  }

  /** A router never closes a connection because of a failover: this is counted as an error. */
  #broken(why: string): void {
    this.#count(`connection:${why}`);
    const unknown = Buffer.from("-UNCERTAIN the connection broke\r\n");
    for (; this.#owed > 0; this.#owed--) this.#exam.hear(unknown);
    this.#drained?.();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#connect();
    }, AGAIN_MS);
  }

  #count(what: string): void {
    this.#errors[what] = (this.#errors[what] ?? 0) + 1;
  }
}
