import { describe, expect, test } from "vitest";
import { FailureError, failureOf, type FailureKind } from "../../../runtime/core/failure.ts";
import { builtinHashing, hashingWith, type Hashing } from "../../../runtime/core/hashing.ts";
import type { RegisterReading } from "../../../runtime/register/register.ts";
import { knowledgeOf } from "../../../runtime/status/knowledge.ts";
import { reportOf } from "../../../runtime/status/report.ts";
import {
  ALL_ANSWER,
  configOf,
  exampleView,
  haltWithNeeds,
  NEEDS,
  reportOn,
  withDead,
} from "./example-reports.ts";

function reading(heartbeat: number, changes: Partial<RegisterReading> = {}): RegisterReading {
  const body = JSON.stringify(exampleView());
  return {
    value: { body, epoch: 3, revision: 17, heartbeat },
    confirmations: 3,
    ballot: { count: heartbeat, proposer: "m1" },
    answered: ["s1", "s2", "s3"],
    silent: new Map(),
    emptied: [],
    ...changes,
  };
}

describe("what readings amount to", () => {
  test("an alpha whose heartbeat advanced between two readings is alive", () => {
    expect(knowledgeOf([reading(7), reading(8)]).alphaAlive).toBe(true);
  });

  test("an alpha whose heartbeat stood still is not, however often one looks", () => {
    expect(knowledgeOf([reading(7), reading(7), reading(7)]).alphaAlive).toBe(false);
    expect(knowledgeOf([reading(7)]).alphaAlive).toBe(false);
  });

  test("a new epoch between two readings is a sign of life, whatever its heartbeat", () => {
    const later = reading(0, { value: { body: null, epoch: 4, revision: 18, heartbeat: 0 } });
    expect(knowledgeOf([reading(7), later]).alphaAlive).toBe(true);
  });

  test("a status node that only the first reading asked stays silent", () => {
    const silent = failing("s2", "refused", "refused");
    const first = reading(7, { answered: ["s1", "s3"], silent });
    const second = reading(8, { answered: ["s1", "s3"] });
    expect(knowledgeOf([first, second]).silent).toEqual(silent);
  });

  test("a status node that came back between two readings is silent no longer", () => {
    const silent = failing("s2", "refused", "refused");
    const first = reading(7, { answered: ["s1", "s3"], confirmations: 2, silent });
    expect(knowledgeOf([first, reading(8)]).silent).toEqual(new Map());
  });

  test("a reading that lost the view while it was fetched does not hide the one before", () => {
    const knowledge = knowledgeOf([reading(7), reading(8, { value: null, confirmations: 0 })]);
    expect(knowledge).toMatchObject({ view: { revision: 17 }, confirmations: 3, alphaAlive: true });
  });

  test("a status node counts as emptied when every reading found it so", () => {
    const first = reading(7, { emptied: ["s2", "s3"] });
    expect(knowledgeOf([first, reading(7, { emptied: ["s3"] })]).emptied).toEqual(["s3"]);
    expect(knowledgeOf([reading(7), first]).emptied).toEqual([]);
  });

  test("a published view that is not JSON is one clear error", () => {
    const value = { body: "{", epoch: 3, revision: 17, heartbeat: 7 };
    expect(() => knowledgeOf([reading(7, { value })])).toThrow(
      "the view on the status nodes can't be read: it is not JSON",
    );
  });

  test("a published view without a field is an error that names the field", () => {
    const view = exampleView();
    const nodes = view.nodes.map((node, at) => (at === 2 ? { ...node, role: "king" } : node));
    const body = JSON.stringify({ ...view, nodes });
    const bad = { body, epoch: 3, revision: 17, heartbeat: 7 };
    expect(() => knowledgeOf([reading(7, { value: bad })])).toThrow(
      "nodes[2].role is not one of master, replica, up, dead",
    );
    const without = JSON.stringify({ ...view, partitions: undefined });
    const worse = { body: without, epoch: 3, revision: 17, heartbeat: 7 };
    expect(() => knowledgeOf([reading(7, { value: worse })])).toThrow("partitions is missing");
    const odd = {
      body: JSON.stringify({ ...view, hashing: 5 }),
      epoch: 3,
      revision: 17,
      heartbeat: 7,
    };
    expect(() => knowledgeOf([reading(7, { value: odd })])).toThrow("hashing is not an object");
  });
});

