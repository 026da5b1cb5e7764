// What Sentinel's subscribers hear as a cluster goes from view to view.
import { describe, expect, test } from "vitest";
import { agesAfter, ageMs, factKeys } from "../../../runtime/monitor/sentinel/ages.ts";
import { messagesBetween } from "../../../runtime/monitor/sentinel/events.ts";
import type { Picture } from "../../../runtime/monitor/sentinel/picture.ts";
import { pictureAt, viewOf } from "./sentinel-views.ts";

function heard(before: Picture, after: Picture): string[] {
  return messagesBetween(before, after).map(({ channel, message }) => `${channel} ${message}`);
}

const WELL = pictureAt(viewOf());
const DEAD = pictureAt(viewOf({ masters: [null, "b1"], roles: { a1: "dead" } }));
const CHOSEN = pictureAt(viewOf({ masters: [null, "b1"], roles: { a1: "dead" }, promoting: "a2" }));
const MOVED = pictureAt(viewOf({ masters: ["a2", "b1"], roles: { a1: "dead", a3: "syncing" } }));
const HEALED = pictureAt(viewOf({ masters: ["a2", "b1"] }));

describe("a failover", () => {
  test("is told as Sentinel tells it, step by step", () => {
    const p0 = "@ twine-p0 127.0.0.1";
    expect(heard(WELL, DEAD)).toEqual([
      "+sdown master twine-p0 127.0.0.1 7001",
      "+odown master twine-p0 127.0.0.1 7001 #quorum 3/2",
    ]);
    expect(heard(DEAD, CHOSEN)).toEqual([
      `+selected-slave slave 127.0.0.1:7002 127.0.0.1 7002 ${p0} 7001`,
    ]);
    expect(heard(CHOSEN, MOVED)).toEqual([
      `+promoted-slave slave 127.0.0.1:7002 127.0.0.1 7002 ${p0} 7001`,
      "+failover-end master twine-p0 127.0.0.1 7001",
      "+switch-master twine-p0 127.0.0.1 7001 127.0.0.1 7002",
      `+slave slave 127.0.0.1:7001 127.0.0.1 7001 ${p0} 7002`,
      `+sdown slave 127.0.0.1:7001 127.0.0.1 7001 ${p0} 7002`,
      `+slave slave 127.0.0.1:7003 127.0.0.1 7003 ${p0} 7002`,
    ]);
    expect(heard(MOVED, HEALED)).toEqual([
      `-sdown slave 127.0.0.1:7001 127.0.0.1 7001 ${p0} 7002`,
      `+slave-reconf-done slave 127.0.0.1:7001 127.0.0.1 7001 ${p0} 7002`,
      `+slave-reconf-done slave 127.0.0.1:7003 127.0.0.1 7003 ${p0} 7002`,
    ]);
  });

  test("that was seen from before to after in one step still tells the switch", () => {
    expect(heard(WELL, HEALED)).toContain("+switch-master twine-p0 127.0.0.1 7001 127.0.0.1 7002");
  });

  test("that ends with the same master tells no switch", () => {
    const back = heard(DEAD, pictureAt(viewOf({ runIds: { a1: "again" } })));
    expect(back).toEqual([
      "-sdown master twine-p0 127.0.0.1 7001",
      "-odown master twine-p0 127.0.0.1 7001",
      "+reboot master twine-p0 127.0.0.1 7001",
    ]);
  });

  test("of the router is a switch of the master twine", () => {
    const other = pictureAt(viewOf({ roles: { r1: "dead" } }));
    expect(heard(WELL, other)).toEqual(["+switch-master twine 127.0.0.1 7401 127.0.0.1 7402"]);
  });
});

describe("everything else", () => {
  test("a dead monitor is told for every master, as Sentinel does", () => {
    const reported = heard(WELL, pictureAt(viewOf({ roles: { m3: "dead" } })));
    expect(reported).toHaveLength(3);
    expect(reported[0]).toMatch(/^\+sdown sentinel [0-9a-f]{40} 127\.0\.0\.1 7303 @ twine-p0 /);
  });

  test("a view that nobody confirms is tilt, and every master is s_down until it is confirmed", () => {
    const doubted = pictureAt(viewOf(), false);
    expect(heard(WELL, doubted)).toEqual([
      "+tilt #tilt mode entered",
      "+sdown master twine-p0 127.0.0.1 7001",
      "+sdown master twine-p1 db1 7001",
      "+sdown master twine 127.0.0.1 7401",
    ]);
    expect(heard(doubted, MOVED)).toContain(
      "+switch-master twine-p0 127.0.0.1 7001 127.0.0.1 7002",
    );
  });

  test("the first view is no news, for nothing was known before", () => {
    expect(heard(pictureAt(undefined), WELL)).toEqual([]);
  });

  test("a new alpha is a new epoch", () => {
    expect(heard(WELL, pictureAt(viewOf({ epoch: 5 })))).toEqual(["+new-epoch 5"]);
  });

  test("nothing is told when nothing changed", () => {
    expect(heard(WELL, pictureAt(viewOf()))).toEqual([]);
  });
});

test("an age counts from when a thing was first seen, and ends when it is true no more", () => {
  const down = factKeys.subjectivelyDown("twine-p0", "a1");
  const first = agesAfter(new Map(), WELL, 1000);
  const second = agesAfter(first, DEAD, 3000);
  const third = agesAfter(second, CHOSEN, 4000);
  expect([ageMs(first, down, 3000), ageMs(third, down, 4500)]).toEqual([0, 1500]);
  expect(ageMs(third, factKeys.role("twine-p0", "a1", "master"), 4500)).toBe(3500);
  expect(ageMs(agesAfter(third, WELL, 5000), down, 6000)).toBe(0);
});
