import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Tests start some thousand processes: code that was compiled before costs a third less of a start.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, ".cache/node-compile");

// unit: no process of ours runs; unit-pulumi: the same, but Pulumi's own modules keep state; integration: real servers;
// e2e: a whole cluster by its bins, one file at a time; pulumi: the Pulumi engine on Docker engines in network namespaces
// of their own. One group after the other: they differ in how many files may run at once.
const PULUMI_UNIT = [
  "test/unit/docker/monitor-image.test.ts",
  "test/unit/docker/resources.test.ts",
  "test/unit/infra/program.test.ts",
];

export default defineConfig({
  test: {
    // A tool's error, whole, in the first line of a failure.
    chaiConfig: { truncateThreshold: 4000 },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{unit,property,golden,simulation}/**/*.test.ts", "test/tidy.test.ts"],
          exclude: PULUMI_UNIT,
          testTimeout: 30_000,
          // No module of ours keeps state and none is mocked: loading them once for all files saves a third of the time.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "unit-pulumi",
          include: PULUMI_UNIT,
          testTimeout: 30_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/support/install-programs.ts", "test/support/bundle-bins.ts"],
          // Above what test/support waits for a condition, so that a failure names the condition.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Half of the time they wait: two leave the machine idle for half of it.
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: [
            "test/support/install-programs.ts",
            "test/support/compile.ts",
            "test/support/bundle-bins.ts",
          ],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "pulumi",
          include: ["test/pulumi/**/*.test.ts"],
          globalSetup: [
            "test/support/install-programs.ts",
            "test/support/compile.ts",
            "test/pulumi/set-up.ts",
          ],
          testTimeout: 900_000,
          hookTimeout: 180_000,
          // Each file has engines of its own, and mostly waits: for health checks, for what must fail in time.
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
