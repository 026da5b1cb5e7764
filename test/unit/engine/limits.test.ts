// limits.test.ts: what clients may take of the files that a process may have open.
import { expect, test } from "vitest";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { limitsOf } from "../../../runtime/engine/limits.ts";

const { config } = parseConf("a=data 0 localhost 6666 0\n", "twine.conf");
if (config === undefined) throw new Error("the conf is wrong");
const { settings } = config;

test("max-clients counts where there are descriptors for all, and a connection to a node for each", () => {
  const limits = limitsOf(settings, 1_048_576, 4);
  expect(limits.clientsMax).toBe(10_000);
  expect(limits.dedicatedMax).toBeGreaterThan(10_000);
  expect(limitsOf(settings).clientsMax).toBe(10_000);
});

test("with few descriptors clients leave the reserve that a new master needs, and what the statistics port may take", () => {
  const limits = limitsOf(settings, 256, 4);
  expect(limits.clientsMax).toBeLessThan(100);
  expect(limits.clientsMax + limits.dedicatedMax).toBeLessThanOrEqual(256 - 64 - 32 - 4 * 4);
  expect(limits.clientsMax).toBeGreaterThan(50);
});
