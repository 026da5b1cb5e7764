// The rules of incidents.ts, on a time line: what is wrong from when to when, and which mails go.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  itemsDue,
  lookOn,
  retryMs,
  settleMs,
  toldOf,
  untoldOf,
  type Book,
} from "../../../runtime/alert/incidents.ts";
import { adoptRecord, recordOf } from "../../../runtime/alert/record.ts";
import type { Trouble } from "../../../runtime/alert/troubles.ts";

const ALERT_AFTER_MS = 30_000;
const STEP_MS = 500;

/** [id, from second, to second]; "start 0" is a partition that never had a master. */
type Span = readonly [id: string, fromSeconds: number, toSeconds: number];

function troubleOf(id: string): Trouble {
  const [word = "", name = ""] = id.split(" ");
  const kind = word === "dead" ? "dead" : "halt";
  const subject = kind === "dead" ? name : `partition ${name}`;
  return { id, kind, subject, what: `${id}.`, need: "", isFirstStart: word === "start" };
}

interface Run {
  readonly seconds: number;
  readonly alertAfterMs?: number;
  readonly isServerUp?: (second: number) => boolean;
}

/** "36: begun dead a" for every mail, its items in order. */
function mailsOf(spans: readonly Span[], { seconds, alertAfterMs, isServerUp }: Run): string[] {
  let book: Book = new Map();
  let lastMailMs: number | null = null;
  const mails: string[] = [];
  for (let nowMs = 0; nowMs <= seconds * 1000; nowMs += STEP_MS) {
    const now = nowMs / 1000;
    const troubles = spans
      .filter(([, from, to]) => from <= now && now < to)
      .map(([id]) => troubleOf(id));
    const wallTime = `second ${now}`;
    book = lookOn(book, {
      ...{ troubles, nowMs, wallTime, isAlpha: true },
      alertAfterMs: alertAfterMs ?? ALERT_AFTER_MS,
    });
    const items = itemsDue(book, nowMs, lastMailMs);
    if (items.length === 0 || isServerUp?.(now) === false) continue;
    mails.push(`${now}: ${items.map(({ kind, incident }) => `${kind} ${incident.id}`).join(", ")}`);
    book = toldOf(book, items, nowMs);
    lastMailMs = nowMs;
  }
  return mails;
}

