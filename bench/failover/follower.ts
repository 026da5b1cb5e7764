// follower.ts: where to write now. The quickest client that a peer's protocol allows: it asks every sentinel, or every
// node of a Redis Cluster, each 10 ms on connections that stay open, so that no client library's own timers are counted
// against the peer. A router is one address, so there is nothing to follow.
import { openRedisLink, type RedisLink, type RedisReply } from "../../runtime/ports/redis-link.ts";
import { masterOfSlot } from "./cluster-nodes.ts";
import type { Route } from "./contender.ts";

export interface Follower {
  /** Where to write; undefined while nobody has said. */
  readonly port: number | undefined;
  /** Tells of every change of `port`. */
  onMove(task: () => void): void;
  /** An error reply: a MOVED names the new place. */
  hint(reply: Buffer): void;
  close(): void;
}

const ASK_EVERY_MS = 10;
const ANSWER_WITHIN_MS = 200;

export function follow(route: Route): Follower {
  switch (route.by) {
    case "fixed":
      return {
        port: route.port,
        onMove: () => undefined,
        hint: () => undefined,
        close: () => undefined,
      };
    case "sentinel":
      return new SentinelFollower(route.ports, route.master);
    case "cluster":
      return new ClusterFollower(route.ports, route.slot);
  }
}

class Asker {
  port: number | undefined;
  readonly #tasks: (() => void)[] = [];
  #isClosed = false;
  readonly #links = new Set<RedisLink>();

  onMove(task: () => void): void {
    this.#tasks.push(task);
  }

  hint(reply: Buffer): void {
    const moved = /^-MOVED \d+ [^ ]*:(\d+)/.exec(reply.toString("latin1"));
    if (moved !== null) this.move(Number(moved[1]));
  }

  close(): void {
    this.#isClosed = true;
    for (const link of this.#links) link.close();
  }

  protected isClosed(): boolean {
    return this.#isClosed;
  }

  protected move(port: number): void {
    if (port === this.port) return;
    this.port = port;
    for (const task of this.#tasks) task();
  }

  /** Asks the server on `port` each 10 ms until closed; a server that does not answer is tried again. */
  protected async ask(
    port: number,
    command: readonly string[],
    onAnswer: (answer: RedisReply) => void,
  ): Promise<void> {
    const [name = "", ...args] = command;
    while (!this.isClosed()) {
      try {
        const link = await openRedisLink(
          { host: "127.0.0.1", port },
          { connectTimeoutMs: ANSWER_WITHIN_MS, commandTimeoutMs: ANSWER_WITHIN_MS },
        );
        this.#links.add(link);
        try {
          while (!this.isClosed() && link.isOpen) {
            const answer = await link.call(name, ...args);
            if (!this.isClosed()) onAnswer(answer);
            await pause();
          }
        } finally {
          this.#links.delete(link);
          link.close();
        }
      } catch {
        await pause();
      }
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
}

/** A sentinel that did not lead the failover goes on naming the old master for a while: what counts is a change of its
    own answer, as a subscriber to +switch-master would see it. */
class SentinelFollower extends Asker implements Follower {
  readonly #said = new Map<number, number>();

  constructor(ports: readonly number[], master: string) {
    super();
    for (const port of ports) {
      void this.ask(port, ["SENTINEL", "get-master-addr-by-name", master], (answer) => {
        this.#hear(port, answer);
      });
    }
  }

  #hear(sentinel: number, answer: RedisReply): void {
    if (!Array.isArray(answer)) return;
    const port = Number(answer[1]);
    if (this.#said.get(sentinel) === port) return;
    this.#said.set(sentinel, port);
    this.move(port);
  }
}

class ClusterFollower extends Asker implements Follower {
  #epoch = -1;

  constructor(ports: readonly number[], slot: number) {
    super();
    for (const port of ports) {
      void this.ask(port, ["CLUSTER", "NODES"], (answer) => {
        const owner = masterOfSlot(typeof answer === "string" ? answer : "", slot);
        if (owner === undefined || owner.epoch <= this.#epoch) return;
        this.#epoch = owner.epoch;
        this.move(owner.port);
      });
    }
  }
}
