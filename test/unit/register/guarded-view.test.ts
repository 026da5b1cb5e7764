import { expect, test } from "vitest";
import type { View } from "../../../runtime/core/view.ts";
import { guardedView } from "../../../runtime/register/guarded-view.ts";
import type { ViewSource } from "../../../runtime/register/view-source.ts";
import { firstView } from "../../../runtime/monitor/decide/first-view.ts";
import { configOf } from "../monitor/situations.ts";

const confOf = (port: number, more = ""): string =>
  `a1=data 0 localhost ${port} 0\ns1=status localhost 7101 0\nm1=monitor localhost 7201\n${more}`;

function viewOf(port: number, master: string | null = "a1"): View {
  const view = firstView(configOf(confOf(port)), "d", "m1", "");
  return { ...view, partitions: view.partitions.map((part) => ({ ...part, master })) };
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

test("another cluster's view is shown to nobody, and the clash says what to do", () => {
  const { held, source } = sourceOf(undefined);
  const guarded = guardedView(source, configOf(confOf(8001)));
  expect([guarded.current(), guarded.clash()]).toEqual([undefined, undefined]);
  held.view = viewOf(7001);
  expect(guarded.current()).toBeUndefined();
  expect(guarded.clash()).toMatch(/another cluster that is named "twine" too: .*; give it a name/);
});

test("a cluster that has been followed once is followed to wherever its nodes move", () => {
  const { held, source } = sourceOf(viewOf(7001));
  const guarded = guardedView(source, configOf(confOf(7001)));
  expect(guarded.current()?.nodes[0]?.port).toBe(7001);
  held.view = viewOf(9001);
  expect(guarded.current()?.nodes[0]?.port).toBe(9001);
  expect(guarded.clash()).toBeUndefined();
});

test("by another hash no master is shown", () => {
  const { source } = sourceOf(viewOf(7001));
  const guarded = guardedView(source, configOf(confOf(7001, "hash crc16\n")));
  expect(guarded.current()?.partitions.map(({ master }) => master)).toEqual([null]);
  expect(guarded.clash()).toContain("the keys lie by crc32");
});