describe("which mails go", () => {
  test.each<[name: string, spans: Span[], mails: string[], run?: Partial<Run>]>([
    ["nothing is wrong: none", [], []],
    [
      "a node is dead for two minutes: one when alert-after is over, one when it was well as long",
      [["dead a", 0, 120]],
      ["33: begun dead a", "153: over dead a"],
    ],
    ["a node is back within alert-after: none", [["dead a", 0, 29]], []],
    ["a failover takes two seconds: none", [["halt 0", 10, 12]], []],
    [
      "a partition without a master: after five seconds and three to gather",
      [["halt 0", 0, 60]],
      ["8: begun halt 0", "93: over halt 0"],
    ],
    ["a first start takes twenty seconds: none", [["start 0", 0, 20]], []],
    [
      "a first start that never ends: after alert-after",
      [["start 0", 0, 999]],
      ["33: begun start 0"],
    ],
    [
      "twenty nodes of one host: one mail for all, and one for the recovery of all",
      Array.from({ length: 20 }, (_, at): Span => [`dead n${at}`, at / 10, 100]),
      [
        `33: ${Array.from({ length: 20 }, (_, at) => `begun dead n${at}`).join(", ")}`,
        `133: ${Array.from({ length: 20 }, (_, at) => `over dead n${at}`).join(", ")}`,
      ],
    ],
    [
      "a node comes and goes while it is dead for the most part: one incident, two mails",
      [
        ["dead a", 0, 60],
        ["dead a", 70, 120],
        ["dead a", 149, 200],
      ],
      ["33: begun dead a", "233: over dead a"],
    ],
    [
      "a second death half a minute after the recovery needs twice as long to be over",
      [
        ["dead a", 0, 60],
        ["dead a", 120, 180],
      ],
      ["33: begun dead a", "93: over dead a", "153: begun dead a", "243: over dead a"],
    ],
    [
      "another node dies ten seconds after a mail: gathered until half a minute lies between",
      [
        ["dead a", 0, 300],
        ["dead b", 10, 300],
        ["dead c", 15, 300],
      ],
      ["33: begun dead a", "63: begun dead b, begun dead c"],
      { seconds: 200 },
    ],
    [
      "a partition loses its master just after a mail: that does not wait, and takes the rest along",
      [
        ["dead a", 0, 300],
        ["dead b", 5, 300],
        ["halt 0", 33, 300],
      ],
      ["33: begun dead a", "41: begun dead b, begun halt 0"],
      { seconds: 200 },
    ],
    [
      "the mail server is away: the mail goes when it is back",
      [["dead a", 0, 300]],
      ["90: begun dead a"],
      { seconds: 200, isServerUp: (second) => second >= 90 },
    ],
    [
      "the mail server is away until all is over: one mail says both",
      [["dead a", 0, 60]],
      ["200: passed dead a"],
      { isServerUp: (second) => second >= 200 },
    ],
    [
      "the mail server is away when it is over, and the node dies again: nobody was told that it had been back",
      [
        ["dead a", 0, 60],
        ["dead a", 100, 400],
      ],
      ["33: begun dead a"],
      { isServerUp: (second) => second < 40 || second > 110, seconds: 300 },
    ],
    [
      "alert-after 0: at once, and over after five seconds",
      [["dead a", 1, 2]],
      ["4: begun dead a", "34: over dead a"],
      { alertAfterMs: 0 },
    ],
  ])("%s", (_name, spans, mails, run = {}) => {
    expect(mailsOf(spans, { seconds: 500, ...run })).toEqual(mails);
  });

  test("a node that flaps for a day costs few mails, whatever its rhythm", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 31, max: 600 }),
        fc.integer({ min: 1, max: 600 }),
        (deadSeconds, wellSeconds) => {
          const day = 86_400;
          const spans: Span[] = [];
          for (let at = 0; at < day; at += deadSeconds + wellSeconds) {
            spans.push(["dead a", at, at + deadSeconds]);
          }
          // Only the spans around the moment matter; the whole list would be looked through at every step.
          expect(flapMails(spans, day)).toBeLessThanOrEqual(16);
        },
      ),
      { numRuns: 10 },
    );
  });

  test("a longer wait after each failure, five minutes at most", () => {
    expect([1, 2, 3, 6, 7, 8, 1000].map(retryMs)).toEqual([
      5000, 10_000, 20_000, 160_000, 300_000, 300_000, 300_000,
    ]);
    expect([1, 2, 3, 7, 8, 99].map((times) => settleMs(times, 30_000))).toEqual([
      30_000, 60_000, 120_000, 1_920_000, 3_600_000, 3_600_000,
    ]);
    expect([0, 1000, 3_600_000].map((after) => settleMs(1, after))).toEqual([5000, 5000, 60_000]);
  });
});

/** As mailsOf, for long times: one trouble, steps of five seconds. */
function flapMails(spans: readonly Span[], seconds: number): number {
  let book: Book = new Map();
  let lastMailMs: number | null = null;
  let mails = 0;
  let next = 0;
  const trouble = troubleOf("dead a");
  for (let now = 0; now <= seconds; now += 5) {
    while ((spans[next]?.[2] ?? Infinity) <= now) next += 1;
    const troubles = (spans[next]?.[1] ?? Infinity) <= now ? [trouble] : [];
    const look = { troubles, nowMs: now * 1000, wallTime: "", isAlpha: true };
    book = lookOn(book, { ...look, alertAfterMs: ALERT_AFTER_MS });
    const items = itemsDue(book, now * 1000, lastMailMs);
    if (items.length === 0) continue;
    mails += 1;
    book = toldOf(book, items, now * 1000);
    lastMailMs = now * 1000;
  }
  return mails;
}

/** A monitor that looked every half second from `fromSeconds` to `toSeconds` and did not lead. */
function watched(spans: readonly Span[], fromSeconds: number, toSeconds: number, book: Book): Book {
  let now = book;
  for (let second = fromSeconds; second <= toSeconds; second += 0.5) {
    const troubles = spans.filter(([, from, to]) => from <= second && second < to);
    now = lookOn(now, {
      troubles: troubles.map(([id]) => troubleOf(id)),
      nowMs: second * 1000,
      wallTime: `second ${second}`,
      alertAfterMs: ALERT_AFTER_MS,
      isAlpha: false,
    });
  }
  return now;
}

