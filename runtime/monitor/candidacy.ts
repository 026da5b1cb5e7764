// candidacy.ts: a monitor that does not lead: watches the alpha's heartbeat and tries to become alpha when it stops.
// election.ts holds the rules; this file asks the register and keeps what was seen.
import { majorityOf } from "../core/cluster.ts";
import type { View } from "../core/view.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { RegisterReading, RegisterValue } from "../register/register.ts";
import { parseView } from "../status/parse-view.ts";
import {
  isNewer,
  mayContend,
  startWatch,
  watchOn,
  type Pulse,
  type Watch,
} from "./decide/election.ts";
import { hashingClash } from "./decide/adopt-conf.ts";
import { firstView, inheritedView } from "./decide/first-view.ts";
import { beginTerm, type Term, type TermOptions } from "./term.ts";

export interface CandidacyOptions extends TermOptions {
  readonly random: Random;
  readonly log: Log;
  readonly read: (withBody: boolean) => Promise<RegisterReading>;
}

export interface Candidacy {
  /** One look at the register; a term when this monitor has just become alpha. */
  tick(): Promise<Term | undefined>;
  /** After a term: watch anew. */
  restart(): void;
  /** The last view read. */
  view(): View | null;
  /** Whether the heartbeat moved within the last lease or is too new to judge. */
  isAlphaAlive(): boolean;
  /** Why this monitor is no use at the moment; empty when all is well. */
  trouble(): string;
}

export function runForAlpha(options: CandidacyOptions): Candidacy {
  const { clock, emit, proposer, random } = options;
  let watch: Watch | undefined;
  let view: View | null = null;
  let trouble = "";

  const leaseMs = (): number => options.config().settings.leaseMs;

  const note = (why: string, reasons: readonly string[]): void => {
    if (why !== "" && trouble === "") emit("-register", { reasons });
    if (why === "" && trouble !== "") emit("+register");
    trouble = why;
  };
  /** After an attempt that came to nothing: not all contenders try again at the same moment. */
  const backOff = (): void => {
    if (watch === undefined) return;
    const restMs = leaseMs() * (0.2 + 0.8 * random.next());
    watch = { ...watch, sinceMs: clock.nowMs() - leaseMs(), spreadMs: restMs };
  };

  const look = async (): Promise<void> => {
    const reading = await options.read(false);
    const { value } = reading;
    // Twenty thousand bytes five times a second would be much for nothing: the body only when it is another one.
    if (value !== null && (value.revision !== view?.revision || value.epoch !== view.epoch)) {
      const body = (await options.read(true)).value?.body ?? null;
      if (body !== null) view = parseView(body);
    }
    const pulse: Pulse = { epoch: value?.epoch ?? 0, heartbeat: reading.heartbeat };
    const nowMs = clock.nowMs();
    watch =
      watch === undefined
        ? startWatch(pulse, nowMs, leaseMs(), random.next())
        : watchOn(watch, pulse, nowMs, leaseMs(), random.next());
    const needed = majorityOf(reading.answered.length + reading.silent.size);
    const reasons = [...reading.silent].map(([node, why]) => `${node}: ${why}`);
    if (reading.answered.length < needed) {
      note(`${reading.answered.length} of the ${needed} status nodes needed answer`, reasons);
    } else note("", []);
  };

  /**
   * 1. No promise of a majority: try again later.
   * 2. A heartbeat newer than the one watched: somebody leads after all, give way and watch on.
   * 3. Otherwise this monitor's first value is the next epoch with itself as alpha.
   */
  const contend = async (watched: Watch): Promise<Term | undefined> => {
    const prepared = await proposer.prepare();
    if (prepared.kind !== "prepared") {
      if (prepared.kind === "no-majority") note(prepared.reasons.join("; "), prepared.reasons);
      backOff();
      return undefined;
    }
    const { value } = prepared;
    const pulse = pulseOf(value);
    if (isNewer(pulse, watched.pulse)) {
      proposer.giveWay();
      watch = startWatch(pulse, clock.nowMs(), leaseMs(), random.next());
      return undefined;
    }
    const before = value === null || value.body === null ? null : parseView(value.body);
    const clash = before === null ? undefined : hashingClash(before, options.config());
    if (clash !== undefined) {
      proposer.giveWay();
      if (trouble !== clash) emit("-conf", { refused: true, why: clash });
      trouble = clash;
      backOff();
      return undefined;
    }
    return write(before);
  };

  const write = async (before: View | null): Promise<Term | undefined> => {
    const wallTime = clock.wallTime();
    const first =
      before === null
        ? firstView(options.config(), options.confDigest(), options.name, wallTime)
        : inheritedView(before, options.name, wallTime);
    const { epoch, revision } = first;
    const sentAtMs = clock.nowMs();
    const chosen = await proposer.write({ body: JSON.stringify(first), epoch, revision });
    if (chosen.kind !== "chosen") {
      backOff();
      return undefined;
    }
    note("", []);
    view = first;
    return beginTerm(options, first, before, sentAtMs);
  };

  return {
    tick: async () => {
      await look();
      if (watch === undefined || !mayContend(watch, clock.nowMs(), leaseMs())) return undefined;
      return contend(watch);
    },
    restart: () => {
      watch = undefined;
    },
    view: () => view,
    isAlphaAlive: () =>
      watch !== undefined && watch.pulse.epoch > 0 && clock.nowMs() - watch.sinceMs <= leaseMs(),
    trouble: () => trouble,
  };
}

function pulseOf(value: RegisterValue | null): Pulse {
  return { epoch: value?.epoch ?? 0, heartbeat: value?.heartbeat ?? 0 };
}
