import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { transitionsBetween } from "../../../runtime/monitor/decide/views/transitions.ts";
import { EVENTS } from "../../../runtime/monitor/emit.ts";
import { otherAlphas } from "../../../runtime/monitor/act/other-alphas.ts";
import type { View } from "../../../runtime/core/view.ts";
import { ROOT, listFiles } from "../../support/source-files.ts";
import { servedScene } from "./situations.ts";

test("docs/EVENTS.md lists exactly the events that the code can emit, in the same order", () => {
  const page = readFileSync(new URL("../../../docs/EVENTS.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]);
  expect(listed).toEqual(Object.keys(EVENTS));
});

const SOURCES = [
  ...listFiles("runtime/monitor", ".ts"),
  "runtime/bin/twined.ts",
  "runtime/backup/backup-services.ts",
]
  .filter((path) => path !== "runtime/monitor/emit.ts")
  .map((path) => readFileSync(join(ROOT, path), "utf8"));

test("every event of the list is emitted somewhere, and nothing else is", () => {
  const named = SOURCES.flatMap((text) =>
    [...text.matchAll(/"([+-][a-z][a-z-]*)"/g)].map(([, name = ""]) => name),
  );
  // What Sentinel's subscribers hear has names of its own.
  const ours = new Set(named.filter((name) => name in EVENTS));
  expect([...ours].sort()).toEqual(Object.keys(EVENTS).sort());
});

test("a monitor writes nothing to its log but events", () => {
  const calls = SOURCES.flatMap((text) => text.match(/\blog\.(info|warn|error)\(/g) ?? []);
  expect(calls).toEqual([]);
});

test("a partition's HALT is told once, and what it waits for whenever that changes", () => {
  const { view } = servedScene();
  const needing = (needs: string | null): View => ({
    ...view,
    partitions: view.partitions.map((partition) => ({ ...partition, needs })),
  });
  const steps = [null, "a1", "a1 or a2", "a2", null, "a1"];
  const reported = steps.slice(1).map((needs, at) =>
    transitionsBetween(needing(steps[at] ?? null), needing(needs))
      .map(({ event }) => event)
      .filter((event) => event !== "+view"),
  );
  expect(reported).toEqual([["+halt"], ["+needs"], ["+needs"], ["-halt"], ["+halt"]]);
});

test("a lost master is told as +failover, -master, +down, +state and +view", () => {
  const scene = servedScene();
  const before = scene.view;
  scene.see("a1", "refused").step();
  const events = transitionsBetween(before, scene.view).map(({ event }) => event);
  expect(events).toEqual(["+failover", "-master", "+down", "-sync", "-sync", "+state", "+view"]);
});

test("connections of lower epochs are another alpha's, and those of this epoch but the one that asks", () => {
  const list = [
    "id=3 addr=127.0.0.1:1 laddr=x fd=8 name=twined:m1:4 age=1 user=default",
    "id=4 addr=127.0.0.1:2 laddr=x fd=8 name=twined:m2:5 age=1 user=default",
    "id=5 addr=127.0.0.1:3 laddr=x fd=8 name=twined-watch:m1 age=1 user=default",
    "id=6 addr=127.0.0.1:4 laddr=x fd=8 name= age=1 user=default",
    "id=7 addr=127.0.0.1:5 laddr=x fd=8 name=twined:m2:5 age=1 user=default",
    "id=8 addr=127.0.0.1:6 laddr=x fd=8 name=twined:m3:6 age=1 user=default",
  ].join("\n");
  expect(otherAlphas(list, 5, "7")).toEqual(["3", "4"]);
});
