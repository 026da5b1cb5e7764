import { expect, test } from "vitest";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import type { View } from "../../../runtime/core/view.ts";
import { guardedView } from "../../../runtime/register/guarded-view.ts";
import type { ViewSource } from "../../../runtime/register/view-source.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { configOf } from "../monitor/situations.ts";

const confOf = (port: number, more = ""): string =>
  `a1=data 0 localhost ${port} 0\ns1=status localhost 7101 0\nm1=monitor localhost 7201\n${more}`;

function viewOf(port: number, master: string | null = "a1", more = ""): View {
  const view = firstView(configOf(confOf(port, more)), "d", "m1", "");
  return { ...view, partitions: view.partitions.map((part) => ({ ...part, master })) };
}

function guardedBy(source: ViewSource, conf: string) {
  const config = configOf(conf);
  return guardedView(source, config, builtinHashing(config.settings));
}

function sourceOf(first: View | undefined) {
  const held = { view: first };
  const source: ViewSource = {
    current: () => held.view,
    isConfirmed: () => true,
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
  return { held, source };
}

test("another cluster's view is shown to nobody, and the mismatch says what to do", () => {
  const { held, source } = sourceOf(undefined);
  const guarded = guardedBy(source, confOf(8001));
  expect([guarded.current(), guarded.mismatch()]).toEqual([undefined, undefined]);
  held.view = viewOf(7001);
  expect(guarded.current()).toBeUndefined();
  expect(guarded.mismatch()).toMatch(
    /another cluster that is named "twine" too: .*; give it a name/,
  );
});

test("a cluster that has been followed once is followed to wherever its nodes move", () => {
  const { held, source } = sourceOf(viewOf(7001));
  const guarded = guardedBy(source, confOf(7001));
  expect(guarded.current()?.nodes[0]?.port).toBe(7001);
  held.view = viewOf(9001);
  expect(guarded.current()?.nodes[0]?.port).toBe(9001);
  expect(guarded.mismatch()).toBeUndefined();
});

test("by another hash no master is shown", () => {
  const second = "b1=data 1 localhost 7002 0\n";
  const { source } = sourceOf(viewOf(7001, "a1", second));
  const guarded = guardedBy(source, confOf(7001, `${second}hash crc16\n`));
  expect(guarded.current()?.partitions.map(({ master }) => master)).toEqual([null, null]);
  expect(guarded.mismatch()).toContain("the keys are placed by crc32");
});
