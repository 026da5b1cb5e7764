// asked-requests.test.ts: a request that its tool gave up is never executed, or the tool says that it may be. On real status
// nodes; what the alpha does is its takeRequest().
import { describe, expect, onTestFinished, test } from "vitest";
import { TwineError } from "../../runtime/core/errors.ts";
import { isOutdated, type Request, type RequestBody } from "../../runtime/core/request.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { askAlpha } from "../../runtime/register/ask-alpha.ts";
import { openSharedHashes, type SharedHashes } from "../../runtime/register/shared-hashes.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startStatusNodes, type StatusNodes } from "../support/status-nodes.ts";

const BODIES: readonly RequestBody[] = [
  { kind: "accept-loss", node: "a1" },
  { kind: "handover", node: "a1" },
  { kind: "promote-to", node: "a1" },
  { kind: "forget-rescue", node: "a1" },
  { kind: "cut", by: "me" },
  {
    ...{ kind: "follow", step: "promote", partition: 0, by: "me", host: "h", port: 1 },
    ...{ replicationId: "r", offset: 5 },
  },
  { kind: "restore", step: "release", token: "t", by: "me", replicationIds: [], masters: [] },
  { kind: "reshard", step: "commit", token: "t", by: "me", conf: "", masters: [] },
];
const HOUR_MS = 3_600_000;
const BODY: RequestBody = { kind: "promote-to", node: "a2" };

function boardOf(nodes: StatusNodes): SharedHashes {
  const board = openSharedHashes({ ...nodes.ports, user: "monitor" });
  onTestFinished(() => board.close());
  return board;
}

interface Asking {
  readonly id: string;
  /** The answer, or the code and message of the error. */
  readonly end: Promise<string>;
  /** Now the tool has waited long enough. */
  readonly giveUp: () => void;
}

/** By a clock that can be put forward, so that a busy machine changes nothing. */
function ask(board: SharedHashes, body: RequestBody): Asking {
  const id = body.kind;
  let passedMs = 0;
  const ownClock = { ...clock, nowMs: () => clock.nowMs() + passedMs };
  const end = askAlpha(board, body, { clock: ownClock, id, withinMs: HOUR_MS }).catch(
    (error: unknown) => {
      if (!(error instanceof TwineError)) throw error;
      return `${error.code}: ${error.message}`;
    },
  );
  return { id, end, giveUp: () => (passedMs = Infinity) };
}

/** The request as the alpha reads it. */
async function read(board: SharedHashes, wanted: string): Promise<Request> {
  let found: Request | undefined;
  await until("the request is there", async () => {
    found = (await board.readRequests().catch(() => [])).find(({ id }) => id === wanted);
    return found !== undefined;
  });
  if (found === undefined) throw new Error("it is gone");
  return found;
}

describe.skipIf(isMissing("redis-server"))("a request that its tool gave up", () => {
  test("is withdrawn if no alpha has begun, whatever it asks", async () => {
    const nodes = await startStatusNodes(1);
    const [tool, alpha] = [boardOf(nodes), boardOf(nodes)];
    for (const body of BODIES) {
      const { id, end, giveUp } = ask(tool, body);
      const request = await read(alpha, id);
      giveUp();
      expect(await end).toMatch(/^NO_ANSWER: .*withdrawn, and nothing was changed/);
      expect(await alpha.takeRequest(request), id).toBe(false);
      expect((await read(alpha, id)).state).toBe("refused");
    }
  });

  test("may be executed if an alpha has begun, and says so", async () => {
    const nodes = await startStatusNodes(1);
    const [tool, alpha] = [boardOf(nodes), boardOf(nodes)];
    for (const body of BODIES) {
      const { id, end, giveUp } = ask(tool, body);
      expect(await alpha.takeRequest(await read(alpha, id)), id).toBe(true);
      giveUp();
      expect(await end).toMatch(/^MAY_BE_EXECUTED: .*may still be executed/);
      // It had not been executed yet: an alpha that reads this leaves it out.
      expect((await read(alpha, id)).state).toBe("refused");
    }
  });

  test("is not executed from a status node that was away meanwhile", async () => {
    const nodes = await startStatusNodes(3);
    const [tool, alpha] = [boardOf(nodes), boardOf(nodes)];
    const { id, end, giveUp } = ask(tool, BODY);
    const asked = await read(alpha, id);
    const link = await nodes.servers[0]?.link();
    await until(
      "s1 has the question",
      async () => (await link?.call("HGET", "twine:request", id)) !== null,
    );
    await nodes.servers[0]?.kill();
    giveUp();
    expect(await end).toMatch(/^NO_ANSWER/);
    await nodes.servers[0]?.start();
    const late = boardOf(nodes);
    expect(await late.takeRequest(asked)).toBe(false);
    await until(
      "the alpha reads the withdrawal",
      async () => (await read(late, id)).state !== "asked",
    );
  });

  test("may be executed when the status nodes went away in between, and then it is", async () => {
    const nodes = await startStatusNodes(3);
    const [tool, alpha] = [boardOf(nodes), boardOf(nodes)];
    const { id, end, giveUp } = ask(tool, BODY);
    const request = await read(alpha, id);
    for (const server of nodes.servers) await server.kill();
    giveUp();
    expect(await end).toMatch(/may still (execute it|be executed)/);
    for (const server of nodes.servers) await server.start();
    const late = boardOf(nodes);
    await until("an alpha takes it", () => late.takeRequest(request));
  });

  test("a majority is needed to take it, and to withdraw it", async () => {
    const nodes = await startStatusNodes(3);
    const [tool, alpha] = [boardOf(nodes), boardOf(nodes)];
    const asked: Request = { id: "r1", body: BODY, state: "asked", message: "" };
    await tool.askRequest(asked);
    await nodes.servers[0]?.kill();
    await nodes.servers[1]?.kill();
    expect(await alpha.takeRequest(asked)).toBe(false);
    // The one node that is left has noted that it was taken.
    expect(await tool.withdrawRequest({ ...asked, state: "refused" })).toBe(false);
    expect(await read(tool, "r1")).toEqual({ ...asked, isTaken: true });
  });
});

test("a request whose tool was killed counts no more a minute after its time, unless it was taken", () => {
  const asked: Request = { id: "r1", body: BODY, state: "asked", message: "", untilMs: 100_000 };
  expect(isOutdated(asked, 160_000)).toBe(false);
  expect(isOutdated(asked, 160_001)).toBe(true);
  expect(isOutdated({ ...asked, isTaken: true }, 160_001)).toBe(false);
  expect(isOutdated({ ...asked, state: "done" }, 160_001)).toBe(false);
});
