// The whole of twine-follow over simulated masters of another system: begin, switch, way back, each with a crash or a cut at
// some moment, and run again until it is done, as docs/migrate.md says. Clients write to the old masters all the time, and to
// the routers while those serve: no acknowledged write may be missing where it is served at the end.
import { expect, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { begin } from "../../runtime/move/follow/begin.ts";
import { goBack, type BackOptions } from "../../runtime/move/follow/go-back.ts";
import { switchOver } from "../../runtime/move/follow/switch-over.ts";
import type { SourceSocket } from "../../runtime/move/import/source-link.ts";
import type { RedisAddress } from "../../runtime/ports/redis-link.ts";
import { askAlpha } from "../../runtime/register/ask-alpha.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";
import type { DataNode } from "./data-node.ts";
import type { Scenario } from "./scenario.ts";
import { World, type SimProgram } from "./world.ts";

const SCENARIO: Partial<Scenario> = {
  ...{ partitions: 2, nodesPerPartition: 2, statusNodes: 3, monitors: 3, routers: 1 },
  ...{ ackReplicas: 0, leaseMs: 200, downAfterMs: 400, drift: 0, persistence: "aof" },
  ...{ backlogSize: 10_000, syncMs: 50, writeEveryMs: 50, kinds: [], mistake: undefined },
  weather: { leastMs: 0.1, spreadMs: 0.5, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
};
const OLD_HOST = "old";
const OLD_WRITES = 30;
/** Simulated minutes, on a busy machine. */
const TEST_WITHIN_MS = 240_000;
/** The longest step without a fault takes about so long, so that a fault meets any moment of it. */
const STEP_MS = 600;
const FAULT_LASTS_MS = 4000;
const ATTEMPTS_MAX = 8;

const FAULTS = ["none", "tool", "alpha", "node", "old", "cut"] as const;
type Fault = (typeof FAULTS)[number];
const CASES = FAULTS.flatMap((fault) =>
  (["none", "alpha", "node"].includes(fault) ? [1] : [1, 2]).map((seed) => [fault, seed] as const),
);

class Migration {
  readonly world: World;
  readonly olds: readonly DataNode[];
  /** By partition: what the old master or a router acknowledged. */
  readonly acknowledged: readonly number[][];
  readonly #random: SeededRandom;
  readonly #fault: Fault;
  #programCount = 0;

  constructor(seed: number, fault: Fault) {
    this.#random = seededRandom(seed * 1000 + FAULTS.indexOf(fault));
    this.#fault = fault;
    this.world = new World({ seed, scenario: SCENARIO });
    this.world.stopWriting();
    this.world.start();
    this.olds = [0, 1].map((index) => this.world.startForeign(9990 + index, OLD_WRITES));
    this.acknowledged = this.olds.map(({ replication }) => [...replication.writes]);
  }

  get view(): View {
    const { view } = this.world.checks.register;
    if (view === undefined) throw new Error("nothing is chosen yet");
    return view;
  }

  async until(what: string, isTrue: () => boolean, withinMs = 60_000): Promise<void> {
    const { scheduler, checks } = this.world;
    const endMs = scheduler.nowMs + withinMs;
    const isDone = await scheduler.run(() => checks.violations.length > 0 || isTrue(), endMs);
    expect([what, checks.violations, isDone]).toEqual([what, [], true]);
  }

  async start(): Promise<void> {
    await this.until("served", () => this.world.checks.register.view?.state === "OK");
    for (const [index, old] of this.olds.entries()) {
      const program = this.world.startProgram(`client${index}`);
      void this.#writeOn(program, old.address, this.acknowledged[index] ?? []);
    }
  }

  /** A client of the other system: it never stops. */
  async #writeOn({ openLink, clock }: SimProgram, at: RedisAddress, into: number[]): Promise<void> {
    for (;;) {
      try {
        const link = await openLink(at, { connectTimeoutMs: 1000, commandTimeoutMs: 20_000 });
        for (;;) {
          const write = this.world.nextWrite();
          if ((await link.call("WRITE", write)) === "OK") into.push(write);
          await clock.delay(50);
        }
      } catch {
        await clock.delay(50);
      }
    }
  }

  /** Runs `step` as twine-follow does, with the fault in its first attempt, and again until `isDone`. */
  async attempt(
    what: string,
    step: (view: View, options: BackOptions) => Promise<unknown>,
    isDone: () => boolean,
  ): Promise<void> {
    const { scheduler } = this.world;
    const errors: string[] = [];
    for (let count = 0; count < ATTEMPTS_MAX && !isDone(); count++) {
      const tool = this.world.startProgram(`tool${(this.#programCount += 1)}`);
      let hasEnded = false;
      const ended = (): boolean => hasEnded || !tool.process.isUp;
      step(this.view, this.#optionsOf(tool))
        .catch((error: unknown) => errors.push(String(error)))
        .finally(() => {
          hasEnded = true;
        });
      const heal = count === 0 ? await this.#strike(tool, ended) : (): void => undefined;
      await scheduler.run(ended, scheduler.nowMs + FAULT_LASTS_MS);
      heal();
      await this.until(`${what} ends`, ended, 200_000);
      this.world.endClient(tool.process, false);
      await scheduler.run(isDone, scheduler.nowMs + 3000);
    }
    expect([what, isDone(), isDone() ? [] : errors]).toEqual([what, true, []]);
    expect(this.world.checks.violations).toEqual([]);
  }

  /** The answer mends it. */
  async #strike(tool: SimProgram, hasEnded: () => boolean): Promise<() => void> {
    const { world } = this;
    const { scheduler } = world;
    await scheduler.run(hasEnded, scheduler.nowMs + STEP_MS * this.#random.next());
    const index = this.#random.isOnceIn(2) ? 0 : 1;
    switch (this.#fault) {
      case "tool":
        world.endClient(tool.process, false);
        break;
      case "alpha": {
        const alpha = world.alpha();
        if (alpha === undefined) break;
        world.endClient(alpha, false);
        return () => {
          world.startMonitor(alpha);
        };
      }
      case "node": {
        const nodes = world.dataNodes.filter(({ partition }) => partition === index);
        const node = nodes[this.#random.isOnceIn(2) ? 0 : 1];
        node?.end("kill", false);
        return () => node?.start();
      }
      case "old": {
        const old = this.olds[index];
        // CONFIG REWRITE has kept its role.
        const following = old?.replication.following ?? null;
        old?.end("kill", false);
        return () => {
          old?.start();
          if (following === null) old?.replication.promote();
          else old?.replication.follow(following);
        };
      }
      case "cut": {
        const [from = ""] = [tool.process.host, ...world.hosts()].filter(() =>
          this.#random.isOnceIn(2),
        );
        for (const [a, b] of [
          [from, OLD_HOST],
          [OLD_HOST, from],
        ] as const)
          world.network.cut(a, b);
        return () => {
          world.network.calm();
        };
      }
      case "none":
        break;
    }
    return () => undefined;
  }

  #optionsOf({ clock, openLink, hashes }: SimProgram): BackOptions {
    const open = async ({ host, port }: RedisAddress): Promise<SourceSocket> => {
      const link = await openLink(
        { host, port },
        { connectTimeoutMs: 5000, commandTimeoutMs: 5000 },
      );
      return {
        call: async (name = "", ...args) => {
          const reply = await link.call(String(name), ...args.map(String));
          const text = typeof reply === "string" ? reply : "";
          return { type: "bulk", bytes: Buffer.from(text) };
        },
        destroy: () => {
          link.close();
        },
      };
    };
    const source = { clock, withinMs: 5000, open };
    let requestCount = 0;
    const prefix = `tool-${this.#programCount}`;
    return {
      ...{ clock, openLink, source, sentinelSource: source, sentinels: [], by: "a test" },
      ...{ password: undefined, sourcePassword: undefined },
      readView: () => Promise.resolve(this.view),
      ask: (body, withinMs) =>
        askAlpha(hashes, body, { clock, withinMs, id: `${prefix}-${(requestCount += 1)}` }),
      say: () => undefined,
    };
  }

  follows(): boolean {
    return this.view.partitions.every(({ following }) => following?.phase === "copying");
  }

  isServed(): boolean {
    return this.view.partitions.every(
      ({ master, following }) => master !== null && (following ?? null) === null,
    );
  }

  /** Where a partition is served has all that was ever acknowledged. */
  expectNothingLost(servers: readonly (DataNode | undefined)[]): void {
    const missing = this.acknowledged.map((writes, index) => {
      const held = new Set(servers[index]?.replication.writes);
      return writes.filter((write) => !held.has(write)).length;
    });
    expect(missing).toEqual([0, 0]);
    expect(servers.map((server) => server?.replication.isMaster)).toEqual([true, true]);
  }

  masters(): (DataNode | undefined)[] {
    return this.view.partitions.map(({ master }) =>
      this.world.dataNodes.find(({ name }) => name === master),
    );
  }
}

test.each(CASES)(
  "%s, seed %i: there and back, and no acknowledged write is lost",
  async (fault, seed) => {
    const migration = new Migration(seed, fault);
    const { world, olds, acknowledged } = migration;
    await migration.start();
    const isFollowing = (): boolean => migration.follows();
    await migration.attempt(
      "begin",
      async (view, options) => {
        for (const [index, { address }] of olds.entries())
          await begin(view, index, address, options);
      },
      isFollowing,
    );
    await migration.attempt("switch", switchOver, () => migration.isServed());
    await migration.until("OK", () => migration.view.state === "OK");
    migration.expectNothingLost(migration.masters());
    expect(olds.map(({ replication }) => replication.isMaster)).toEqual([false, false]);
    for (const writes of acknowledged) expect(writes.length).toBeGreaterThan(OLD_WRITES);

    world.startWriting();
    const before = world.checks.acknowledged.length;
    await migration.until("written here", () => world.checks.acknowledged.length > before + 40);
    const isBack = (): boolean =>
      isFollowing() &&
      olds.every(({ process, replication }) => process.isUp && replication.isMaster);
    await migration.attempt("back", goBack, isBack);
    world.stopWriting();
    for (const { partition, write } of world.checks.acknowledged)
      acknowledged[partition]?.push(write);
    await world.scheduler.run(() => false, world.scheduler.nowMs + 1000);
    migration.expectNothingLost(olds);
  },
  TEST_WITHIN_MS,
);
