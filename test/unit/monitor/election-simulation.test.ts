import { expect, test } from "vitest";
import type { Clock } from "../../../runtime/ports/clock.ts";
import { silentLog } from "../../../runtime/ports/log.ts";
import { LinkError, type OpenLink } from "../../../runtime/ports/redis-link.ts";
import { memoryAcceptor, type MemoryAcceptor } from "../../../runtime/register/memory-acceptor.ts";
import type { Acceptor } from "../../../runtime/register/register.ts";
import { startMonitor, type Monitor } from "../../../runtime/monitor/monitor.ts";
import { seededRandom, type SeededRandom } from "../../support/seeded-random.ts";
import { memoryHashes } from "../../support/memory-hashes.ts";
import { ManualTime } from "../../support/manual-time.ts";
import { configOf } from "./situations.ts";

const CONF = `
a1=data 0 localhost 7001 0
s1=status localhost 7101 0
s2=status localhost 7102 0
s3=status localhost 7103 0
m1=monitor localhost 7201
m2=monitor localhost 7202
m3=monitor localhost 7203
cluster twine
`;
const LEASE_MS = configOf(CONF).settings.leaseMs;

/** A request and its reply each take a few milliseconds, or are lost. */
function overNetwork(acceptor: Acceptor, clock: Clock, random: SeededRandom): Acceptor {
  const carry = async <R>(ask: () => Promise<R>): Promise<R> => {
    await clock.delay(1 + random.next() * 8);
    if (random.next() < 0.03) {
      await clock.delay(100);
      throw new Error("lost on the way there");
    }
    const reply = await ask();
    await clock.delay(1 + random.next() * 8);
    if (random.next() < 0.03) {
      await clock.delay(100);
      throw new Error("lost on the way back");
    }
    return reply;
  };
  return {
    name: acceptor.name,
    prepare: (request) => carry(() => acceptor.prepare(request)),
    accept: (request) => carry(() => acceptor.accept(request)),
    read: (withBody) => carry(() => acceptor.read(withBody)),
    seed: (request) => carry(() => acceptor.seed(request)),
  };
}

const nobody: OpenLink = () => Promise.reject(new LinkError("nobody listens", "refused"));

interface Cluster {
  readonly time: ManualTime;
  readonly random: SeededRandom;
  readonly acceptors: readonly MemoryAcceptor[];
  readonly monitors: ReadonlyMap<string, Monitor>;
}

function startCluster(seed: number): Cluster {
  const random = seededRandom(seed);
  const time = new ManualTime();
  const hashes = memoryHashes();
  const acceptors = ["s1", "s2", "s3"].map((name) => memoryAcceptor(name));
  const monitors = new Map<string, Monitor>();
  for (const name of ["m1", "m2", "m3"]) {
    const clock = time.clockOf(name);
    const monitor = startMonitor({
      name,
      config: configOf(CONF),
      password: undefined,
      clock,
      random,
      log: silentLog,
      openLink: nobody,
      acceptors: acceptors.map((acceptor) => overNetwork(acceptor, clock, random)),
      hashes,
    });
    monitors.set(name, monitor);
  }
  return { time, random, acceptors, monitors };
}

/** Who believes to hold the lease at this instant; a paused monitor can't act on its belief. */
function holders(cluster: Cluster): string[] {
  return [...cluster.monitors]
    .filter(([, monitor]) => monitor.health().isAlpha && monitor.isAlphaAlive())
    .map(([name]) => name);
}

