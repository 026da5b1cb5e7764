// stop-order.test.ts: who stops before whom.
import { expect, test } from "vitest";
import { STOP_STAGES, stopStage } from "../../../infra/local/processes/stop-order.ts";

test("routers stop first and status nodes last, replicas before masters", () => {
  const stages = [
    stopStage("router", undefined),
    stopStage("monitor", undefined),
    stopStage("data", "replica"),
    stopStage("data", "master"),
    stopStage("status", "master"),
  ];
  expect(stages).toEqual([...STOP_STAGES]);
});

test("a data node that loads or doesn't answer stops with the replicas", () => {
  expect(stopStage("data", "loading")).toBe("replicas");
  expect(stopStage("data", undefined)).toBe("replicas");
});
