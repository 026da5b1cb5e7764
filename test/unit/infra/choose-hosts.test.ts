// choose-hosts.test.ts: which hosts a command means.
import { expect, test } from "vitest";
import { hostsToRun, hostsToStop, namedHosts } from "../../../infra/local/choose-hosts.ts";
import type { Plan } from "../../../infra/plan/plan.ts";

const PLAN: Plan = {
  cluster: "orders",
  confDigest: "",
  hosts: ["db1", "db2", "db3"].map((name) => ({ name, address: name, files: [], services: [] })),
  warnings: [],
};

type Where = Parameters<typeof hostsToRun>[0];

/** `isHere`: the names of this machine; `unresolved`: those that DNS does not know. */
function facts(isHere: readonly string[], unresolved: readonly string[] = []): Where {
  return {
    plan: PLAN,
    isHere: ({ name }) => isHere.includes(name),
    addressProblem: ({ name }) => (unresolved.includes(name) ? "ENOTFOUND" : undefined),
  };
}
const ALL = ["db1", "db2", "db3"];

const names = (hosts: readonly { name: string }[]): string[] => hosts.map(({ name }) => name);

test("without a name all hosts are meant", () => {
  expect(names(namedHosts(PLAN, undefined))).toEqual(["db1", "db2", "db3"]);
});

test("a host that twine.conf lacks is an error that lists those that are there", () => {
  expect(() => namedHosts(PLAN, "db22")).toThrow(
    /no host db22; did you mean db2\?[^]*db1, db2, db3/,
  );
});

test("start and stop mean the hosts whose address is this machine's", () => {
  expect(names(hostsToRun(facts(["db1", "db3"]), undefined))).toEqual(["db1", "db3"]);
});

test("when no host is this machine the error names them all", () => {
  expect(() => hostsToRun(facts([]), undefined)).toThrow(
    /no host of twine.conf is this machine: db1, db2, db3/,
  );
});

test("a host of twine.conf that is another machine is refused by name", () => {
  expect(() => hostsToRun(facts(["db1"]), "db2")).toThrow(
    /host db2 of twine.conf is not this machine/,
  );
});

const OLD = { address: "192.0.2.1", files: [], services: [] };
const LEFT = {
  left: [
    { ...OLD, name: "old1" },
    { ...OLD, name: "old2" },
  ],
  leftRunning: [{ ...OLD, name: "old2" }],
};

test("stop means hosts that have left twine.conf too, those where something runs", () => {
  const isHere = facts(["db1"]);
  expect(names(hostsToStop(isHere, undefined, LEFT))).toEqual(["db1", "old2"]);
  expect(names(hostsToStop(facts([]), undefined, LEFT))).toEqual(["old2"]);
  expect(names(hostsToStop(isHere, "old1", LEFT))).toEqual(["old1"]);
});

test("what is no host and no node for stop is wrong usage, whatever was left", () => {
  expect(() => hostsToStop(facts(ALL), "db22", LEFT)).toThrow(
    /no host or node db22; did you mean db2\?[^]*db1, db2, db3/,
  );
  expect(() => hostsToStop(facts([]), "db2", LEFT)).toThrow(/db2 .* not this machine/);
  const none = { left: [], leftRunning: [] };
  expect(() => hostsToStop(facts([]), undefined, none)).toThrow(/no host .* this machine/);
});

test("a host whose name can't be resolved is called so, instead of another machine", () => {
  expect(() => hostsToRun(facts([], ["db2"]), "db2")).toThrow(
    /host db2 .* the name db2 can't be resolved \(ENOTFOUND\)[^]*DNS or \/etc\/hosts/,
  );
  expect(() => hostsToRun(facts([], ALL), undefined)).toThrow(/db1 .*resolved[^]*db3 .*resolved/);
});
