// take-cut.ts: pauses the writes of all masters, samples every offset twice, and unpauses the writes.
//
//   PAUSE, INFO to all --all answered--> INFO, UNPAUSE to all --no offset has moved--> the first samples are the cut
//        \------------\-- late, an error, a broken link: UNPAUSE to all, void
//
// Every first sample is taken before every second one. A master with the same offset in both executed no write between
// them. So between the last first sample and the first second one all masters held exactly their samples. The pauses make
// this likely, and the comparison proves it, even if a pause ended behind a script of a second (seen), if somebody ended
// it, or if this process was stopped meanwhile. It depends on no clock.
// Commands of one link are executed in order: an UNPAUSE ends a PAUSE that is still on its way. Answers are parsed after
// writes are unpaused. https://redis.io/docs/latest/commands/client-pause/
import type { Cut, CutMark } from "../../core/cut.ts";
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink, RedisReply } from "../../ports/redis-link.ts";
import { infoFields } from "../../resp/info-fields.ts";
import { errorText } from "../../core/error-text.ts";
import { RULES, type Rules } from "../decide/rules.ts";

/** Sends several commands at once; each has a reply of its own. */
export interface BurstLink {
  burst(commands: readonly CutCommand[]): readonly Promise<RedisReply>[];
}

export type CutCommand = readonly [string, ...string[]];

export interface CutLink {
  readonly node: string;
  readonly link: BurstLink | Pick<RedisLink, "call">;
}

function burst({ link }: CutLink, commands: readonly CutCommand[]): readonly Promise<RedisReply>[] {
  if ("burst" in link) return link.burst(commands);
  return commands.map(([name, ...args]) => link.call(name, ...args));
}

export type CutRules = Pick<Rules, "isStill" | "samplesAllFirst" | "firstSamplesWithinMs">;

/** How long writes stay paused if no UNPAUSE arrives. */
export const CUT_PAUSE_MS = 500;
const PAUSE = ["CLIENT", "PAUSE", String(CUT_PAUSE_MS), "WRITE"] as const;
const UNPAUSE = ["CLIENT", "UNPAUSE"] as const;
/** Only one section, because writes are paused meanwhile. */
const SAMPLE = ["INFO", "replication"] as const;
/** Constants, so that a link makes their bytes only once. */
const FIRST = [PAUSE, SAMPLE] as const;
const SECOND = [SAMPLE, UNPAUSE] as const;
/** A node that executes writes answers within this time, unless a script keeps it busy. */
const PROBE_WITHIN_MS = 300;
/** A channel without subscribers. */
const PROBE_CHANNEL = "__twine__:writes";
const PROBE = [["PUBLISH", PROBE_CHANNEL, ""]] as const;

export type CutTaken =
  | { readonly kind: "sampled"; readonly cut: Cut }
  /** `unanswered`: nodes that may still be paused, for CUT_PAUSE_MS at most. */
  | { readonly kind: "void"; readonly why: string; readonly unanswered: readonly string[] };

/**
 * The nodes that execute no writes now, before this alpha has paused any: somebody has paused them by hand, or a script
 * keeps them busy. A link to such a node can't be used any more, because later commands on it wait too. PUBLISH writes
 * nothing, but a pause blocks it like a write. Any reply shows that nothing is paused. Never rejects.
 */
async function heldByOthers(links: readonly CutLink[], clock: Clock): Promise<string[]> {
  const silent = new Set(links.map(({ node }) => node));
  const all = Promise.all(
    links.map(async (one) => {
      const [published] = burst(one, PROBE);
      const error = await published?.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const isReply = error === undefined || (error as Error).name === "ReplyError";
      if (isReply) silent.delete(one.node);
    }),
  );
  let cancel: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(PROBE_WITHIN_MS, resolve);
  });
  await Promise.race([all, late]);
  cancel();
  return [...silent];
}

/**
 * A cut that does not change pauses that were set by hand: an UNPAUSE would end them too. `mayPause` is called right before
 * the first PAUSE is sent, and can cancel the cut. `links` by partition. Never rejects.
 */
