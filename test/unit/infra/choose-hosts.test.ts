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
  expect(names(hostsToRun(PLAN, undefined, ({ name }) => name !== "db2"))).toEqual(["db1", "db3"]);
});

test("when no host is this machine the error names them all", () => {
  expect(() => hostsToRun(PLAN, undefined, () => false)).toThrow(
    /no host of twine.conf is this machine: db1, db2, db3/,
  );
});

test("a host of twine.conf that is another machine is refused by name", () => {
  expect(() => hostsToRun(PLAN, "db2", ({ name }) => name === "db1")).toThrow(
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
  const isHere = ({ name }: { name: string }): boolean => name === "db1";
  expect(names(hostsToStop(PLAN, undefined, isHere, LEFT))).toEqual(["db1", "old2"]);
  expect(names(hostsToStop(PLAN, undefined, () => false, LEFT))).toEqual(["old2"]);
  expect(names(hostsToStop(PLAN, "old1", isHere, LEFT))).toEqual(["old1"]);
});

test("what is no host and no node for stop is wrong usage, whatever was left", () => {
  expect(() => hostsToStop(PLAN, "db22", () => true, LEFT)).toThrow(
    /no host or node db22; did you mean db2\?[^]*db1, db2, db3/,
  );
  expect(() => hostsToStop(PLAN, "db2", () => false, LEFT)).toThrow(/db2 .* not this machine/);
  const none = { left: [], leftRunning: [] };
  expect(() => hostsToStop(PLAN, undefined, () => false, none)).toThrow(/no host .* this machine/);
});
