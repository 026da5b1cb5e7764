// transaction-run.ts: carries out one EXEC: MULTI, the commands and EXEC in one write, and what their replies mean.
//
//   take a connection -> write all -> executed: reply                     aborted: reply
//         ^                              |
//         +--- the node may not serve it, or it broke and may be repeated (retry-unknown)
//
// A transaction that watches has one connection and one try: everything that it can't prove is nil, but for a write on the
// wire, whose fate is as unknown as any other's.
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import { replicasHolding, underreplicated, waitCommand } from "../../route/acknowledge.ts";
import { lostReply } from "../lanes/fate.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";
import { transactionOutcome } from "./transaction-outcome.ts";
import type { QueuedCommand } from "./transaction-queue.ts";

export interface TransactionRun {
  readonly items: readonly QueuedCommand[];
  readonly partition: number;
  readonly isRead: boolean;
  readonly protocol: Protocol;
  /** The connection that holds its WATCH. */
  readonly watching: OwnConnection | undefined;
  readonly pool: OwnConnectionPool;
  /** What EXEC replies when a watched key has changed. */
  readonly nil: Buffer;
  finish(reply: Buffer): void;
}

const MULTI = encodeCommand(["MULTI"]);
const EXEC = encodeCommand(["EXEC"]);
/** How long a reply is waited for that a node owes which is no longer the master. */
const DRAIN_MS = 200;
const PROBE_EVERY_MS = 50;
/** As for a lane: a node that says nothing for that long is given up, whatever the view says. */
const SILENT_MS = 30_000;

/** Gives the function that leaves it alone, because its client is gone; after `finish` it does nothing. */
export function runTransaction(run: TransactionRun): () => void {
  return new Runner(run).start();
}

class Runner {
  readonly #run: TransactionRun;
  readonly #sinceMs: number;
  #isOver = false;
  #unknownAt: string | undefined;
  #takeBack: (() => void) | undefined;
  #endTimer: (() => void) | undefined;

  constructor(run: TransactionRun) {
    this.#run = run;
    this.#sinceMs = run.pool.context.clock.nowMs();
  }

  start(): () => void {
    const { watching } = this.#run;
    if (watching === undefined) this.#take();
    else this.#send(watching);
    return () => {
      // What is on the wire is still waited for: its connection is clean only after its reply.
      this.#isOver = true;
      this.#takeBack?.();
    };
  }

  #take(): void {
    const { pool, partition, protocol, isRead, items } = this.#run;
    const { clock, holdForMs } = pool.context;
    this.#takeBack = pool.take({
      partition,
      protocol,
      isRead,
      // The queue is counted by the transaction that holds it.
      bytes: 0,
      holdMs: Math.max(this.#sinceMs + holdForMs - clock.nowMs(), 0),
      ready: (connection) => {
        this.#send(connection);
      },
      failed: (why) => {
        this.#finish(
          lostReply(
            { isRead: items.length === 0 || isRead, unknownAt: this.#unknownAt },
            partition,
            why,
          ),
        );
      },
    });
  }

  #send(connection: OwnConnection): void {
    const { items, isRead, pool } = this.#run;
    const { ackReplicas, ackTimeoutMs, clock, holdForMs } = pool.context;
    const select = encodeCommand(["SELECT", String(connection.target.db)]);
    const mustWait = ackReplicas > 0 && !isRead;
    const commands = Buffer.concat([
      MULTI,
      ...items.map(({ command }) => command ?? select),
      EXEC,
      ...(mustWait ? [waitCommand(ackReplicas, ackTimeoutMs)] : []),
    ]);
    const silentMs = Math.max(SILENT_MS, holdForMs) + ackTimeoutMs;
    this.#endTimer = clock.after(silentMs, () => {
      connection.destroy(`it was silent for ${silentMs} ms`);
    });
    connection.holder = {
      broken: (cause) => {
        pool.end(connection, cause);
        pool.noteBroken(connection);
        this.#broken(connection, cause);
      },
      masterGone: () => {
        this.#endTimer?.();
        this.#endTimer = clock.after(DRAIN_MS, () => {
          connection.destroy("it lost its role and is silent");
        });
      },
    };
    connection.ask(commands, items.length + (mustWait ? 3 : 2), (replies) => {
      this.#endTimer?.();
      pool.give(connection);
      this.#answered(
        mustWait ? replies.slice(0, -1) : replies,
        mustWait ? replies.at(-1) : undefined,
      );
    });
  }

  #answered(replies: readonly Buffer[], wait: Buffer | undefined): void {
    const outcome = transactionOutcome(replies);
    const { ackReplicas } = this.#run.pool.context;
    if (outcome.kind === "refused") {
      this.#refused();
    } else if (outcome.kind === "executed" && wait !== undefined) {
      const count = replicasHolding(wait);
      this.#finish(count >= ackReplicas ? outcome.reply : underreplicated(count, ackReplicas));
    } else {
      this.#finish(outcome.reply);
    }
  }

  /** It was executed nowhere. */
  #refused(): void {
    if (this.#isOver) return;
    if (this.#run.watching !== undefined) {
      this.#finish(this.#run.nil);
      return;
    }
    this.#run.pool.context.clock.after(PROBE_EVERY_MS, () => {
      if (!this.#isOver) this.#take();
    });
  }

  #broken(connection: OwnConnection, cause: string): void {
    this.#endTimer?.();
    if (this.#isOver) return;
    const { items, isRead, pool, partition, watching, nil } = this.#run;
    if (watching !== undefined && isRead) {
      this.#finish(nil);
      return;
    }
    this.#unknownAt = connection.target.name;
    const mayRepeat =
      watching === undefined &&
      (isRead || pool.context.retryUnknown === "idempotent") &&
      items.every((item) => item.isRepeatable);
    if (mayRepeat) this.#take();
    else this.#finish(lostReply({ isRead, unknownAt: this.#unknownAt }, partition, cause));
  }

  #finish(reply: Buffer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#run.finish(reply);
  }
}
