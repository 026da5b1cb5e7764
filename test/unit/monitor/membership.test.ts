// Method: the judge alone with a clock that is told the time; then two whole clusters of monitors on the same three
// acceptors and the same hashes, all in one process.
import { describe, expect, test } from "vitest";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import type { EventName } from "../../../runtime/monitor/emit.ts";
import { createMembership } from "../../../runtime/monitor/membership.ts";
import { startMonitor, type Monitor } from "../../../runtime/monitor/monitor.ts";
import type { MonitorAnswer } from "../../../runtime/monitor/observe/ask-monitor.ts";
import { silentLog, type Log } from "../../../runtime/ports/log.ts";
import { LinkError, type OpenLink } from "../../../runtime/ports/redis-link.ts";
import { memoryAcceptor } from "../../../runtime/register/memory-acceptor.ts";
import { memoryHashes } from "../../support/memory-hashes.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { ManualTime } from "../../support/manual-time.ts";
import { configOf } from "./situations.ts";

const confOf = (dataPort: number, monitorPort: number): string => `
a1=data 0 localhost ${dataPort} 0
s1=status localhost 7101 0
s2=status localhost 7102 0
s3=status localhost 7103 0
m1=monitor localhost ${monitorPort}
m2=monitor localhost ${monitorPort + 1}
m3=monitor localhost ${monitorPort + 2}
`;

function judgeOf(conf: string, answer: MonitorAnswer | undefined) {
  const time = new ManualTime();
  const reported: EventName[] = [];
  const asked: number[] = [];
  const state = { config: configOf(conf), answer };
  const membership = createMembership({
    name: "m1",
    run: "mine",
    config: () => state.config,
    clock: time.clockOf("m1"),
    askMonitor: (_host, port) => {
      asked.push(port);
      return Promise.resolve(state.answer);
    },
    emit: (event) => reported.push(event),
  });
  return { time, reported, asked, state, membership };
}

const viewOf = (conf: string) => firstView(configOf(conf), "d", "m2", "");

describe("another cluster's view", () => {
  test("keeps a monitor out, told once, with the remedy", () => {
    const { membership, reported } = judgeOf(confOf(8001, 8201), undefined);
    expect(membership.isMember()).toBe(false);
    membership.judge(viewOf(confOf(7001, 7201)));
    membership.judge(viewOf(confOf(7001, 7201)));
    expect(membership.isMember()).toBe(false);
    expect(membership.isStranger()).toBe(true);
    expect(membership.keepsOutBecause()).toMatch(
      /another cluster that is named "twine" too: none of .*a1 at 127\.0\.0\.1:7001.*; give it a name/,
    );
    expect(reported).toEqual(["-member"]);
  });

  test("a corrected twine.conf lets it in", () => {
    const { membership, reported, state } = judgeOf(confOf(8001, 7201), undefined);
    membership.judge(viewOf(confOf(7001, 7201)));
    state.config = configOf(confOf(7001, 7201));
    membership.judge(viewOf(confOf(7001, 7201)));
    expect(membership.isMember()).toBe(true);
    expect(reported).toEqual(["-member", "+member"]);
  });

  test("is none for a monitor that has belonged to it: a cluster may move all its nodes", () => {
    const { membership, state } = judgeOf(confOf(7001, 7201), undefined);
    membership.judge(null);
    expect(membership.isMember()).toBe(true);
    membership.judge(viewOf(confOf(7001, 7201)));
    state.config = configOf(confOf(9001, 7201));
    membership.judge(viewOf(confOf(7001, 7201)));
    expect(membership.isMember()).toBe(true);
  });
});