export async function takeUnheldCut(
  links: readonly CutLink[],
  clock: Clock,
  rules: CutRules,
  mayPause: () => boolean,
): Promise<CutTaken> {
  const held = await heldByOthers(links, clock);
  if (held.length > 0) {
    const why = `${held.join(", ")} executes no writes: somebody has paused them (CLIENT PAUSE), or a script keeps it busy`;
    return { kind: "void", why, unanswered: held };
  }
  if (mayPause()) return takeCut(links, clock, rules);
  return { kind: "void", why: "this alpha's lease has ended", unanswered: [] };
}

/** `links` by partition. Never rejects. */
export async function takeCut(
  links: readonly CutLink[],
  clock: Clock,
  rules: CutRules = RULES,
): Promise<CutTaken> {
  const sentAtMs = clock.nowMs();
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    const withinMs = rules.firstSamplesWithinMs;
    cancel = clock.after(withinMs, () => {
      reject(new Error(`not every master had answered within ${withinMs} ms`));
    });
  });
  const firsts = links.map(pauseAndSample);
  const all = Promise.race([late, Promise.all(firsts)]);
  const sampled = all.then(
    (texts) => ({ texts, at: clock.wallTime() }),
    (error: unknown) => errorText(error),
  );
  const ends = await Promise.all(
    links.map(async (one, at) => {
      const before = rules.samplesAllFirst ? all : Promise.race([late, firsts[at]]);
      // The pause is ended in every case.
      await before.catch(() => undefined);
      return sampleAndUnpause(one);
    }),
  );
  const pausedMs = clock.nowMs() - sentAtMs;
  cancel();
  const unanswered = ends.flatMap(({ node, isUnpaused }) => (isUnpaused ? [] : [node]));
  const first = await sampled;
  if (typeof first === "string") return { kind: "void", why: first, unanswered };
  if (unanswered.length > 0) {
    // The samples may be good, but the caller must know of a master that may be paused a little longer.
    return { kind: "void", why: `${unanswered.join(", ")} did not answer UNPAUSE`, unanswered };
  }
  try {
    const marks = links.map(({ node }, at) => markOf(node, first.texts[at]));
    const again = ends.map(({ node, text }) => markOf(node, text));
    const moved = marks.find((mark, at) => !rules.isStill(mark, again[at] ?? mark));
    if (moved === undefined) return { kind: "sampled", cut: { at: first.at, pausedMs, marks } };
    const why = `${moved.master} executed writes meanwhile: its pause has lapsed, or somebody has ended it`;
    return { kind: "void", why, unanswered };
  } catch (error) {
    return { kind: "void", why: errorText(error), unanswered };
  }
}

/** Both are sent at once, so nothing is executed between them. */
async function pauseAndSample(one: CutLink): Promise<RedisReply> {
  try {
    const [, text = null] = await Promise.all(burst(one, FIRST));
    return text;
  } catch (error) {
    throw new Error(`${one.node}: ${errorText(error)}`, { cause: error });
  }
}

async function sampleAndUnpause(one: CutLink) {
  const [again, unpaused] = await Promise.allSettled(burst(one, SECOND));
  const text = again?.status === "fulfilled" ? again.value : "";
  return { node: one.node, text, isUnpaused: unpaused?.status === "fulfilled" };
}

function markOf(node: string, text: RedisReply | undefined): CutMark {
  const fields = infoFields(typeof text === "string" ? text : "");
  const replicationId = fields.get("master_replid");
  const offset = Number(fields.get("master_repl_offset"));
  if (fields.get("role") !== "master" || replicationId === undefined || !(offset >= 0)) {
    throw new Error(`${node}: it is not master any more`);
  }
  // Without a backlog the offset does not count writes.
  if (fields.get("repl_backlog_active") === "0") {
    throw new Error(`${node}: it counts no offsets: nothing ever followed it`);
  }
  return { master: node, replicationId, offset };
}
