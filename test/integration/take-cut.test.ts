// take-cut.test.ts: the pause of all masters around the sampling of their offsets, on real servers.
import { describe, expect, test } from "vitest";
import { CutLinks, openRawCutLink } from "../../runtime/monitor/act/cut-links.ts";
import {
  CUT_PAUSE_MS,
  takeCut,
  takeUnheldCut,
  type CutLink,
} from "../../runtime/monitor/act/take-cut.ts";
import { RULES } from "../../runtime/monitor/decide/rules.ts";
import { systemClock, type Clock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";

/** Lets nobody be late. */
const patient: Clock = { ...systemClock, after: () => () => undefined };

async function textIn(link: RedisLink, section: string): Promise<string> {
  const info = await link.call("INFO", section);
  return typeof info === "string" ? info : "";
}

/** Why nothing was sampled, and who may still be paused. */
async function whyVoid(links: readonly CutLink[]): Promise<[string, readonly string[]]> {
  const taken = await takeCut(links, systemClock);
  return taken.kind === "void" ? [taken.why, taken.unanswered] : ["it was sampled", []];
}

/** Masters that count offsets, each with two links. */
async function masters(count: number) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => startRedis(["repl-diskless-sync-delay 0"])),
  );
  return Promise.all(
    servers.map(async (server, index) => {
      const link = await server.link();
      await startRedis([`replicaof 127.0.0.1 ${server.port}`]);
      await until("it is followed", async () =>
        (await textIn(link, "replication")).includes("state=online"),
      );
      return { node: `n${index}`, link, writer: await server.link(), server };
    }),
  );
}

const offsetOf = async (link: RedisLink): Promise<number> =>
  Number(/master_repl_offset:(\d+)/.exec(await textIn(link, "replication"))?.[1]);

