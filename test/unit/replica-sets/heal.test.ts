// heal.test.ts: who becomes master of a replica set that a RedCluster keeps.
import { expect, test } from "vitest";
import {
  followedOutside,
  heal,
  parseMemberInfo,
  type Healing,
  type MemberInfo,
  type MemberState,
} from "../../../runtime/replica-sets/heal.ts";

const info: MemberInfo = {
  ...{ runId: "r", role: "master", following: null, isLinkUp: false, isIncomplete: false },
  ...{ isBarred: false, offset: 100, wasPromoted: false, historyId: "ours" },
  formerHistoryId: "0",
};
const master = (name: string, more: Partial<MemberInfo> = {}): MemberState => ({
  name,
  state: { ...info, ...more },
});
const replica = (name: string, following: string, more: Partial<MemberInfo> = {}): MemberState => ({
  name,
  state: { ...info, role: "replica", following, isLinkUp: true, ...more },
});
const refused = (name: string): MemberState => ({ name, state: "refused" });
const silent = (name: string, silentMs: number): MemberState => ({ name, state: { silentMs } });
const healed = (members: readonly MemberState[], known?: string, ...alive: string[]): Healing =>
  heal(members, {
    ...{ known, configured: "a", downAfterMs: 1000 },
    aliveOutside: new Set(alive),
  });

test("a set that is well is left alone", () => {
  const members = [master("a"), replica("b", "a"), replica("c", "a")];
  const well = {
    ...{ master: "a", promote: undefined, repoint: [], conflict: [], strangers: [] },
  };
  expect(healed(members)).toEqual(well);
  expect(healed(members, "a")).toEqual(well);
});

test("a dead master's place is taken by the replica with the most of its writes, the first of several", () => {
  const members = [refused("a"), replica("b", "a"), replica("c", "a", { offset: 120 })];
  expect(healed(members, "a")).toMatchObject({ promote: "c", repoint: ["b"] });
  const equal = [refused("a"), replica("b", "a"), replica("c", "a")];
  expect(healed(equal, "a")).toMatchObject({ promote: "b", repoint: ["c"] });
});

test("a silent master keeps its place until it was silent for too long", () => {
  const rest = [replica("b", "a"), replica("c", "a")];
  expect(healed([silent("a", 900), ...rest], "a")).toMatchObject({ master: "a", repoint: [] });
  expect(healed([silent("a", 1000), ...rest], "a")).toMatchObject({ promote: "b" });
});

test("nobody is promoted who must not be, or whose data is being replaced", () => {
  const barred = replica("b", "a", { isBarred: true, offset: 500 });
  const syncing = replica("c", "a", { isIncomplete: true, offset: 500 });
  expect(healed([refused("a"), barred, syncing], "a")).toMatchObject({
    master: undefined,
    promote: undefined,
  });
  expect(healed([refused("a"), barred, syncing, replica("d", "a")], "a").promote).toBe("d");
});

test("a master that comes back follows the one that took its place, whoever looks", () => {
  const members = [master("a"), master("b", { wasPromoted: true }), replica("c", "b")];
  const healing = { master: "b", promote: undefined, repoint: ["a"], conflict: [], strangers: [] };
  expect(healed(members, "b")).toEqual(healing);
  expect(healed(members)).toEqual(healing);
  const two = [master("a"), master("b", { wasPromoted: true })];
  expect(healed(two)).toMatchObject({ master: "b", repoint: ["a"] });
  expect(healed(two, "b")).toMatchObject({ master: "b", repoint: ["a"] });
});

test("what another process has promoted is adopted, also while the old master is still there", () => {
  const adopted = [master("a"), master("b", { wasPromoted: true }), replica("c", "b")];
  expect(healed(adopted, "a")).toMatchObject({ master: "b", repoint: ["a"] });
  const demoted = [replica("a", "b"), master("b"), replica("c", "b")];
  expect(healed(demoted, "a")).toMatchObject({ master: "b", repoint: [] });
});

test("a member that came back as its own master does not replace a silent one too early", () => {
  const members = [silent("a", 500), master("b"), replica("c", "a")];
  expect(healed(members, "a")).toMatchObject({ master: "a", repoint: [] });
});

