import { describe, expect, test } from "vitest";
import { renderList } from "../../../runtime/status/list.ts";
import { renderSummary } from "../../../runtime/status/summary.ts";
import { exampleView, haltWithNeeds, REPORTS, reportOn, withDead } from "./example-reports.ts";

const PLAIN = { color: false, width: 80 };

function reportNamed(name: string) {
  const make = REPORTS[name];
  if (make === undefined) throw new Error(`there is no example called ${name}`);
  return make();
}

describe("summary", () => {
  test("a cluster that is OK says what there is and that nothing is wrong", () => {
    expect(renderSummary(reportOn(exampleView()), PLAIN)).toMatchInlineSnapshot(`
      "twine  OK  epoch 3, revision 17, alpha m1, changed 2026-03-01 10:05:07 UTC

        partitions    2  2 with a master, keys by crc32
        data nodes    6  2 master, 4 replica
        status nodes  3  3 up
        monitors      3  3 up
        routers       1  1 up

      Nothing is wrong.
      "
    `);
  });

  test("a degraded cluster names what is wrong and the command", () => {
    const report = reportNamed("a replica that is dead and another behind");
    expect(renderSummary(report, PLAIN)).toMatchInlineSnapshot(`
      "twine  DEGRADED  epoch 3, revision 17, alpha m1, changed 2026-03-01 10:05:07 UTC

        partitions    2  2 with a master, keys by crc32
        data nodes    6  2 master, 3 replica, 1 dead, 1 not in sync
        status nodes  3  3 up
        monitors      3  3 up
        routers       1  1 up

        a6667  data node of partition 0 at localhost:6667 is dead since 2026-03-01
          10:00:00 UTC
            remedy: twine-start localhost
        b7668  data node of partition 1 at localhost:7668 is not in sync with its
          master
      "
    `);
  });

  test("a partition in HALT tells what it needs, and its nodes that wait are no problem of their own", () => {
    expect(renderSummary(haltWithNeeds(), PLAIN)).toMatchInlineSnapshot(`
      "twine  HALT  epoch 3, revision 17, alpha m1, changed 2026-03-01 10:05:07 UTC

        partitions    2  1 with a master, 1 without, keys by crc32
        data nodes    6  1 master, 2 replica, 3 dead
        status nodes  3  3 up
        monitors      3  3 up
        routers       1  1 up

        partition 1  has no master; it needs: a node that holds its data: b7666 was
          master last & came back <empty>; "twine-failover --accept-loss b7667" gives
          it up
            remedy: if one of b7666, b7667, b7668 is stopped: twine-start localhost
      "
    `);
  });

  test("the dead nodes of one host are one line", () => {
    const report = reportOn(withDead(exampleView(), "a6667", "b7667", "b7668"));
    expect(renderSummary(report, PLAIN).split("\n").slice(8)).toEqual([
      "  localhost  3 nodes are dead: a6667 b7667 b7668",
      "      remedy: twine-start localhost",
      "",
    ]);
  });

  test("without an alpha it says how old the view is", () => {
    const report = reportNamed("no alpha and a silent status node");
    expect(renderSummary(report, PLAIN)).toMatchInlineSnapshot(`
      "twine  DEGRADED  epoch 3, revision 17, alpha m1, changed 2026-03-01 10:05:07 UTC

        partitions    2  2 with a master, when last seen, keys by crc32
        data nodes    6  2 master, 4 replica
        status nodes  3  2 up, 1 dead
        monitors      3  3 up
        routers       1  1 up

        alpha  m1 does not renew its lease: the view, last changed 2026-03-01 10:05:07
          UTC, may be stale
            remedy: twine-start
        s2  status node at localhost:6402 does not answer: connect ECONNREFUSED
          127.0.0.1:6402
            remedy: twine-start localhost
      "
    `);
  });

  test("before the first view it says so", () => {
    expect(renderSummary(reportNamed("no view yet"), PLAIN)).toMatchInlineSnapshot(`
      "twine  HALT  no view yet

        partitions    2  0 with a master, 2 without
        data nodes    6  6 dead
        status nodes  3  3 up
        monitors      3  3 dead
        routers       1  1 dead

        view  has not been published yet: no monitor has become alpha
            remedy: twine-start
      "
    `);
  });

  test("64 partitions with 40 lost masters on one host fit a terminal of 80x24", () => {
    const view = exampleView(64, 2);
    const lost = view.nodes.filter((node) => node.role === "master").slice(0, 40);
    const text = renderSummary(reportOn(withDead(view, ...lost.map((node) => node.name))), PLAIN);
    const lines = text.trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(22);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.at(-1)).toMatch(/^ {2}and \d+ more: twine-status list/);
  });

  test("no line of any example is wider than the terminal, down to 40 columns", () => {
    for (const make of Object.values(REPORTS)) {
      for (const width of [40, 57, 80, 200]) {
        const lines = renderSummary(make(), { color: false, width }).split("\n");
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
        expect(lines.length).toBeLessThanOrEqual(23);
      }
    }
  });

  test("colour adds escapes and changes nothing else; without it there are none", () => {
    const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");
    for (const make of Object.values(REPORTS)) {
      const plain = renderSummary(make(), PLAIN);
      const coloured = renderSummary(make(), { color: true, width: 80 });
      expect(plain).not.toMatch(escapes);
      expect(coloured).toMatch(escapes);
      expect(coloured.replace(escapes, "")).toBe(plain);
    }
  });

  test("what comes over the network can't steer the terminal", () => {
    const text = renderSummary(reportNamed("words that hurt"), PLAIN);
    expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });
});

