import { describe, expect, test } from "vitest";
import { examOf, type Exam, type ExamName } from "../../../bench/router-failover/exams.ts";
import {
  summarize,
  violationsOf,
  type Group,
  type Trial,
} from "../../../bench/router-failover/figures.ts";
import { firstErrorWord } from "../../../bench/router-failover/redis-benchmark.ts";

const UNCERTAIN = "-UNCERTAIN n1 of partition 0 gave no reply\r\n";

/** An exam that sent as many commands as it got replies. */
function heard(name: ExamName, replies: readonly string[]): Exam {
  const exam = examOf(name, ["{a}", "{b}"], 0);
  for (const reply of replies) {
    exam.next();
    exam.hear(Buffer.from(reply));
  }
  return exam;
}

function judged(name: ExamName, replies: readonly string[], answers: readonly string[]) {
  return heard(name, replies).judge(answers.map((answer) => Buffer.from(answer)));
}

describe("a counter that nobody else counts", () => {
  test("uncertain ones may have been counted or not", () => {
    const faultless = { lost: 0, doubled: 0, ahead: 0 };
    expect(judged("counter", [":1\r\n", UNCERTAIN, ":2\r\n"], ["$1\r\n2\r\n"])).toEqual(faultless);
    expect(judged("counter", [":1\r\n", UNCERTAIN, ":3\r\n"], ["$1\r\n3\r\n"])).toEqual(faultless);
    expect(judged("counter", [":1\r\n", UNCERTAIN], ["$1\r\n2\r\n"])).toEqual(faultless);
    const under = "-UNDERREPLICATED held by 0 of 1\r\n";
    expect(judged("counter", [":1\r\n", under, ":3\r\n"], ["$1\r\n3\r\n"])).toEqual(faultless);
  });

  test("one more than the uncertain ones explain was counted twice", () => {
    expect(judged("counter", [":1\r\n", UNCERTAIN, ":4\r\n"], ["$1\r\n4\r\n"]).doubled).toBe(1);
    expect(judged("counter", [":1\r\n"], ["$1\r\n2\r\n"]).doubled).toBe(1);
  });

  test("an error that says it was not executed explains nothing", () => {
    expect(judged("counter", ["-TWINEDOWN x\r\n", ":2\r\n"], ["$1\r\n2\r\n"]).doubled).toBe(1);
  });

  test("a value that comes a second time was lost once", () => {
    const replies = [":1\r\n", ":2\r\n", UNCERTAIN, ":2\r\n"];
    expect(judged("counter", replies, ["$1\r\n2\r\n"])).toEqual({ lost: 1, doubled: 0, ahead: 0 });
    expect(judged("counter", [":1\r\n", ":2\r\n"], ["$-1\r\n"]).lost).toBe(2);
  });
});

describe("a register that is set and read in one pipeline", () => {
  test("a read shows the newest write before it, acknowledged or uncertain", () => {
    const replies = ["+OK\r\n", "$1\r\n0\r\n", UNCERTAIN, "$1\r\n0\r\n", UNCERTAIN, "$1\r\n2\r\n"];
    expect(judged("register", replies, ["$1\r\n2\r\n"])).toEqual({ lost: 0, doubled: 0, ahead: 0 });
  });

  test("a read that shows a write from behind it is ahead; one that shows an older one tells of a loss", () => {
    expect(judged("register", ["+OK\r\n", "$1\r\n1\r\n"], ["$1\r\n1\r\n"]).ahead).toBe(1);
    const replies = ["+OK\r\n", "$1\r\n0\r\n", "+OK\r\n", "$1\r\n0\r\n"];
    expect(judged("register", replies, ["$1\r\n0\r\n"]).lost).toBe(1);
  });
});

test("a reader is never shown anything but what it wrote once", () => {
  expect(judged("reader", ["+OK\r\n", "$1\r\n1\r\n", "$-1\r\n"], []).lost).toBe(1);
});

test("of keys in several partitions each is judged for itself", () => {
  const partial = "-PARTIAL MSET was done for 1 of 2 keys\r\n";
  const both = (a: number, b: number): string => `*2\r\n$1\r\n${a}\r\n$1\r\n${b}\r\n`;
  const replies = ["+OK\r\n", both(0, 0), partial, both(1, 0)];
  expect(judged("wide", replies, [both(1, 0)])).toEqual({ lost: 0, doubled: 0, ahead: 0 });
  expect(judged("wide", replies, [both(0, 0)]).lost).toBe(1);
  expect(judged("wide", ["+OK\r\n", both(0, 1)], [both(0, 1)]).ahead).toBe(1);
});

