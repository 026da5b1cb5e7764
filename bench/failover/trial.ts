// trial.ts: one kill of one contender, seen from the writers.
//
//   well ─▶ empty ─▶ writers begin ─▶ warm ─▶ before ─▶ FAULT ─▶ acknowledged again ─▶ settle ─▶ writers end
//        ─▶ after ─▶ mend ─▶ well ─▶ count what is missing
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { nowMs } from "../machine-clock.ts";
import type { Contender, Place } from "./contender.ts";
import { longestGap, type Trial } from "./figures.ts";
import { wait, type Kind } from "./kinds.ts";
import { Wire } from "./wire.ts";
import { keyOf, type WriterPlan, type Written } from "./writer.ts";
import type { Writers } from "./writers.ts";

export interface TrialOptions {
  readonly index: number;
  /** From the first write to the fault. */
  readonly warmMs: number;
  readonly valueBytes: number | undefined;
  /** Writes per batch of the second writer; 0: there is no second writer. */
  readonly batch: number;
}

const GIVEN_UP_MS = 30_000;
const WELL_WITHIN_MS = 90_000;
/** A write acknowledged this long after the fault was not on its way when the fault came. */
const ON_ITS_WAY_MS = 150;
const SETTLE_MS = 500;
const LOOK_EVERY_MS = 25;

export async function runTrial(
  contender: Contender,
  kind: Kind,
  writers: Writers,
  options: TrialOptions,
): Promise<Trial> {
  await untilWell(contender);
  await contender.empty();
  await untilWell(contender);
  const roles = await contender.roles();
  writers.begin({ writers: ordersOf(contender, kind, options) });
  await wait(options.warmMs);
  await kind.before(roles);
  const killedAt = new Date();
  const killMs = nowMs();
  await kind.fault(roles);
  await untilWritable(writers, killMs);
  const timeline = await contender.timeline(killedAt);
  const written = await writers.end();
  const endMs = nowMs();
  await kind.after(roles);
  await contender.mend(roles.master);
  await untilWell(contender);
  const healMs = nowMs() - endMs;
  const [steady, batch] = written.filter(({ plan }) => plan.tag === contender.place.tag);
  const elsewhere = written.find(({ plan }) => plan.tag === contender.elsewhere?.tag);
  let lost = 0;
  for (const one of [steady, batch]) {
    if (one !== undefined) lost += await countMissing(contender, one);
  }
  const gapOf = (one: Written | undefined): number | null =>
    one === undefined ? null : (longestGap(one.times, killMs) ?? null);
  return {
    contender: contender.name,
    kind: kind.name,
    index: options.index,
    gapMs: gapOf(steady),
    batchGapMs: gapOf(batch),
    elsewhereGapMs: gapOf(elsewhere),
    acknowledged: (steady?.numbers.length ?? 0) + (batch?.numbers.length ?? 0),
    lost,
    errors: addUp([steady?.errors ?? {}, batch?.errors ?? {}]),
    healMs,
    timeline,
  };
}

/** The steady writer comes first: its gap is the figure. */
function ordersOf(
  contender: Contender,
  kind: Kind,
  { index, valueBytes = kind.valueBytes, batch }: TrialOptions,
): { plan: WriterPlan; place: Place }[] {
  const { place, elsewhere } = contender;
  const plan = { name: `s${index}`, tag: place.tag, batch: 1, everyMs: 5, valueBytes };
  const orders = [{ plan, place }];
  if (batch > 0) {
    orders.push({ plan: { ...plan, name: `b${index}`, batch, everyMs: 0 }, place });
  }
  if (elsewhere !== undefined) {
    orders.push({ plan: { ...plan, tag: elsewhere.tag }, place: elsewhere });
  }
  return orders;
}

/** Until both writers of the killed partition were answered after the fault, or nobody believes in it any more. */
async function untilWritable(writers: Writers, killMs: number): Promise<void> {
  while (nowMs() - killMs < GIVEN_UP_MS) {
    const acks = await writers.lastAcks();
    if (acks.every((lastMs) => lastMs > killMs + ON_ITS_WAY_MS)) {
      await wait(SETTLE_MS);
      return;
    }
    await wait(LOOK_EVERY_MS);
  }
}

async function untilWell(contender: Contender): Promise<void> {
  const endMs = nowMs() + WELL_WITHIN_MS;
  while (!(await contender.isWell())) {
    if (nowMs() > endMs) {
      throw new Error(`${contender.name} is not well again after ${WELL_WITHIN_MS / 1000} s`);
    }
    await wait(LOOK_EVERY_MS);
  }
}

/** Asks for every acknowledged key, a thousand in one go. */
async function countMissing(contender: Contender, { plan, numbers }: Written): Promise<number> {
  const port = await contender.readPort();
  const keys = numbers.map((number) => keyOf(plan, number));
  let missing = 0;
  for (let at = 0; at < keys.length; at += 1000) {
    const some = keys.slice(at, at + 1000);
    const replies = await askAll(port, some);
    for (const reply of replies) {
      if (reply === ":0\r\n") missing += 1;
      else if (reply !== ":1\r\n") throw new Error(`${contender.name}: EXISTS gave ${reply}`);
    }
  }
  return missing;
}

function askAll(port: number, keys: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const replies: string[] = [];
    const wire = new Wire(port, {
      onOpen: () => {
        wire.send(Buffer.concat(keys.map((key) => encodeCommand(["EXISTS", key]))));
      },
      onReply: (raw) => {
        replies.push(raw.toString("latin1"));
        if (replies.length < keys.length) return;
        wire.close();
        resolve(replies);
      },
      onBroken: (why) => {
        reject(new Error(`port ${port}: ${why}`));
      },
    });
  });
}

function addUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of counts) {
    for (const [what, count] of Object.entries(one)) sum[what] = (sum[what] ?? 0) + count;
  }
  return sum;
}
