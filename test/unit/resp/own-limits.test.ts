import { expect, test } from "vitest";
import { REQUEST_LIMITS, UNAUTHENTICATED_LIMITS } from "../../../runtime/resp/limits.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";

test.each([
  ["Redis's", REQUEST_LIMITS, "$999999999", "invalid bulk length"],
  ["a server's own", { arrayLength: 2, bulkBytes: 10 }, "$11", "invalid bulk length"],
  ["a stranger's", UNAUTHENTICATED_LIMITS, "$16385", "unauthenticated bulk length"],
])("what exceeds %s limits is called by its name", (_whose, limits, header, what) => {
  const splitter = new RequestSplitter();
  splitter.limits = limits;
  splitter.push(Buffer.from(`*1\r\n${header}\r\n`));
  expect(() => splitter.next()).toThrow(`Protocol error: ${what}`);
});
