// cluster-state.test.ts: what is told of a monitor's status while an environment is not OK.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { statesOf } from "../../../infra/env/cluster-state.ts";

async function statusServer(status: unknown): Promise<string> {
  const server = createServer((_, response) => response.end(JSON.stringify(status)));
  onTestFinished(() => void server.close());
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a state that is not OK comes with its problems, without the notes, and whatever they hold", async () => {
  const dead = { severity: "DEGRADED", subject: "a2", text: "is dead" };
  const urls = await Promise.all([
    statusServer({ state: "OK", problems: [] }),
    statusServer({ state: "DEGRADED", problems: [{ ...dead, severity: "NOTE" }, dead] }),
    statusServer({ state: "HALT", problems: [null, 7, { subject: "x" }] }),
    statusServer({ state: "HALT", problems: Array.from({ length: 99 }, () => dead) }),
    statusServer({ state: 7 }),
  ]);
  expect(await statesOf([...urls, "http://127.0.0.1:1"])).toEqual([
    "OK",
    "DEGRADED (a2 is dead)",
    "HALT",
    "HALT (a2 is dead; a2 is dead; a2 is dead)",
    "unknown",
    "no answer",
  ]);
});