describe("the view has this monitor's name at another place", () => {
  const here = confOf(7001, 8201);
  const there = viewOf(confOf(7001, 7201));

  test("and one of that name answers there: this one keeps out until that one has gone", async () => {
    const { membership, reported, asked, state, time } = judgeOf(here, {
      name: "m1",
      run: "other",
    });
    membership.judge(there);
    expect(membership.isMember()).toBe(false);
    await time.step();
    expect(membership.keepsOutBecause()).toMatch(
      /its m1 at 127\.0\.0\.1:7201, which is alive, and this one is at 127\.0\.0\.1:8201/,
    );
    expect(membership.isStranger()).toBe(false);
    state.answer = undefined;
    while (asked.length < 2) {
      membership.judge(there);
      await time.step();
    }
    await time.step();
    expect(membership.isMember()).toBe(true);
    expect(asked).toEqual([7201, 7201]);
    expect(reported).toEqual(["-member", "+member"]);
  });

  test.each([
    ["nobody answers", undefined],
    ["it is this very process, under another address", { name: "m1", run: "mine" }],
    ["a monitor of another name has taken the port", { name: "m4", run: "other" }],
  ])("and %s: this one takes part", async (_what, answer) => {
    const { membership, reported, time } = judgeOf(here, answer);
    membership.judge(there);
    await time.step();
    expect(membership.isMember()).toBe(true);
    expect(reported).toEqual([]);
  });

  test("a changed file that moves it elsewhere does not make it its own rival", () => {
    const { membership, state, asked } = judgeOf(confOf(7001, 7201), { name: "m1", run: "other" });
    state.config = configOf(here);
    membership.judge(there);
    expect(membership.isMember()).toBe(true);
    expect(asked).toEqual([]);
  });
});

const nobody: OpenLink = () => Promise.reject(new LinkError("nobody listens", "refused"));

test("the monitors of a second cluster on the same status nodes never lead, propose, write or publish", async () => {
  const random = seededRandom(1);
  const time = new ManualTime();
  const hashes = memoryHashes();
  const acceptors = ["s1", "s2", "s3"].map((name) => memoryAcceptor(name));
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (message) => errors.push(message) };
  const start = (conf: string, owner: string, refuse: boolean): Monitor[] =>
    ["m1", "m2", "m3"].map((name) =>
      startMonitor({
        name,
        config: configOf(conf),
        password: undefined,
        clock: time.clockOf(owner),
        random,
        log,
        openLink: nobody,
        acceptors: acceptors.map((acceptor) => ({
          ...acceptor,
          prepare: (request) => {
            expect(refuse, "a stranger proposes").toBe(false);
            return acceptor.prepare(request);
          },
        })),
        hashes: {
          ...hashes,
          writeObserved: (monitor, json) => {
            expect(refuse, "a stranger writes what it sees").toBe(false);
            return hashes.writeObserved(monitor, json);
          },
          publishEvent: (json) => {
            expect(refuse, "a stranger publishes").toBe(false);
            return hashes.publishEvent(json);
          },
        },
        askMonitor: () => Promise.resolve(undefined),
      }),
    );
  const first = start(confOf(7001, 7201), "first", false);
  while (!first.some((monitor) => monitor.isAlphaAlive())) await time.step();
  const second = start(confOf(8001, 8201), "second", true);
  while (second.some((monitor) => !monitor.health().why.includes("another cluster"))) {
    await time.step();
  }
  expect(errors).toEqual(["-member", "-member", "-member"]);
  // The first cluster's monitors hang: nobody takes their place, and they go on where they were.
  time.pause("first");
  const epoch = acceptors[0]?.peek().accepted?.value.epoch;
  for (let ms = 0; ms < 5000; ms++) await time.step();
  expect(second.map((monitor) => monitor.health())).toMatchObject(
    second.map(() => ({ ok: false, isAlpha: false, alpha: null, epoch: 0 })),
  );
  expect(second.map((monitor) => monitor.view())).toEqual([null, null, null]);
  expect(acceptors[0]?.peek().accepted?.value.epoch).toBe(epoch);
  time.resume("first");
  while (!first.some((monitor) => monitor.isAlphaAlive())) await time.step();
  const nodes = first.find((monitor) => monitor.isAlphaAlive())?.view()?.nodes ?? [];
  expect(nodes.filter(({ kind }) => kind === "data").map(({ port }) => port)).toEqual([7001]);
  expect(errors).toHaveLength(3);
});
