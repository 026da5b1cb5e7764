// turns.ts: coordinates rolling changes that were started on several hosts, by keys on the status nodes that expire.
//
//   apply:LOCK        a token; the host that set it on a majority of the status nodes has the lock, until it expires
//   apply:host-HOST   the nodes that this host is about to stop, for the order among the hosts
//
// A lock alone does not protect: its holder may be frozen for longer than the lock lasts, and some clocks stand still
// meanwhile (a suspended machine). So the lock is taken before the view is read, it is confirmed by the status nodes right
// before a node is stopped, isHeld() is asked in the same event-loop tick as the signal, and a host that finds a node of the
// partition down stops no second one.
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import {
  addressOf,
  majorityOf,
  nodesOf,
  type ClusterConfig,
  type StatusNode,
} from "../../../runtime/core/cluster.ts";
import { credentialsOf, type Secret } from "../../../runtime/core/credentials.ts";
import { registerKeys } from "../../../runtime/core/register-keys.ts";
import { withNode } from "../ask.ts";

export const LOCK_MS = 15_000;
const RENEW_EVERY_MS = 3000;
/** The time that must be left of a lock when a node is stopped. */
const LEFT_MS_MIN = 5000;
const PENDING_BYTES_MAX = 64 * 1024;

export interface Answers {
  readonly yes: number;
  readonly no: number;
}

/** How long a taken lock counts, by the answers of `statusNodes` status nodes. Pure. */
export class Hold {
  readonly #statusNodes: number;
  #untilMs: number;
  #isLost = false;

  /** `sentMs`: when the requests that took it were sent. */
  constructor(statusNodes: number, sentMs: number) {
    this.#statusNodes = statusNodes;
    this.#untilMs = sentMs + LOCK_MS;
  }

  isHeld(nowMs: number): boolean {
    return !this.#isLost && this.#untilMs - nowMs > LEFT_MS_MIN;
  }

  /** Whether a majority had it still. Once it can't have a majority, it is lost for good: another host may have it. */
  renewed({ yes, no }: Answers, sentMs: number): boolean {
    const majority = majorityOf(this.#statusNodes);
    if (this.#statusNodes - no < majority) this.#isLost = true;
    if (this.#isLost || yes < majority) return false;
    this.#untilMs = Math.max(this.#untilMs, sentMs + LOCK_MS);
    return true;
  }
}

export interface Lock {
  /** Whether a node may be stopped in this event-loop tick. */
  isHeld(): boolean;
  /** Asks the status nodes; false: another host may have it. Never rejects. */
  confirm(): Promise<boolean>;
  /** Never rejects. */
  release(): Promise<void>;
}

/** taken: another host holds it. silent: too few status nodes answer. */
export type NoLock = "taken" | "silent";

export interface Turns {
  take(name: string): Promise<Lock | NoLock>;
  /** Announces the nodes that `host` is about to stop; empty: none any more. Never rejects. */
  announce(host: string, nodes: readonly string[]): Promise<void>;
  /** The nodes that the other hosts are about to stop: host -> nodes. Hosts without any are left out. */
  announced(hosts: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Releases all locks and announcements. */
  close(): Promise<void>;
}

const RENEW =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const RELEASE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

export function openTurns(config: ClusterConfig, password: Secret | undefined): Turns {
  return new StatusNodeTurns(config, password);
}

class StatusNodeTurns implements Turns {
  readonly #nodes: readonly StatusNode[];
  readonly #prefix: string;
  readonly #password: Secret | undefined;
  readonly #locks = new Set<Lock>();
  readonly #hosts = new Set<string>();
  #isClosed = false;

  constructor(config: ClusterConfig, password: Secret | undefined) {
    this.#nodes = nodesOf(config, "status");
    this.#prefix = registerKeys(config.settings.cluster).apply;
    this.#password = password;
  }

  async take(name: string): Promise<Lock | NoLock> {
    const key = this.#prefix + name;
    const token = randomUUID();
    const sentMs = performance.now();
    const onAll = (script: string, ...args: string[]): Promise<Answers> =>
      this.#ask(async (redis) => (await redis.call("EVAL", script, 1, key, token, ...args)) === 1);
    const set = ["SET", key, token, "NX", "PX", LOCK_MS] as const;
    const taken = await this.#ask(async (redis) => (await redis.call(...set)) === "OK");
    const majority = majorityOf(this.#nodes.length);
    if (taken.yes < majority) {
      if (taken.yes > 0) await onAll(RELEASE);
      return taken.yes + taken.no < majority ? "silent" : "taken";
    }
    const hold = new Hold(this.#nodes.length, sentMs);
    const confirm = async (): Promise<boolean> => {
      const askedMs = performance.now();
      return hold.renewed(await onAll(RENEW, String(LOCK_MS)), askedMs);
    };
    const renewal = setInterval(() => void confirm(), RENEW_EVERY_MS);
    const lock: Lock = {
      isHeld: () => hold.isHeld(performance.now()),
      confirm,
      release: async () => {
        clearInterval(renewal);
        this.#locks.delete(lock);
        await onAll(RELEASE);
      },
    };
    this.#locks.add(lock);
    return lock;
  }

  async announce(host: string, nodes: readonly string[]): Promise<void> {
    const key = `${this.#prefix}host-${host}`;
    if (host === "" || (this.#isClosed && nodes.length > 0)) return;
    this.#hosts.add(host);
    await this.#ask(async (redis) => {
      if (nodes.length === 0) await redis.call("DEL", key);
      else await redis.call("SET", key, JSON.stringify(nodes), "PX", LOCK_MS);
      return true;
    });
  }

  async announced(hosts: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = new Map<string, Set<string>>();
    if (hosts.length === 0) return new Map();
    const keys = hosts.map((host) => `${this.#prefix}host-${host}`);
    await this.#ask(async (redis) => {
      const texts = (await redis.call("MGET", ...keys)) as (string | null)[];
      for (const [at, text] of texts.entries()) {
        const host = hosts[at] ?? "";
        if (text === null) continue;
        found.set(host, new Set([...(found.get(host) ?? []), ...parseNames(text)]));
      }
      return true;
    });
    return new Map([...found].map(([host, names]) => [host, [...names]]));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#locks].map((lock) => lock.release()));
    await Promise.all([...this.#hosts].map((host) => this.announce(host, [])));
  }

  /** On how many status nodes `task` was true or false; those that do not answer are in neither. */
  async #ask(task: (redis: Redis) => Promise<boolean>): Promise<Answers> {
    const credentials = credentialsOf("monitor", this.#password);
    const answers = await Promise.all(
      this.#nodes.map(({ host, port, db }) =>
        withNode({ address: addressOf(host), port, credentials }, async (redis) => {
          if (db !== 0) await redis.select(db);
          return task(redis);
        }).catch(() => undefined),
      ),
    );
    const count = (wanted: boolean): number => answers.filter((answer) => answer === wanted).length;
    return { yes: count(true), no: count(false) };
  }
}

/** Empty when the text is not a list of names. */
function parseNames(text: string): string[] {
  if (text.length > PENDING_BYTES_MAX) return [];
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}