describe("list", () => {
  test("one aligned line per node", () => {
    const report = reportNamed("a replica that is dead and another behind");
    expect(renderList(report)).toMatchInlineSnapshot(`
      "NAME   KIND     ADDRESS         PARTITION  ROLE     SYNC     SINCE
      a6666  data     localhost:6666  0          master   in-sync  2026-03-01T10:00:00.000Z
      a6667  data     localhost:6667  0          dead     -        2026-03-01T10:00:00.000Z
      a6668  data     localhost:6668  0          replica  in-sync  2026-03-01T10:00:00.000Z
      b7666  data     localhost:7666  1          master   in-sync  2026-03-01T10:00:00.000Z
      b7667  data     localhost:7667  1          replica  in-sync  2026-03-01T10:00:00.000Z
      b7668  data     localhost:7668  1          replica  behind   2026-03-01T10:00:00.000Z
      s1     status   localhost:6401  -          up       -        2026-03-01T10:00:00.000Z
      s2     status   localhost:6402  -          up       -        2026-03-01T10:00:00.000Z
      s3     status   localhost:6403  -          up       -        2026-03-01T10:00:00.000Z
      m1     monitor  localhost:7601  -          up       -        2026-03-01T10:00:00.000Z
      m2     monitor  localhost:7602  -          up       -        2026-03-01T10:00:00.000Z
      m3     monitor  localhost:7603  -          up       -        2026-03-01T10:00:00.000Z
      r1     router   localhost:6400  -          up       -        2026-03-01T10:00:00.000Z
      # keys by crc32 over 2 partitions, no hash tag (fingerprint f80d7b23bfa4523e)
      "
    `);
  });

  test("every line of every example has the same seven columns, and an eighth after a rescue", () => {
    for (const make of Object.values(REPORTS)) {
      const report = make();
      const all = renderList(report).trimEnd().split("\n");
      const lines = all.filter((line) => !line.startsWith("# "));
      expect(lines).toHaveLength(report.nodes.length + 1);
      const count = report.nodes.some(({ rescue }) => rescue !== undefined) ? 8 : 7;
      for (const line of lines) expect(line.split(/ +/)).toHaveLength(count);
    }
  });
});
