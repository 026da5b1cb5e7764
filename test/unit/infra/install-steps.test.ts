// install-steps.test.ts: who may install what, and what the others are told.
import { expect, test } from "vitest";
import { configOf } from "../../golden/render-cases.ts";
import {
  extraPrograms,
  installPlan,
  type Machine,
} from "../../../infra/local/install/install-steps.ts";

function machine(manager: string | undefined, rights: Partial<Machine> = {}): Machine {
  return {
    platform: "linux",
    isRoot: false,
    hasSudo: false,
    has: (name) => name === manager,
    ...rights,
  };
}

test("root installs with apt-get and keeps Debian from starting a server of its own", () => {
  const plan = installPlan(machine("apt-get", { isRoot: true }));
  expect(plan).toMatchObject({ kind: "may", plan: { guardsServices: true } });
  expect(JSON.stringify(plan)).not.toContain("sudo");
});

test("a user with sudo installs through it", () => {
  const plan = installPlan(machine("apt-get", { hasSudo: true }));
  expect(plan.kind === "may" && plan.plan.steps.every((step) => step[0] === "sudo")).toBe(true);
});

test("a user without rights is told the commands for root", () => {
  const plan = installPlan(machine("apt-get"));
  expect(plan.kind === "say" && plan.how.join()).toMatch(/as root: apt-get update/);
});

test("brew needs no root, and refuses it", () => {
  expect(installPlan(machine("brew")).kind).toBe("may");
  expect(installPlan(machine("brew", { isRoot: true })).kind).toBe("say");
});

test("a machine without a known package manager gets advice for its system", () => {
  const plan = installPlan(machine(undefined, { platform: "darwin" }));
  expect(plan.kind === "say" && plan.how.join()).toContain("brew install redis");
});

const NODES = "a1=data 0 6666 0\nr1=router 6379\nm1=monitor 7000\n";

test("twemproxy and monit are wanted where twine.conf says so, by their names in each system", () => {
  const wantedBy = (lines: string): readonly string[] =>
    extraPrograms(configOf(`${NODES}${lines}`).settings);
  expect(wantedBy("s1=status 6700 0\n")).toEqual([]);
  const both = wantedBy("router twemproxy\nfailover sentinel\nsupervisor monit\n");
  expect(both).toEqual(["nutcracker", "monit"]);
  const stepsOf = (manager: string, rights: Partial<Machine>): string => {
    const plan = installPlan(machine(manager, rights), ["nutcracker", "monit"]);
    return plan.kind === "may" ? plan.plan.steps.map((step) => step.join(" ")).join("\n") : "";
  };
  expect(stepsOf("apt-get", { isRoot: true })).toMatch(/recommends nutcracker monit$/);
  expect(stepsOf("dnf", { isRoot: true })).toBe("dnf install -y twemproxy\ndnf install -y monit");
  expect(stepsOf("brew", {})).toBe("brew install twemproxy monit");
  const told = installPlan(machine(undefined), ["nutcracker"]);
  expect(told.kind === "say" && told.how).toEqual([
    "install twemproxy with this system's package manager",
  ]);
});
