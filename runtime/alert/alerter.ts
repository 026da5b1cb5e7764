// alerter.ts: joins the rules of incidents.ts to a board and a mail server. Every monitor looks; only the alpha mails.
//
//   look (view) --> book --due--> mail --taken--> told --> record on the status nodes
//
// Nothing here is waited for: look() returns at once, and at most one piece of work is under way. A mail counts as told
// once a server took it, and is recorded after that: an alpha that dies in between has its last mail repeated, which is
// better than a mail that nobody sent.
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import { itemsDue, lookOn, retryMs, toldOf, type Book, type Item } from "./incidents.ts";
import { incidentMail, type MailTemplates } from "./mail.ts";
import { adoptRecord, recordOf } from "./record.ts";
import type { MailRoute, SendMail } from "./sender.ts";
import { troublesOf } from "./troubles.ts";

/** Where the alpha's book is kept for its successors. */
export interface MailedBoard {
  /** null before the first record. */
  readMailed(): Promise<string | null>;
  writeMailed(json: string): Promise<void>;
}

export interface AlertSettings extends MailRoute {
  readonly alertAfterMs: number;
}

export interface AlertNews {
  readonly kind: "sent" | "failed";
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface AlerterOptions {
  /** The monitor's name. */
  readonly name: string;
  readonly clock: Clock;
  readonly settings: () => AlertSettings;
  readonly board: MailedBoard;
  readonly send: SendMail;
  readonly templates: MailTemplates;
  readonly onNews: (news: AlertNews) => void;
  /** The board could not be read or written; it is tried again. */
  readonly onTrouble: (error: unknown) => void;
}

export interface Alerter {
  /** `view` as this monitor knows it; `isAlpha`: it leads, with a lease that stands. */
  look(view: View, isAlpha: boolean): void;
  stop(): void;
}

/** The board is asked again after this long when it failed. */
const BOARD_REST_MS = 2000;

export function createAlerter(options: AlerterOptions): Alerter {
  return new RunningAlerter(options);
}

class RunningAlerter implements Alerter {
  readonly #options: AlerterOptions;
  readonly #abort = new AbortController();
  #book: Book = new Map();
  #isAdopted = false;
  #isBusy = false;
  #written = "";
  #lastMailMs: number | null = null;
  #failures = 0;
  #notBeforeMs = -Infinity;
  #boardNotBeforeMs = -Infinity;

  constructor(options: AlerterOptions) {
    this.#options = options;
  }

  look(view: View, isAlpha: boolean): void {
    const { settings, clock } = this.#options;
    const { to, alertAfterMs } = settings();
    if (to.length === 0 || this.#abort.signal.aborted) {
      this.#book = new Map();
      return;
    }
    const troubles = troublesOf(view);
    const nowMs = clock.nowMs();
    const wallTime = clock.wallTime();
    this.#book = lookOn(this.#book, { troubles, nowMs, wallTime, alertAfterMs, isAlpha });
    if (!isAlpha) this.#follow();
    else if (!this.#isBusy) void this.#work(view);
  }

  stop(): void {
    this.#abort.abort();
  }

  #follow(): void {
    this.#isAdopted = false;
    this.#failures = 0;
    this.#notBeforeMs = -Infinity;
  }

  async #work(view: View): Promise<void> {
    this.#isBusy = true;
    try {
      if (!this.#isAdopted) await this.#adopt();
      if (this.#isAdopted) {
        await this.#mail(view);
        await this.#record();
      }
    } finally {
      this.#isBusy = false;
    }
  }

  async #adopt(): Promise<void> {
    await this.#onBoard(async (board) => {
      const record = await board.readMailed();
      this.#book = adoptRecord(this.#book, record, this.#options.clock.nowMs());
      this.#written = record ?? "";
      this.#isAdopted = true;
    });
  }

  async #mail(view: View): Promise<void> {
    const { clock, settings, send, onNews } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs < this.#notBeforeMs) return;
    const items = itemsDue(this.#book, nowMs, this.#lastMailMs);
    if (items.length === 0) return;
    const mail = this.#compose(view, items);
    try {
      const sent = await send(settings(), mail, this.#abort.signal);
      this.#failures = 0;
      this.#lastMailMs = clock.nowMs();
      this.#book = toldOf(this.#book, items, this.#lastMailMs);
      const { accepted, rejected } = sent;
      const left = rejected.length === 0 ? {} : { rejected };
      onNews({ kind: "sent", fields: { subject: mail.subject, to: accepted, ...left } });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#failures += 1;
      const retryInMs = retryMs(this.#failures);
      this.#notBeforeMs = clock.nowMs() + retryInMs;
      const why = error instanceof Error ? error.message : String(error);
      onNews({ kind: "failed", fields: { subject: mail.subject, why, retryInMs } });
    }
  }

  #compose(view: View, items: readonly Item[]) {
    const { name, templates, settings } = this.#options;
    const due = new Set(items.map(({ incident }) => incident.id));
    const standing = [...this.#book.values()].filter(
      ({ id, phase }) => phase === "open" && !due.has(id),
    );
    const { alertAfterMs } = settings();
    return incidentMail({ view, monitor: name, items, standing, alertAfterMs }, templates);
  }

  async #record(): Promise<void> {
    const record = recordOf(this.#book);
    if (record === this.#written || (this.#written === "" && isEmpty(this.#book))) return;
    await this.#onBoard(async (board) => {
      await board.writeMailed(record);
      this.#written = record;
    });
  }

  async #onBoard(task: (board: MailedBoard) => Promise<void>): Promise<void> {
    const { board, clock, onTrouble } = this.#options;
    if (clock.nowMs() < this.#boardNotBeforeMs) return;
    try {
      await task(board);
    } catch (error) {
      this.#boardNotBeforeMs = clock.nowMs() + BOARD_REST_MS;
      onTrouble(error);
    }
  }
}

function isEmpty(book: Book): boolean {
  return [...book.values()].every(({ phase, times }) => phase === "brewing" && times === 0);
}