test.each([1, 2, 3, 4, 5, 6])(
  "two monitors never lead at once, nor in one epoch, whoever pauses and whatever is lost (seed %i)",
  async (seed) => {
    // Method: 12 s of simulated time; alphas pause and wake, status nodes go down and come back, 3% of all messages
    // are lost either way; every millisecond the leases held and the alphas of all epochs are looked at.
    const cluster = startCluster(seed);
    const { time, random, acceptors, monitors } = cluster;
    const alphaOf = new Map<number, string>();
    let epochBefore = 0;
    for (let ms = 0; ms < 12_000; ms++) {
      await time.step();
      const leaders = holders(cluster);
      if (leaders.length > 1) expect.unreachable(`${leaders.join(", ")} at ${time.nowMs} ms`);
      for (const [name, monitor] of monitors) {
        const { isAlpha, epoch } = monitor.health();
        if (!isAlpha) continue;
        const other = alphaOf.get(epoch) ?? name;
        if (other !== name) expect.unreachable(`${other} and ${name} both lead epoch ${epoch}`);
        alphaOf.set(epoch, name);
      }
      const epochs = acceptors.map((acceptor) => acceptor.peek().accepted?.value.epoch ?? 0);
      const epochNow = Math.max(...epochs);
      if (epochNow < epochBefore) expect.unreachable(`epoch ${epochNow} after ${epochBefore}`);
      epochBefore = epochNow;
      // Longer than a lease and the contenders' spread, or a paused alpha might wake before anybody takes over.
      if (ms % 900 === 899) {
        const victim = holders(cluster)[0] ?? `m${1 + Math.floor(random.next() * 3)}`;
        if (random.next() < 0.5) time.pause(victim);
        else for (const name of monitors.keys()) time.resume(name);
        for (const acceptor of acceptors) acceptor.setDown(false);
        if (random.next() < 0.4) acceptors[Math.floor(random.next() * 3)]?.setDown(true);
      }
    }
    for (const name of monitors.keys()) time.resume(name);
    for (const acceptor of acceptors) acceptor.setDown(false);
    for (let ms = 0; ms < 4000 && holders(cluster).length === 0; ms++) await time.step();
    expect(holders(cluster)).toHaveLength(1);
    expect(alphaOf.size).toBeGreaterThan(1);
  },
);

test.each([1, 2, 3])(
  "a monitor is well again only when the register can choose, not when status nodes merely answer (seed %i)",
  async (seed) => {
    // Method: two of three status nodes lose what they held, which no protocol survives, and all go on answering; every
    // millisecond of four leases every monitor's health is looked at. Emptying the third as well is the remedy.
    const cluster = startCluster(seed);
    const { time, acceptors, monitors } = cluster;
    const healths = () => [...monitors.values()].map((monitor) => monitor.health());
    const stepUntil = async (isSo: () => boolean): Promise<void> => {
      for (let ms = 0; ms < 20_000 && !isSo(); ms++) await time.step();
      expect(isSo(), JSON.stringify(healths())).toBe(true);
    };
    await stepUntil(() => holders(cluster).length === 1 && healths().every(({ ok }) => ok));
    const [, s2, s3] = acceptors;
    s2?.empty();
    s3?.empty();
    await stepUntil(() => healths().every(({ ok }) => !ok));
    const reasons = new Set<string>();
    for (let ms = 0; ms < 4 * LEASE_MS; ms++) {
      await time.step();
      for (const { ok, why, isAlpha } of healths()) {
        if (ok || isAlpha) expect.unreachable(`ok ${ok}, alpha ${isAlpha} at ${time.nowMs} ms`);
        reasons.add(why);
      }
    }
    expect([...reasons].join()).toContain("a majority of the status nodes lost its data");
    acceptors[0]?.empty();
    await stepUntil(() => holders(cluster).length === 1 && healths().every(({ ok }) => ok));
  },
);

test.each([1, 2, 3])(
  "an alpha that lost its lease stays unwell until somebody leads again (seed %i)",
  async (seed) => {
    // Method: two of three status nodes are gone; from the moment at which the alpha says that something is wrong until
    // they are back it is looked at in every millisecond, also in the one in which its term ends.
    const cluster = startCluster(seed);
    const { time, acceptors, monitors } = cluster;
    const stepUntil = async (isSo: () => boolean): Promise<void> => {
      for (let ms = 0; ms < 20_000 && !isSo(); ms++) await time.step();
      expect(isSo()).toBe(true);
    };
    await stepUntil(() => holders(cluster).length === 1);
    const alpha = monitors.get(holders(cluster)[0] ?? "");
    if (alpha === undefined) throw new Error("nobody leads");
    for (const acceptor of acceptors.slice(1)) acceptor.setDown(true);
    await stepUntil(() => !alpha.health().ok);
    const wellAtMs: number[] = [];
    let isDeposed = false;
    for (let ms = 0; ms < 4 * LEASE_MS; ms++) {
      await time.step();
      const { ok, isAlpha } = alpha.health();
      if (ok) wellAtMs.push(time.nowMs);
      isDeposed ||= !isAlpha;
    }
    expect(isDeposed).toBe(true);
    expect(wellAtMs).toEqual([]);
    for (const acceptor of acceptors) acceptor.setDown(false);
    await stepUntil(() => alpha.health().ok);
  },
);
