// metrics.test.ts: the metrics of a router beside the page that documents them.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ROUTER_METRICS } from "../../../../runtime/router/stats/metrics.ts";

test("docs/metrics.md lists every metric of a router with type, labels and meaning, and no other", () => {
  const text = readFileSync(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");
  const rows = text.matchAll(/^\| `(twine_router_\w+)` +\| (\w+) +\| ([^|]*?) *\| (.*?) *\|$/gm);
  expect([...rows].map((row) => row.slice(1))).toEqual(
    ROUTER_METRICS.map(({ name, type, labels, help }) => [name, type, labels.join(", "), help]),
  );
});
