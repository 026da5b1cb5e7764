// alerter.ts: connects the rules of incidents.ts with the shared hashes and a mail server. Every monitor runs it; only the
// alpha sends mail.
//
//   look (view) --> book --due--> mail --accepted--> mailed --> record on the status nodes
//
// No caller waits: look() returns at once, and at most one task is under way. A mail counts as sent when a server has
// accepted it, and is recorded after that. If the alpha dies in between, its last mail is sent again, which is better than
// a lost mail.
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import { itemsDue, lookOn, retryMs, toldOf, type Book, type Item } from "./incidents.ts";
import { incidentMail, type MailTemplates } from "./mail.ts";
import { adoptRecord, recordOf } from "./record.ts";
import type { MailRoute, SendMail } from "./sender.ts";
import { troublesOf } from "./troubles.ts";
import { errorText } from "../core/error-text.ts";

/** The record of the alpha's incidents for its successors. */
export interface MailedHash {
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
  readonly hashes: MailedHash;
  readonly send: SendMail;
  readonly templates: MailTemplates;
  readonly onNews: (news: AlertNews) => void;
  /** Called when the shared hashes could not be read or written; this is tried again. */
  readonly onTrouble: (error: unknown) => void;
}

export interface Alerter {
  /** `view`: this monitor's view; `isAlpha`: it leads, and its lease has not ended. */
  look(view: View, isAlpha: boolean): void;
  stop(): void;
}

/** The pause after a failed access to the shared hashes. */
const HASHES_REST_MS = 2000;

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
  #hashesNotBeforeMs = -Infinity;

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
    await this.#withHashes(async (hashes) => {
      const record = await hashes.readMailed();
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
      const why = errorText(error);
      onNews({ kind: "failed", fields: { subject: mail.subject, why, retryInMs } });
    }
  }

  #compose(view: View, items: readonly Item[]) {
    const { name, templates, settings } = this.#options;
    const due = new Set(items.map(({ incident }) => incident.id));
    const health = [...this.#book.values()].filter(
      ({ id, phase }) => phase === "open" && !due.has(id),
    );
    const { alertAfterMs } = settings();
    return incidentMail({ view, monitor: name, items, health, alertAfterMs }, templates);
  }

  async #record(): Promise<void> {
    const record = recordOf(this.#book);
    if (record === this.#written || (this.#written === "" && isEmpty(this.#book))) return;
    await this.#withHashes(async (hashes) => {
      await hashes.writeMailed(record);
      this.#written = record;
    });
  }

  async #withHashes(task: (hashes: MailedHash) => Promise<void>): Promise<void> {
    const { hashes, clock, onTrouble } = this.#options;
    if (clock.nowMs() < this.#hashesNotBeforeMs) return;
    try {
      await task(hashes);
    } catch (error) {
      this.#hashesNotBeforeMs = clock.nowMs() + HASHES_REST_MS;
      onTrouble(error);
    }
  }
}

function isEmpty(book: Book): boolean {
  return [...book.values()].every(({ phase, times }) => phase === "brewing" && times === 0);
}
