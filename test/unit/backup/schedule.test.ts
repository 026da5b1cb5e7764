import { expect, test } from "vitest";
import { bucketRestMs, isDue, startSchedule } from "../../../runtime/backup/schedule.ts";
import type { BackupTarget } from "../../../runtime/backup/targets/target.ts";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import type { View } from "../../../runtime/core/view.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";

const HOUR = 3_600_000;
const AT = { everyMs: HOUR, wallMs: 100 * HOUR, triedAtMs: undefined, nowMs: 0, failures: 0 };

test.each([
  ["there is none", undefined, undefined, true],
  ["the newest is an hour old", 99 * HOUR, undefined, true],
  ["the newest is younger", 99 * HOUR + 1, undefined, false],
  ["the newest is of a clock that goes a little ahead", 100 * HOUR + 5, undefined, false],
  ["the newest is of a clock that was days ahead", 200 * HOUR, undefined, true],
  ["the last attempt was half a minute ago", undefined, -30_000, false],
  ["the last attempt was a minute ago", undefined, -60_000, true],
])("when %s: due %s", (_what, newestStartedAtMs, triedAtMs, due) => {
  expect(isDue({ ...AT, newestStartedAtMs, triedAtMs })).toBe(due);
});

test.each([
  [1, 60_000, true],
  [2, 119_999, false],
  [2, 120_000, true],
  [4, 479_999, false],
  [100, HOUR, true],
])("after %i failures, the last %i ms ago: due %s", (failures, agoMs, due) => {
  const times = { ...AT, newestStartedAtMs: undefined, triedAtMs: -agoMs, failures };
  expect(isDue(times)).toBe(due);
});

test.each([
  ["is not listed at all", undefined, HOUR - 1, false],
  ["is not listed at all, an interval later", undefined, HOUR, true],
  ["is listed as older than it is", 90 * HOUR, HOUR - 1, false],
])("the backup that was just taken %s: due %s", (_what, newestStartedAtMs, agoMs, due) => {
  const times = { ...AT, newestStartedAtMs, triedAtMs: -agoMs, takenAtMs: -agoMs };
  expect(isDue(times)).toBe(due);
});

test("stopped while it lists the targets, it starts no tool that nobody would end", async () => {
  let listed: () => void = () => undefined;
  let isListing: () => void = () => undefined;
  const listing = new Promise<void>((resolve) => (isListing = resolve));
  const target = {
    name: "slow",
    list: () =>
      new Promise<never[]>((resolve) => {
        listed = () => {
          resolve([]);
        };
        isListing();
      }),
  } as unknown as BackupTarget;
  const settings = { backupDirs: ["slow"], backupEveryMs: HOUR };
  const commands: string[] = [];
  const schedule = startSchedule({
    clock: systemClock,
    config: () => ({ file: "twine.conf", settings }) as unknown as ClusterConfig,
    isAlpha: () => true,
    view: () => ({ partitions: [{ master: "a1" }] }) as unknown as View,
    openTargets: () => [target],
    command: (file) => {
      commands.push(file);
      return ["true"];
    },
    onTaken: () => commands.push("taken"),
    onFailed: (why) => commands.push(why),
  });
  await listing;
  const stopped = schedule.stop();
  listed();
  await stopped;
  expect(commands).toEqual([]);
});

test("a bucket is looked into when the next backup is due, and at least every five minutes", () => {
  expect([-HOUR, 0, 1000, HOUR].map(bucketRestMs)).toEqual([0, 0, 1000, 300_000]);
});

test.each([
  [0, undefined, true],
  [0, 4999, false],
  [0, 5000, true],
  [1, 9999, false],
  [1, 10_000, true],
  // One that does not help is not taken more often than others.
  [100, HOUR - 1, false],
  [100, HOUR, true],
])(
  "after %i bases in vain, the last %s ms ago, the archive gets another: %s",
  (count, agoMs, due) => {
    const triedAtMs = agoMs === undefined ? undefined : -agoMs;
    const times = { ...AT, newestStartedAtMs: 100 * HOUR, takenAtMs: -1, triedAtMs };
    expect(isDue({ ...times, basesInVain: count })).toBe(due);
  },
);