describe.skipIf(isMissing("redis-server"))("a cut over real masters", () => {
  test("holds every write that was answered before, none that was sent after, and lets all go on", async () => {
    const nodes = await masters(3);
    for (const { writer } of nodes) await writer.call("SET", "before", "1");
    const before = await Promise.all(nodes.map(({ link }) => offsetOf(link)));
    const taken = await takeCut(nodes, systemClock);
    if (taken.kind !== "sampled") throw new Error(taken.why);
    expect(taken.cut.pausedMs).toBeGreaterThan(0);
    expect(taken.cut.marks.map(({ master }) => master)).toEqual(["n0", "n1", "n2"]);
    for (const [index, { writer, link }] of nodes.entries()) {
      const mark = taken.cut.marks[index];
      expect(mark?.offset).toBeGreaterThanOrEqual(before[index] ?? Infinity);
      await writer.call("SET", "after", "1");
      expect(await offsetOf(link)).toBeGreaterThan(mark?.offset ?? Infinity);
    }
  });

  test("over raw connections, which are kept for the next cut, and opened again when a node has closed them", async () => {
    const nodes = await masters(2);
    const [first, second] = nodes;
    if (first === undefined || second === undefined) throw new Error("two were started");
    const targets = nodes.map(({ node, server }) => ({
      node,
      host: "127.0.0.1",
      port: server.port,
    }));
    const links = new CutLinks(openRawCutLink, {
      ...{ clock: systemClock, credentials: undefined, clientName: "twined:m1:7" },
      silenceMsMax: 60_000,
    });
    const idsOf = async (link: RedisLink): Promise<string[]> => {
      const list = await link.call("CLIENT", "LIST");
      return [...(list as string).matchAll(/^id=(\d+) .* name=twined:m1:7 /gm)].map(
        ([, id = ""]) => id,
      );
    };
    try {
      const cut = async () => {
        const taken = await takeUnheldCut(await links.of(targets), systemClock, RULES, () => true);
        if (taken.kind !== "sampled") throw new Error(taken.why);
        return taken.cut.marks.map(({ offset }) => offset);
      };
      await first.writer.call("SET", "a", "1");
      expect(await cut()).toEqual([await offsetOf(first.link), await offsetOf(second.link)]);
      const [kept = "", ...more] = await idsOf(first.link);
      expect(more).toEqual([]);
      await second.writer.call("SET", "b", "1");
      expect(await cut()).toEqual([await offsetOf(first.link), await offsetOf(second.link)]);
      expect(await idsOf(first.link)).toEqual([kept]);
      await first.link.call("CLIENT", "KILL", "ID", kept);
      await cut();
      expect(await idsOf(first.link)).not.toContain(kept);
      // What is held by hand is seen over these connections too, and an error reply shows that nothing is held.
      await second.writer.call("CLIENT", "PAUSE", 600_000, "WRITE");
      const held = await takeUnheldCut(await links.of(targets), systemClock, RULES, () => true);
      expect(held).toMatchObject({ kind: "void", unanswered: ["n1"] });
      links.drop("n1");
      await second.writer.call("CLIENT", "UNPAUSE");
      await second.writer.call("ACL", "SETUSER", "default", "-publish");
      await until("it can be cut again", async () => {
        const next = await takeUnheldCut(await links.of(targets), systemClock, RULES, () => true);
        return next.kind === "sampled";
      });
    } finally {
      links.close();
    }
    await until("the connection is closed", async () => (await idsOf(first.link)).length === 0);
  });

  test("behind a script that outlasts the pause of another master the samples are void, and nobody stays paused", async () => {
    const nodes = await masters(2);
    const [first, second] = nodes;
    const script =
      "local t = redis.call('TIME') local from = t[1] * 1000 + t[2] / 1000 repeat t = redis.call('TIME') " +
      "until t[1] * 1000 + t[2] / 1000 > from + tonumber(ARGV[1])";
    const busy = second?.writer.call("EVAL", script, 0, 2 * CUT_PAUSE_MS);
    await systemClock.delay(50);
    expect(await whyVoid(nodes)).toEqual([expect.stringContaining("not every master"), []]);
    await busy;
    await first?.writer.call("SET", "a", "1");
    await second?.writer.call("SET", "a", "1");
  });

  test("writes behind a pause that somebody ended make it void; what the master alone says to its replicas does not", async () => {
    const nodes = await masters(2);
    const [first, second] = nodes;
    if (first === undefined || second === undefined) throw new Error("two were started");
    // Method: between the two samples of n1 somebody ends its pause, and a client writes.
    const disturbed = (disturb: () => Promise<unknown>): RedisLink => {
      let infos = 0;
      return {
        ...second.link,
        isOpen: true,
        call: async (command, ...args) => {
          if (command === "INFO" && ++infos === 2) await disturb();
          return second.link.call(command, ...args);
        },
      };
    };
    const lifted = disturbed(async () => {
      await second.writer.call("CLIENT", "UNPAUSE");
      await second.writer.call("SET", "a", "1");
    });
    expect(await whyVoid([first, { node: "n1", link: lifted }])).toEqual([
      expect.stringContaining("n1 executed writes meanwhile"),
      [],
    ]);
    await second.link.call("CONFIG", "SET", "repl-ping-replica-period", "1");
    const pinged = disturbed(async () => {
      const before = await offsetOf(second.link);
      await until("it has sent a PING", async () => (await offsetOf(second.link)) > before);
    });
    const taken = await takeCut([first, { node: "n1", link: pinged }], patient);
    expect(taken.kind === "void" ? taken.why : "").toBe("");
  });

  test("a pause that somebody has set by hand stands, and there is no cut", async () => {
    const nodes = await masters(2);
    const [, second] = nodes;
    const waited = await second?.server.link();
    if (second === undefined || waited === undefined) throw new Error("two were started");
    await second.writer.call("CLIENT", "PAUSE", 600_000, "WRITE");
    let isWritten = false;
    const written = waited.call("SET", "k", "1").then(() => (isWritten = true));
    const asked = { kind: "void", unanswered: ["n1"] };
    const why = expect.stringContaining(
      "n1 executes no writes: somebody has paused them",
    ) as string;
    const taken = await takeUnheldCut(nodes, systemClock, RULES, () => {
      throw new Error("nothing may be paused");
    });
    expect(taken).toEqual({ ...asked, why });
    expect(isWritten).toBe(false);
    await second.writer.call("CLIENT", "UNPAUSE");
    await written;
    await until("it can be cut", async () => {
      const next = await takeUnheldCut(nodes, systemClock, RULES, () => true);
      return next.kind === "sampled";
    });
  });

  test("a node that is no master any more, and one whose offset stands still, make it void and pause nobody for long", async () => {
    const nodes = await masters(2);
    const lone = await startRedis([]);
    const alone = { node: "lone", link: await lone.link() };
    expect(await whyVoid([...nodes, alone])).toEqual([
      expect.stringContaining("lone: it counts no offsets"),
      [],
    ]);
    const [first, second] = nodes;
    await second?.link.call("REPLICAOF", "127.0.0.1", first?.server.port ?? 0);
    expect(await whyVoid(nodes)).toEqual([expect.stringContaining("n1: it is not master"), []]);
    await first?.writer.call("SET", "a", "1");
  });

  test("a link that breaks makes it void, names the node, and the pause lapses there by itself", async () => {
    const [first, second] = await masters(2);
    if (first === undefined || second === undefined) throw new Error("two were started");
    const breaking: RedisLink = {
      ...second.link,
      isOpen: true,
      // Method: the link breaks behind the PAUSE, so that no UNPAUSE reaches the node.
      call: async (command, ...args) => {
        if (args[0] !== "PAUSE") throw new Error("the link broke");
        return second.link.call(command, ...args);
      },
    };
    expect(await whyVoid([first, { node: "n1", link: breaking }])).toEqual([
      expect.stringContaining("n1: the link broke"),
      ["n1"],
    ]);
    await first.writer.call("SET", "a", "1");
    expect(await second.writer.call("SET", "a", "1")).toBe("OK");
  });
});