/** Readings' `silent` with one node that failed. */
function failing(node: string, kind: FailureKind, reason: string) {
  return new Map([[node, failureOf(node, new FailureError(kind, reason))]]);
}

describe("the effective state", () => {
  test("a view that is OK, held everywhere, with an alpha alive, is OK and without a problem", () => {
    const report = reportOn(exampleView());
    expect([report.state, report.problems]).toEqual(["OK", []]);
  });

  test("a view that says OK is DEGRADED when no alpha renews its lease", () => {
    const report = reportOn(exampleView(), { alphaAlive: false });
    expect(report.state).toBe("DEGRADED");
    expect(report.problems.map((problem) => problem.code)).toEqual(["NO_ALPHA"]);
  });

  test("a view that says OK is DEGRADED when a status node is silent, and the node counts as dead", () => {
    const report = reportOn(exampleView(), {
      confirmations: 2,
      answered: ["s1", "s3"],
      silent: failing("s2", "refused", "connect ECONNREFUSED"),
    });
    expect(report.state).toBe("DEGRADED");
    expect(report.problems.map((problem) => [problem.code, problem.subject])).toEqual([
      ["STATUS_SILENT", "s2"],
    ]);
    expect(report.problems[0]?.text).toBe(
      "status node at localhost:6402 does not answer: connect ECONNREFUSED",
    );
    expect(report.nodes.find((node) => node.name === "s2")).toMatchObject({
      role: "dead",
      inSync: false,
      since: null,
    });
  });

  test("a status node that refuses the password is restarted with the present one", () => {
    const report = reportOn(exampleView(), {
      confirmations: 2,
      answered: ["s1", "s3"],
      silent: failing("s2", "login", "WRONGPASS invalid username-password pair"),
    });
    expect(report.problems).toEqual([
      expect.objectContaining({
        code: "STATUS_SILENT",
        text: "status node at localhost:6402 refuses the password: WRONGPASS invalid username-password pair",
        remedy: "twine-stop s2 --no-handover; twine-setup; twine-start localhost",
      }),
    ]);
  });

  test("a status node that answers without the view makes it DEGRADED", () => {
    const report = reportOn(exampleView(), { confirmations: 2 });
    expect(report.state).toBe("DEGRADED");
    expect(report.problems.map((problem) => problem.code)).toEqual(["VIEW_NOT_HELD"]);
  });

  test("a majority of the status nodes emptied is HALT, and neither waiting nor starting helps", () => {
    const lost = { emptied: ["s2", "s3"], confirmations: 1, alphaAlive: false };
    const report = reportOn(exampleView(), lost);
    expect(report.state).toBe("HALT");
    expect(report.problems).toEqual([
      {
        code: "REGISTER_LOST",
        severity: "HALT",
        subject: "alpha",
        host: null,
        text:
          "no monitor can become alpha: s2, s3 lost their data, and without 2 of 3 status nodes " +
          "there is no majority",
        remedy:
          "twine-stop on every host; empty the data folders of all status nodes (s1, s2, s3); " +
          "twine-setup and twine-start on every host: the keys stay, and the monitors choose the roles again",
      },
    ]);
    const unproven = reportOf(configOf(exampleView()), { ...ALL_ANSWER, ...lost, view: null });
    expect(unproven.problems.map((problem) => problem.code)).toEqual(["REGISTER_LOST"]);
  });

  test("one status node emptied, and no alpha for the moment: the next alpha will mend it", () => {
    const report = reportOn(exampleView(), {
      emptied: ["s3"],
      confirmations: 2,
      alphaAlive: false,
    });
    expect(report.state).toBe("DEGRADED");
    expect(report.problems.map(({ code, text }) => [code, text])).toEqual([
      ["NO_ALPHA", expect.stringContaining("m1 does not renew its lease")],
      ["VIEW_NOT_HELD", "1 status node lacks the newest view; the next alpha sends it to it"],
    ]);
  });

  test("status nodes that are silent may hold the view that the others lack", () => {
    const silent = failing("s1", "refused", "refused");
    const none = { ...ALL_ANSWER, silent, view: null, confirmations: 0, alphaAlive: false };
    const report = reportOf(configOf(exampleView()), { ...none, answered: ["s2", "s3"] });
    expect(report.problems.map(({ code, text }) => [code, text])).toEqual([
      ["NO_VIEW", "is on none of the status nodes that answered"],
      ["STATUS_SILENT", expect.any(String)],
    ]);
  });

  test("of another cluster's view nothing is told but that it is one", () => {
    const view = exampleView();
    const config = configOf(view);
    const nodes = config.nodes.map((node) => ({ ...node, port: node.port + 1 }));
    const report = reportOf({ ...config, nodes }, { ...ALL_ANSWER, view });
    expect(report).toMatchObject({ state: "HALT", view: null, alphaAlive: false });
    expect(report.nodes.map(({ port }) => port)).not.toContain(view.nodes[0]?.port);
    expect(report.problems).toHaveLength(1);
    expect(report.problems[0]).toMatchObject({ code: "CLUSTER_DIFFERS", severity: "HALT" });
    expect(report.problems[0]?.remedy).toContain("edit twine.conf twice");
  });

  test("another cluster's status node is told as one, not as silent", () => {
    const silent = failing("s3", "foreign", 'belongs to cluster "other", not to "twine"');
    const report = reportOn(exampleView(), { confirmations: 2, answered: ["s1", "s2"], silent });
    expect(report.state).toBe("DEGRADED");
    expect(report.problems.map(({ code, subject, text }) => [code, subject, text])).toEqual([
      [
        "STATUS_FOREIGN",
        "s3",
        'status node at localhost:6403 belongs to cluster "other", not to "twine"',
      ],
    ]);
  });

  test("HALT stays HALT, and tells what the partition needs before anything else", () => {
    const report = haltWithNeeds();
    expect(report.state).toBe("HALT");
    expect(report.problems[0]).toEqual({
      code: "NO_MASTER",
      severity: "HALT",
      subject: "partition 1",
      host: null,
      text: `has no master; it needs: ${NEEDS}`,
      remedy: "if one of b7666, b7667, b7668 is stopped: twine-start localhost",
    });
  });

  test("nodes that may only wait for their partition's master are not told as dead one by one", () => {
    const report = haltWithNeeds();
    expect(report.problems.map(({ code, subject }) => [code, subject])).toEqual([
      ["NO_MASTER", "partition 1"],
    ]);
    const elsewhere = withDead(exampleView(), "a6668", "b7666", "b7667", "b7668");
    const partitions = elsewhere.partitions.map((partition) =>
      partition.master === null ? { ...partition, needs: NEEDS } : partition,
    );
    expect(reportOn({ ...elsewhere, partitions }).problems.map(({ subject }) => subject)).toEqual([
      "partition 1",
      "a6668",
    ]);
  });

  test("a replica whose partition has no master is not told to be behind it", () => {
    const view = withDead(exampleView(), "b7666");
    const nodes = view.nodes.map((node) =>
      node.partition === 1 ? { ...node, inSync: false } : node,
    );
    expect(
      reportOn({ ...view, nodes }).problems.map(({ code, subject }) => [code, subject]),
    ).toEqual([
      ["NO_MASTER", "partition 1"],
      ["NODE_DEAD", "b7666"],
    ]);
  });

  test("a partition whose master has just died waits for the alpha, if there is one", () => {
    const view = withDead(exampleView(), "a6666");
    expect(reportOn(view).problems[0]?.text).toBe("has no master; the alpha is looking for one");
    expect(reportOn(view, { alphaAlive: false }).problems[0]?.text).toBe(
      "has no master, and no alpha looks for one",
    );
  });

  test("before the first view it is HALT, every data node is dead, and twine.conf tells the rest", () => {
    const knowledge = { ...ALL_ANSWER, view: null, confirmations: 0, alphaAlive: false };
    const report = reportOf(configOf(exampleView()), knowledge);
    expect(report.state).toBe("HALT");
    expect(report.partitions.map(({ index, master, dead }) => ({ index, master, dead }))).toEqual([
      { index: 0, master: null, dead: ["a6666", "a6667", "a6668"] },
      { index: 1, master: null, dead: ["b7666", "b7667", "b7668"] },
    ]);
    const up = report.nodes.filter((node) => node.role === "up").map((node) => node.name);
    expect(up).toEqual(["s1", "s2", "s3"]);
    expect(report.problems.map((problem) => problem.code)).toEqual(["NO_VIEW"]);
  });

  test("a node that only twine.conf knows is a note and changes no state", () => {
    const view = exampleView();
    const config = configOf(view);
    const added = { ...config.nodes[0], name: "a6669", port: 6669 } as (typeof config.nodes)[0];
    const wider = { ...config, nodes: [...config.nodes, added] };
    const report = reportOf(wider, { ...ALL_ANSWER, view });
    expect(report.state).toBe("OK");
    expect(report.problems.map(({ severity, text }) => ({ severity, text }))).toEqual([
      { severity: "NOTE", text: "names a6669, which the view does not have" },
    ]);
  });

  test.each([
    ["fewer partitions", { partitions: 1 }, "partitions 2"],
    ["another hash", { hash: { kind: "builtin", name: "crc16" } }, "hash crc32"],
    ["a hash tag", { hashTag: "{}" }, "no hash-tag line"],
    ["both", { partitions: 3, hashTag: "{}" }, "partitions 2, no hash-tag line"],
  ] as const)(
    "a twine.conf with %s is told before all else, and how to mend it",
    (_what, by, lines) => {
      const view = {
        ...withDead(exampleView(), "a6668"),
        hashing: builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 2 }),
      };
      const config = configOf(view);
      expect(reportOf(config, { ...ALL_ANSWER, view }).problems).toHaveLength(1);
      // Another node too, as with a partition more: taking such a file over is no remedy.
      const nodes = config.nodes.slice(1);
      const changed = { ...config, nodes, settings: { ...config.settings, ...by } };
      const report = reportOf(changed, { ...ALL_ANSWER, view });
      expect(report.state).toBe("DEGRADED");
      expect(report.problems.map(({ code }) => code)).toEqual(["HASHING_DIFFERS", "NODE_DEAD"]);
      expect(report.problems[0]).toMatchObject({
        severity: "NOTE",
        subject: "twine.conf",
        remedy: `write in twine.conf again: ${lines}`,
      });
      expect(report.problems[0]?.text).toMatch(
        /^sends keys to other partitions .*; do not read or write with it: the keys are placed by crc32/,
      );
    },
  );

  test("another function under the same path is told with both fingerprints, under another path it is not", () => {
    const of = (path: string, fingerprint: string) =>
      hashingWith({ hash: { kind: "module", path }, partitions: 2 }, fingerprint);
    const view = { ...exampleView(), hashing: of("./mine.mjs", "1111") };
    const config = configOf(view);
    const problems = (own: Hashing) => reportOf(config, { ...ALL_ANSWER, view }, own).problems;
    expect(problems(of("/srv/moved.mjs", "1111"))).toEqual([]);
    const [problem] = problems(of("./mine.mjs", "2222"));
    expect(problem?.text).toContain("(fingerprint 1111)");
    expect(problem?.text).toContain("(fingerprint 2222)");
    expect(problem?.remedy).toContain("restore the function that was in ./mine.mjs");
  });

  test("nodes stand in one order: data by partition, status nodes, monitors, routers", () => {
    const view = exampleView();
    const report = reportOn({ ...view, nodes: view.nodes.toReversed() });
    expect(report.nodes.map((node) => node.name)).toEqual(view.nodes.map((node) => node.name));
  });
});
