// install-steps.test.ts: who may install what, and what the others are told.
import { expect, test } from "vitest";
import { installPlan, type Machine } from "../../../infra/local/install/install-steps.ts";

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
