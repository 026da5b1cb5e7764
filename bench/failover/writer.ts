// writer.ts: writes keys {tag}:NAME:0, {tag}:NAME:1, ... each once, counts errors and goes on. The next batch goes out when
// the last one is answered, not before its time. A write that was not acknowledged is not repeated: what became of it
// is unknown, and only acknowledged ones are counted later.
import { encodeCommand } from "../../runtime/resp/encode.ts";
import type { Follower } from "./follower.ts";
import { Wire } from "./wire.ts";

export interface WriterPlan {
  readonly name: string;
  readonly tag: string;
  /** Writes that go out together. */
  readonly batch: number;
  /** From one batch's sending to the next one's at the earliest. */
  readonly everyMs: number;
  readonly valueBytes: number;
}

export interface Written {
  readonly plan: WriterPlan;
  /** Numbers of the acknowledged keys, and when each was acknowledged. */
  readonly numbers: readonly number[];
  readonly times: readonly number[];
  readonly errors: Readonly<Record<string, number>>;
}

/** After an error: often enough to see a recovery at once, seldom enough not to burn the core that recovers. */
const AFTER_ERROR_MS = 5;

export class Writer {
  readonly #plan: WriterPlan;
  readonly #follower: Follower;
  readonly #nowMs: () => number;
  readonly #value: string;
  readonly #numbers: number[] = [];
  readonly #times: number[] = [];
  readonly #errors: Record<string, number> = {};
  #wire: Wire | undefined;
  #isReady = false;
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;
  #next = 0;
  /** The batch under way: its first number, its size, and how many replies have come. */
  #first = 0;
  #replies = 0;
  #size = 0;
  #sentMs = 0;

  constructor(plan: WriterPlan, follower: Follower, nowMs: () => number) {
    this.#plan = plan;
    this.#follower = follower;
    this.#nowMs = nowMs;
    this.#value = "v".repeat(plan.valueBytes);
    follower.onMove(() => {
      // Nobody answers at the old place any more; what is under way there is lost sight of.
      this.#connect();
    });
    this.#connect();
  }

  get lastAckMs(): number {
    return this.#times.at(-1) ?? 0;
  }

  end(): Written {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#wire?.close();
    return {
      plan: this.#plan,
      numbers: this.#numbers,
      times: this.#times,
      errors: this.#errors,
    };
  }

  #connect(): void {
    if (this.#isEnded) return;
    clearTimeout(this.#timer);
    this.#wire?.close();
    this.#isReady = false;
    this.#size = 0;
    const port = this.#follower.port;
    if (port === undefined) {
      this.#after(AFTER_ERROR_MS, () => {
        this.#connect();
      });
      return;
    }
    this.#wire = new Wire(port, {
      onOpen: () => {
        this.#isReady = true;
        this.#send();
      },
      onReply: (raw) => {
        this.#reply(raw);
      },
      onBroken: (why) => {
        this.#count(why);
        this.#isReady = false;
        this.#after(AFTER_ERROR_MS, () => {
          this.#connect();
        });
      },
    });
  }

  #send(): void {
    if (this.#isEnded || !this.#isReady) return;
    const commands: Buffer[] = [];
    this.#first = this.#next;
    for (let index = 0; index < this.#plan.batch; index++) {
      commands.push(encodeCommand(["SET", keyOf(this.#plan, this.#next), this.#value]));
      this.#next += 1;
    }
    this.#size = this.#plan.batch;
    this.#replies = 0;
    this.#sentMs = this.#nowMs();
    this.#wire?.send(Buffer.concat(commands));
  }

  #reply(raw: Buffer): void {
    if (raw[0] === 43) {
      this.#numbers.push(this.#first + this.#replies);
      this.#times.push(this.#nowMs());
    } else {
      this.#count(raw.toString("latin1", 1).split(/\s/, 1)[0] ?? "");
      this.#follower.hint(raw);
    }
    const failed = raw[0] !== 43;
    this.#replies += 1;
    if (this.#replies < this.#size) return;
    const dueMs = this.#sentMs + this.#plan.everyMs - this.#nowMs();
    const waitMs = failed ? Math.max(dueMs, AFTER_ERROR_MS) : dueMs;
    if (waitMs <= 0) this.#send();
    else {
      this.#after(waitMs, () => {
        this.#send();
      });
    }
  }

  #after(waitMs: number, task: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#isEnded) this.#timer = setTimeout(task, waitMs);
  }

  #count(what: string): void {
    this.#errors[what] = (this.#errors[what] ?? 0) + 1;
  }
}

export function keyOf(plan: Pick<WriterPlan, "tag" | "name">, number: number): string {
  return `{${plan.tag}}:${plan.name}:${number}`;
}