test("of values only acknowledged ones are asked for, and each that is gone counts", () => {
  const replies = ["+OK\r\n", UNCERTAIN, "+OK\r\n"];
  const asked = [
    ["EXISTS", "{a}:v:0"],
    ["EXISTS", "{a}:v:2"],
  ];
  expect(heard("values", replies).questions()).toEqual(asked);
  expect(judged("values", replies, [":1\r\n", ":0\r\n"]).lost).toBe(1);
});

function group(exam: ExamName, more: Partial<Group> = {}): Group {
  const faults = { lost: 0, doubled: 0, ahead: 0, ...more.faults };
  return { exam, replies: 10, errors: {}, ...more, faults };
}

function trial(more: Partial<Trial>): Trial {
  return {
    kind: "kill",
    load: "writers",
    policy: "idempotent",
    ackReplicas: 0,
    index: 0,
    gapMs: 100,
    pipelineGapMs: 100,
    elsewhereGapMs: 5,
    here: [],
    elsewhere: [],
    benchmarkCount: 0,
    benchmarkEnds: [],
    timeline: [],
    ...more,
  };
}

describe("what a trial may not show", () => {
  const uncertain = { errors: { UNCERTAIN: 2 } };
  const lost = { faults: { lost: 3, doubled: 0, ahead: 0 } };

  test("an uncertain write that could have been repeated, but only under idempotent", () => {
    const here = [group("values", uncertain), group("counter", uncertain)];
    expect(violationsOf(trial({ here }))).toEqual(["values: 2 UNCERTAIN"]);
    expect(violationsOf(trial({ here, policy: "reads" }))).toEqual([]);
  });

  test("any other error, anywhere", () => {
    const here = [group("counter", { errors: { TWINEDOWN: 1 } })];
    expect(violationsOf(trial({ here, policy: "reads" }))).toEqual(["counter: 1 TWINEDOWN"]);
  });

  test("any error elsewhere or in a planned handover", () => {
    const groups = [group("counter", uncertain)];
    expect(violationsOf(trial({ elsewhere: groups }))).toEqual(["elsewhere counter: 2 UNCERTAIN"]);
    expect(violationsOf(trial({ here: groups, kind: "handover" }))).toEqual([
      "counter: 2 UNCERTAIN",
    ]);
  });

  test("a loss, where some replica had to have it; without ack-replicas a kill may lose", () => {
    const here = [group("values", lost)];
    expect(violationsOf(trial({ here }))).toEqual([]);
    expect(violationsOf(trial({ here, ackReplicas: 1 }))).toEqual(["values: 3 lost"]);
    expect(violationsOf(trial({ here, kind: "handover" }))).toEqual(["values: 3 lost"]);
  });

  test("a redis-benchmark that ended, but for what it may be told by default", () => {
    const ends = { benchmarkEnds: ["UNCERTAIN"] };
    expect(violationsOf(trial(ends))).toEqual(["benchmark ended: UNCERTAIN"]);
    expect(violationsOf(trial({ ...ends, policy: "reads" }))).toEqual([]);
    expect(violationsOf(trial({ benchmarkEnds: ["ERR"], policy: "reads" }))).toHaveLength(1);
  });
});

test("a row adds up the errors of every trial by exam and first word", () => {
  const one = trial({ here: [group("counter", { errors: { UNCERTAIN: 2 } })] });
  const two = trial({ here: [group("counter", { errors: { UNCERTAIN: 3 } })], gapMs: null });
  expect(summarize([one, two])).toMatchObject([
    { trials: 2, replies: 20, errors: { "counter UNCERTAIN": 5 }, worstMs: Infinity },
  ]);
});

test("what redis-benchmark ended with is named by the first word of the reply", () => {
  expect(firstErrorWord("Error from server: UNCERTAIN n1 gave no reply\n")).toBe("UNCERTAIN");
  expect(firstErrorWord("WARNING: x\nError: Server closed the connection\n")).toBe(
    "ended:Error: Server closed the connection",
  );
});
