// answered-requests.test.ts: answered requests on real status nodes go when they are old; questions never do.
import { describe, expect, onTestFinished, test } from "vitest";
import type { Request } from "../../runtime/core/request.ts";
import { ENTRY_COUNT_MAX } from "../../runtime/core/shared-entries.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { ANSWER_KEPT_MS } from "../../runtime/register/answered-requests.ts";
import { openSharedHashes, type SharedHashes } from "../../runtime/register/shared-hashes.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes, type StatusNodes } from "../support/status-nodes.ts";

const asked = (id: string): Request => ({
  id,
  body: { kind: "accept-loss", node: "a1" },
  state: "asked",
  message: "",
});
const answer = (id: string): Request => ({ ...asked(id), state: "done", message: "a1 is master" });

/** A board whose clock can be put forward. */
function boardOf(nodes: StatusNodes): {
  readonly board: SharedHashes;
  readonly pass: (ms: number) => void;
} {
  let passedMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + passedMs };
  const board = openSharedHashes({ ...nodes.ports, clock, user: "monitor" });
  onTestFinished(() => board.close());
  return { board, pass: (ms) => (passedMs += ms) };
}

async function fieldsOf(nodes: StatusNodes, at: number): Promise<unknown> {
  const link = await nodes.servers[at]?.link();
  await link?.call("SELECT", at);
  const fields = await link?.call("HKEYS", "twine:request");
  link?.close();
  return Array.isArray(fields) ? fields.map(String).toSorted() : fields;
}

describe.skipIf(isMissing("redis-server"))("answered requests on real status nodes", () => {
  test("go when they are old and every node replies, and the questions stay", async () => {
    const nodes = await startStatusNodes(3);
    const { board, pass } = boardOf(nodes);
    await board.answerRequest(answer("r1"));
    await board.askRequest(asked("r2"));
    expect(await board.readRequests()).toHaveLength(2);
    pass(ANSWER_KEPT_MS - 60_000);
    await board.readRequests();
    expect(await board.readRequests()).toHaveLength(2);
    pass(60_000);
    for (const at of [0, 1, 2]) {
      await until(`only the question is on s${at + 1}`, async () => {
        await board.readRequests();
        return JSON.stringify(await fieldsOf(nodes, at)) === '["r2"]';
      });
    }
    // A new question is kept, however old others are.
    await board.askRequest(asked("r3"));
    pass(ANSWER_KEPT_MS * 2);
    await board.readRequests();
    const left = (await board.readRequests()).toSorted((a, b) => a.id.localeCompare(b.id));
    expect(left).toEqual([asked("r2"), asked("r3")]);
  });

  test("stay while a node is away that may still hold the question, and go when it has the answer", async () => {
    const nodes = await startStatusNodes(3);
    const { board, pass } = boardOf(nodes);
    await board.askRequest(asked("r1"));
    await until("s1 has the question", async () => {
      return JSON.stringify(await fieldsOf(nodes, 0)) === '["r1"]';
    });
    await nodes.servers[0]?.kill();
    await board.answerRequest(answer("r1"));
    await board.readRequests();
    pass(ANSWER_KEPT_MS);
    for (let reading = 0; reading < 3; reading++) {
      expect(await board.readRequests()).toEqual([answer("r1")]);
    }
    await nodes.servers[0]?.start();
    const states = new Set<string>();
    await until("nothing is left", async () => {
      const requests = await board.readRequests();
      for (const { state } of requests) states.add(state);
      return requests.length === 0;
    });
    expect([...states]).toEqual(["done"]);
    for (const at of [0, 1, 2]) expect(await fieldsOf(nodes, at)).toEqual([]);
  });

  test("more entries than allowed: the answered ones are dropped, no question is", async () => {
    const nodes = await startStatusNodes(1);
    const { board } = boardOf(nodes);
    await board.askRequest(asked("question"));
    const link = await nodes.servers[0]?.link();
    const fill =
      "for i = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'old' .. i, (string.gsub(ARGV[2], 'ID', 'old' .. i))) end";
    const entry = JSON.stringify(answer("ID"));
    await link?.call("EVAL", fill, 1, "twine:request", ENTRY_COUNT_MAX + 10, entry);
    // The first reading may take longer than a status node is waited for; it removes them all the same.
    const read = () => board.readRequests().catch(() => undefined);
    await until("it is read", async () => (await read()) !== undefined);
    expect(await board.readRequests()).toEqual([asked("question")]);
    expect(board.malformed()).toEqual([]);
    expect(await fieldsOf(nodes, 0)).toEqual(["question"]);
  });
});
