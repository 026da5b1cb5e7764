// Random and mutated inputs against a router, with seeds that repeat; scripts/fuzz-router.ts is the same at length.
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { startRouterCluster } from "../support/router-cluster.ts";
import { fuzzRouter } from "../support/fuzz-router.ts";

describe.skipIf(isMissing("redis-server"))("hostile clients", () => {
  test.each([1, 2, 3])(
    "neither break a router nor get what is another's (seed %i)",
    async (seed) => {
      const { port } = await startRouterCluster({ partitions: 3 });
      const report = await fuzzRouter({ port, seed, inputs: 4000, hostile: 8, honest: 2 });
      expect(report.replies).toBeGreaterThan(1000);
      expect(report.protocolErrors).toBeGreaterThan(10);
      expect(report.honestReplies).toBeGreaterThan(100);
    },
  );
});