const EMPTY: Book = new Map();

describe("a new alpha", () => {
  const spans: Span[] = [["dead a", 0, 100]];
  const reported = (book: Book): Book => toldOf(book, untoldOf(book), 35_000);
  const kindsOf = (book: Book): string[] =>
    untoldOf(book).map(({ kind, incident }) => `${kind} ${incident.id}`);

  test("does not repeat what its predecessor mailed", () => {
    const before = reported(watched(spans, 0, 35, EMPTY));
    const after = adoptRecord(watched(spans, 0, 50, EMPTY), recordOf(before), 50_000);
    expect(kindsOf(after)).toEqual([]);
  });

  test("mails what its predecessor had not", () => {
    const before = watched(spans, 0, 35, EMPTY);
    const after = adoptRecord(watched(spans, 0, 50, EMPTY), recordOf(before), 50_000);
    expect(kindsOf(after)).toEqual(["begun dead a"]);
  });

  test("that has only just been started knows from the record what was mailed", () => {
    const before = reported(watched(spans, 0, 35, EMPTY));
    const own = watched(spans, 50, 50, EMPTY);
    const after = watched(spans, 50.5, 99, adoptRecord(own, recordOf(before), 50_000));
    expect(kindsOf(after)).toEqual([]);
    const over = lookOn(watched(spans, 99.5, 129, after), {
      troubles: [],
      nowMs: 130_000,
      wallTime: "",
      alertAfterMs: ALERT_AFTER_MS,
      isAlpha: true,
    });
    expect(kindsOf(over)).toEqual(["over dead a"]);
  });

  test("mails the recovery of what its predecessor mailed", () => {
    const before = reported(watched(spans, 0, 35, EMPTY));
    const own = watched(spans, 0, 110, EMPTY);
    const look = { troubles: [], wallTime: "", alertAfterMs: ALERT_AFTER_MS, isAlpha: true };
    let book = adoptRecord(own, recordOf(before), 110_000);
    book = lookOn(book, { ...look, nowMs: 120_000 });
    expect(kindsOf(book)).toEqual([]);
    book = lookOn(book, { ...look, nowMs: 131_000 });
    expect(kindsOf(book)).toEqual(["over dead a"]);
  });

  test("mails what was over before its predecessor could mail it", () => {
    const look = { troubles: [], wallTime: "", alertAfterMs: ALERT_AFTER_MS, isAlpha: true };
    let before = watched(spans, 0, 100, EMPTY);
    before = lookOn(before, { ...look, nowMs: 131_000 });
    expect(kindsOf(before)).toEqual(["passed dead a"]);
    const after = adoptRecord(watched(spans, 0, 140, EMPTY), recordOf(before), 140_000);
    expect(kindsOf(after)).toEqual(["passed dead a"]);
  });

  test("goes on counting how often something flapped", () => {
    const before = reported(watched([["dead a", 0, 32]], 0, 31, EMPTY));
    const rested = watched([], 32, 70, before);
    const own = watched(spans, 90, 90, EMPTY);
    const after = watched(
      [["dead a", 0, 900]],
      90.5,
      125,
      adoptRecord(own, recordOf(rested), 90_000),
    );
    expect([...after.values()].map(({ times }) => times)).toEqual([2]);
    expect(kindsOf(after)).toEqual(["begun dead a"]);
  });

  test.each(["", "nonsense", "null", "[]", '{"incidents":[{"id":1},null,"x"]}'])(
    "begins with its own book when the record is %j",
    (record) => {
      const own = watched(spans, 0, 50, EMPTY);
      expect(adoptRecord(own, record, 50_000)).toEqual(own);
    },
  );

  test("reads back from any record exactly what it says", () => {
    const before = reported(watched(spans, 0, 35, EMPTY));
    const record = recordOf(before);
    expect(recordOf(adoptRecord(EMPTY, record, 1))).toBe(record);
  });
});