test("two masters that nothing tells apart are nobody's to choose at the beginning", () => {
  const members = [
    master("a", { wasPromoted: true }),
    master("b", { wasPromoted: true }),
    refused("c"),
  ];
  expect(healed(members)).toMatchObject({ master: undefined, conflict: ["a", "b"] });
  expect(healed(members, "a")).toMatchObject({ master: "a", conflict: [] });
});

test("a plain member that nobody promoted is made a replica of the configured master", () => {
  expect(healed([master("a"), master("b")])).toMatchObject({ master: "a", repoint: ["b"] });
});

test("a replica of a live node outside the set is neither promoted nor told anything, and is named", () => {
  const theirs = { historyId: "theirs" };
  const named = { strangers: [{ name: "a", follows: "x", isAlive: true }] };
  // It was named as the master.
  expect(healed([replica("a", "x", theirs)])).toEqual({
    ...{ master: undefined, promote: undefined, repoint: [], conflict: [] },
    ...named,
  });
  // Its own replicas belong to that node too.
  const chain = [replica("a", "x", theirs), replica("b", "a", theirs)];
  expect(healed(chain)).toMatchObject({ promote: undefined, master: undefined });
  expect(healed(chain).strangers.map(({ name }) => name)).toEqual(["a", "b"]);
  // It was named as a replica of ours.
  const replicaOfOthers = [master("a"), replica("b", "a"), replica("c", "x", theirs)];
  const left = {
    master: "a",
    repoint: [],
    strangers: [{ name: "c", follows: "x", isAlive: true }],
  };
  expect(healed(replicaOfOthers, "a")).toMatchObject(left);
  const dead = [refused("a"), replica("b", "a"), replica("c", "x", { ...theirs, offset: 900 })];
  expect(healed(dead, "a")).toMatchObject({ promote: "b", repoint: [] });
});

test("without a link to it, a node outside the set is asked itself whether it lives", () => {
  const cut = [replica("a", "x", { isLinkUp: false }), replica("b", "a")];
  expect(followedOutside(cut)).toEqual(["x"]);
  expect(healed(cut, undefined, "x")).toMatchObject({ promote: undefined, master: undefined });
  expect(healed(cut)).toMatchObject({ promote: "a", repoint: ["b"], strangers: [] });
  expect(followedOutside([master("a"), replica("b", "a", { isLinkUp: false })])).toEqual([]);
});

test("what has a dead outside node's data is left alone beside a set that has data of its own", () => {
  const orphan = replica("c", "x", { historyId: "theirs", isLinkUp: false, offset: 900 });
  const named = { strangers: [{ name: "c", follows: "x", isAlive: false }] };
  const ours = [master("a"), replica("b", "a"), orphan];
  expect(healed(ours, "a")).toMatchObject({ master: "a", repoint: [], ...named });
  // Its offset is of another history: it never takes the place of a member's.
  expect(healed([refused("a"), replica("b", "a"), orphan], "a")).toMatchObject({
    ...{ promote: "b", repoint: [] },
    ...named,
  });
  // It has what the set has: from before the promotion, or now.
  const promoted = master("b", { historyId: "new", formerHistoryId: "ours", wasPromoted: true });
  const late = replica("c", "x", { isLinkUp: false });
  expect(healed([refused("a"), promoted, late])).toMatchObject({ repoint: ["c"], strangers: [] });
});

test("a replica that knows its master by another address is none of somebody else", () => {
  const members = [master("a"), replica("b", "host-of-a:1")];
  expect(healed(members, "a")).toMatchObject({ master: "a", repoint: ["b"], strangers: [] });
});

test("INFO is read in the wire's own words", () => {
  const text = [
    "run_id:abc",
    "role:slave",
    "master_host:127.0.0.1",
    "master_port:7000",
    "master_link_status:up",
    "master_sync_in_progress:0",
    "slave_repl_offset:77",
    "slave_priority:0",
    "master_replid:9f",
    `master_replid2:${"0".repeat(40)}`,
  ].join("\r\n");
  expect(parseMemberInfo(text)).toEqual({
    ...{ runId: "abc", role: "replica", following: "127.0.0.1:7000", isLinkUp: true },
    ...{ isIncomplete: false, isBarred: true, offset: 77, wasPromoted: false, historyId: "9f" },
    formerHistoryId: "0".repeat(40),
  });
  expect(parseMemberInfo("nothing")).toBeUndefined();
});
