// Whose pauses an alpha ends on the data nodes: its predecessors' by the view, and its own, but none that was set by hand.
import { expect, test } from "vitest";
import { createActor, type Actor } from "../../../runtime/monitor/act/actor.ts";
import type { Action } from "../../../runtime/monitor/decide/actions.ts";
import { RULES } from "../../../runtime/monitor/decide/rules.ts";
import { createQuiet } from "../../../runtime/monitor/quiet.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";
import type { OpenLink } from "../../../runtime/ports/redis-link.ts";
import { until } from "../../support/redis-server.ts";

const target = { node: "a1", partition: 0, host: "127.0.0.1", port: 7001 };

/** An actor over one node that notes the commands of CLIENT; `breaksAt`: no answer comes, and the link breaks. */
function actorOver(mayBePaused: readonly string[], breaksAt?: string) {
  const calls: string[] = [];
  let links = 0;
  let hasBroken = false;
  const openLink: OpenLink = () => {
    links += 1;
    let isOpen = true;
    return Promise.resolve({
      call: (command, ...args) => {
        const words = [command, ...args].join(" ");
        calls.push(words);
        if (breaksAt !== undefined && words.startsWith(breaksAt) && !hasBroken) {
          hasBroken = true;
          isOpen = false;
          return Promise.reject(new Error("the link broke"));
        }
        return Promise.resolve(words === "CLIENT ID" ? 1 : words.includes("LIST") ? "" : "OK");
      },
      subscribe: () => Promise.reject(new Error("nobody subscribes here")),
      onClose: () => undefined,
      close: () => undefined,
      get isOpen() {
        return isOpen;
      },
    });
  };
  const actor = createActor({
    ...{ monitor: "m1", epoch: 3, leaseMs: 100, credentials: undefined, openLink },
    clock: systemClock,
    emit: () => undefined,
    rules: RULES,
    quiet: createQuiet(systemClock, () => 100),
    mayAct: () => true,
    onActed: () => undefined,
    mayBePaused: new Set(mayBePaused),
  });
  return { actor, calls, linkCount: () => links };
}

const order = (kind: "pause" | "unpause" | "step-down"): Action => {
  const base = { node: "a1", partition: 0, host: "127.0.0.1", port: 7001, askedAtMs: Infinity };
  return kind === "pause"
    ? { ...base, kind, forMs: 60_000, waitersFirst: false }
    : { ...base, kind };
};
const isFenced = (actor: Actor): boolean => actor.acknowledgedAtMs().has("a1");
const unpausesOf = (calls: readonly string[]): number =>
  calls.filter((call) => call === "CLIENT UNPAUSE").length;

test("a new alpha leaves a pause alone that the view does not know", async () => {
  const { actor, calls } = actorOver([]);
  actor.fence([target]);
  await until("it is fenced", () => isFenced(actor));
  expect(calls).toEqual(["CLIENT LIST TYPE normal", "CLIENT ID"]);
});

test("a new alpha ends the pause of a master that hands over by its predecessor's view, once", async () => {
  const { actor, calls } = actorOver(["a1"]);
  actor.fence([target]);
  await until("it is fenced", () => isFenced(actor));
  expect(unpausesOf(calls)).toBe(1);
  actor.fence([target]);
  expect(unpausesOf(calls)).toBe(1);
});

test.each([["pause"], ["unpause"], ["step-down"]] as const)(
  "a %s whose answer never came is a pause until an UNPAUSE was answered",
  async (kind) => {
    const breaksAt = { pause: "CLIENT PAUSE", unpause: "CLIENT UNPAUSE", "step-down": "REPLICAOF" };
    const { actor, calls, linkCount } = actorOver([], breaksAt[kind]);
    actor.fence([target]);
    await until("it is fenced", () => isFenced(actor));
    if (kind !== "pause") {
      actor.act([order("pause")]);
      await until("it is paused", () => actor.pauses().has("a1") && isFenced(actor));
    }
    const before = unpausesOf(calls);
    actor.act([order(kind)]);
    await until("the link has broken", () => !isFenced(actor));
    await until("the node is fenced anew", () => {
      actor.fence([target]);
      return linkCount() === 2 && isFenced(actor);
    });
    expect(unpausesOf(calls)).toBeGreaterThan(before);
    expect(actor.pauses().has("a1")).toBe(false);
  },
);
