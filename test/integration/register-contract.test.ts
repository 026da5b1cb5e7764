// The memory acceptor is only worth simulating with if it is the Redis one: the same requests, from seeds, get the same
// replies from both, and leave both in the same state. Names of proposers differ in case and length on purpose, for the
// order of ballots is written twice, in TypeScript and in Lua.
import { describe, expect, onTestFinished, test } from "vitest";
import { memoryAcceptor } from "../../runtime/register/memory-acceptor.ts";
import type {
  Accepted,
  Acceptor,
  AcceptRequest,
  Ballot,
  SeedRequest,
} from "../../runtime/register/register.ts";
import { isMissing } from "../support/programs.ts";
import { startStatusNodes } from "../support/status-nodes.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";

type Ask = (acceptor: Acceptor) => Promise<unknown>;

const PROPOSERS = ["m1", "m10", "M2", "m", "a-b_c.d"];
const LIVES = ["life1", "life2", "life3"];

function ballotFrom(random: SeededRandom): Ballot {
  return { count: 1 + random.below(12), proposer: random.pick(PROPOSERS) };
}

function membersFrom(random: SeededRandom): Record<string, string> {
  return random.isOnceIn(10) ? { other: "life1" } : { s1: random.pick(LIVES), other: 'é"\n' };
}

function acceptedFrom(random: SeededRandom): Accepted {
  const bodyBallot = ballotFrom(random);
  const value = {
    body: `body é\r\n${random.below(3)}`,
    epoch: random.below(9),
    revision: random.below(99),
    heartbeat: random.below(2 ** 31),
  };
  return { ballot: ballotFrom(random), bodyBallot, value, members: membersFrom(random) };
}

function acceptFrom(random: SeededRandom): AcceptRequest {
  const { ballot, bodyBallot, value, members } = acceptedFrom(random);
  const { body, epoch, revision, heartbeat } = value;
  return {
    ballot,
    bodyBallot,
    epoch,
    revision,
    heartbeat,
    members,
    next: { ...ballot, count: ballot.count + 1 },
    chosen: random.isOnceIn(3) ? null : ballotFrom(random),
    ...(random.isOnceIn(2) || body === null ? {} : { body }),
  };
}

function seedFrom(random: SeededRandom): SeedRequest {
  return {
    incarnation: random.pick(LIVES),
    replaces: random.isOnceIn(2) ? null : random.pick(LIVES),
    accepted: random.isOnceIn(2) ? null : acceptedFrom(random),
  };
}

function askFrom(random: SeededRandom): readonly [string, Ask] {
  switch (random.below(5)) {
    case 0: {
      const ballot = ballotFrom(random);
      return [`prepare ${JSON.stringify(ballot)}`, (acceptor) => acceptor.prepare({ ballot })];
    }
    case 1: {
      const request = seedFrom(random);
      return [`seed ${JSON.stringify(request)}`, (acceptor) => acceptor.seed(request)];
    }
    case 2: {
      const withBody = random.isOnceIn(2);
      return [`read ${withBody}`, (acceptor) => acceptor.read(withBody)];
    }
    default: {
      const request = acceptFrom(random);
      return [`accept ${JSON.stringify(request)}`, (acceptor) => acceptor.accept(request)];
    }
  }
}

describe.skipIf(isMissing("redis-server"))("a status node and its memory twin", () => {
  test("answer the same requests alike and end in the same state", async () => {
    const nodes = await startStatusNodes(1, { leaseMs: 10_000 });
    const [redis] = nodes.acceptors();
    const [foreign] = nodes.as("other").acceptors();
    const link = await nodes.servers[0]?.link();
    if (redis === undefined || foreign === undefined || link === undefined) throw new Error("none");
    const kinds = new Set<unknown>();
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const memory = memoryAcceptor("s1");
      await link.call("FLUSHALL");
      for (let step = 0; step < 40; step++) {
        const [request, ask] = askFrom(random);
        const isForeign = random.isOnceIn(20);
        const replies = await Promise.all([
          ask(isForeign ? foreign : redis),
          ask(isForeign ? memory.asCluster("other") : memory),
        ]);
        expect(replies[0], `seed ${seed} step ${step}: ${request}`).toEqual(replies[1]);
        kinds.add((replies[0] as { kind?: string }).kind ?? replies[0]);
        if (!isForeign && random.isOnceIn(60)) {
          await link.call("FLUSHALL");
          memory.empty();
        }
      }
      expect(await redis.read(true), `seed ${seed}, state`).toEqual(memory.peek());
    }
    const all = [
      "accepted",
      "foreign",
      "needs-body",
      "promised",
      "refused",
      "stranger",
      "unstamped",
    ];
    expect([...kinds].filter((kind) => typeof kind === "string").sort()).toEqual(all);
  });

  test("say the same on the channel, at the same requests", async () => {
    const nodes = await startStatusNodes(1, { leaseMs: 10_000 });
    const [redis] = nodes.acceptors();
    const listener = await nodes.servers[0]?.link();
    if (redis === undefined || listener === undefined) throw new Error("none");
    const memory = memoryAcceptor("s1");
    const heard: { redis: string[]; memory: string[] } = { redis: [], memory: [] };
    await listener.subscribe("twine:view", (message) => heard.redis.push(message));
    memory.onPublish((message) => heard.memory.push(message));
    onTestFinished(() => {
      listener.close();
    });
    const link = await nodes.servers[0]?.link();
    const random = seededRandom(1);
    for (let step = 0; step < 1500; step++) {
      const [, ask] = askFrom(random);
      await Promise.all([ask(redis), ask(memory)]);
      if (step % 40 !== 39) continue;
      await link?.call("FLUSHALL");
      memory.empty();
    }
    await Promise.all(
      [redis, memory].map((node) =>
        node.seed({ incarnation: "last", replaces: null, accepted: null }),
      ),
    );
    const last: AcceptRequest = {
      ...acceptFrom(random),
      ballot: { count: 1e6, proposer: "m1" },
      bodyBallot: { count: 1e6, proposer: "m1" },
      next: { count: 1e6 + 1, proposer: "m1" },
      epoch: 4711,
      revision: 1,
      body: "last",
      members: { s1: memory.peek().incarnation ?? "" },
    };
    await Promise.all([redis.accept(last), memory.accept(last)]);
    await expect.poll(() => heard.redis.at(-1)).toBe("4711 1");
    expect(heard.redis).toEqual(heard.memory);
    expect(heard.redis.length).toBeGreaterThan(5);
  });
});
