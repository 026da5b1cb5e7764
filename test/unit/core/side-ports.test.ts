// side-ports.test.ts: what programs that read pages, figures or Sentinel's answers may take of a process's files.
import { expect, test } from "vitest";
import { connectionsMaxOf, HTTP_PORT, SENTINEL_PORT } from "../../../runtime/core/side-ports.ts";

test("with few files both ports together leave more than half of them to the monitor", () => {
  for (const filesMax of [64, 256, 1024, 4096]) {
    const taken = connectionsMaxOf(HTTP_PORT, filesMax) + connectionsMaxOf(SENTINEL_PORT, filesMax);
    expect(taken).toBeLessThan(filesMax / 2);
    expect(taken).toBeGreaterThan(1);
  }
});

test("with many files, or without a limit, each port has its most", () => {
  for (const filesMax of [1_048_576, undefined]) {
    expect(connectionsMaxOf(HTTP_PORT, filesMax)).toBe(256);
    expect(connectionsMaxOf(SENTINEL_PORT, filesMax)).toBe(10_000);
  }
});
