// blocking.ts: one blocking command of one client (BLPOP, BLMOVE, XREAD BLOCK and their like), on a connection of its own.
//
//   take a connection -> write -> reply (or the node's timeout)
//         ^                |
//         +--- another master, a broken connection, a refusal: once more, with the time that is left
//
// Of a node that is the master no more the reply is waited for a moment: what it took off just before is on its way, and
// to those that still wait it says UNBLOCKED as soon as it is a replica.
// It is repeated whatever retry-unknown says: a client that waits for hours must not be woken by an error at each failover.
// The price is the one that Redis itself asks when a client's connection breaks: an element that the dying master had
// taken off for this client, and whose reply was lost, is nobody's. None is given twice by the repetition.
// While it waits the client is still read, because its leaving must free the connection.
import { errorReply, type Protocol } from "../../resp/encode.ts";
import { replicasHolding, underreplicated, waitCommand } from "../../route/acknowledge.ts";
import {
  blockingTimeout,
  withTimeLeft,
  type BlockingTimeout,
} from "../../route/blocking-timeout.ts";
import { isSameTarget } from "../lanes/backend-connection.ts";
import { isNotExecuted } from "../lanes/fate.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";
import { isNull } from "./transaction-outcome.ts";

export interface BlockingRun {
  readonly args: readonly Buffer[];
  readonly raw: Buffer;
  readonly partition: number;
  readonly isRead: boolean;
  readonly protocol: Protocol;
  readonly pool: OwnConnectionPool;
  finish(reply: Buffer): void;
}

const MINUS = 45;
const AGAIN_AFTER_MS = 50;
/** How long the reply of a node that is no longer the master is waited for. */
const DRAIN_MS = 200;
/** A node that can be reached is asked, however short the command's time is: it may have at once what is wanted. */
const ASKING_MS = 1000;
/** Timers count whole milliseconds and may ring in the last one. */
const TIMER_STEP_MS = 2;
const PING = Buffer.from("*1\r\n$4\r\nPING\r\n");

/** Gives the function that ends it without a reply, because its client is gone; after `finish` it does nothing. */
export function runBlocking(run: BlockingRun): () => void {
  return new Runner(run).start();
}

class Runner {
  readonly #run: BlockingRun;
  readonly #timeout: BlockingTimeout | undefined;
  readonly #endMs: number;
  #attempts = 0;
  #isOver = false;
  #connection: OwnConnection | undefined;
  #takeBack: (() => void) | undefined;
  #endPause: (() => void) | undefined;
  #endDrain: (() => void) | undefined;

  constructor(run: BlockingRun) {
    this.#run = run;
    this.#timeout = blockingTimeout(run.args);
    const timeoutMs = this.#timeout?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.#endMs = run.pool.context.clock.nowMs() + timeoutMs;
  }

  start(): () => void {
    this.#take();
    return () => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#takeBack?.();
      this.#endPause?.();
      this.#endDrain?.();
      // It still waits there: only its end makes the node forget it.
      if (this.#connection !== undefined)
        this.#run.pool.end(this.#connection, "its client is gone");
    };
  }

  get #leftMs(): number {
    return this.#endMs - this.#run.pool.context.clock.nowMs();
  }

  #take(): void {
    const { pool, partition, protocol, isRead, raw } = this.#run;
    const { holdForMs } = pool.context;
    // Its own time may end first; then it found nothing, and says so as the node would.
    const isShort = this.#leftMs < holdForMs;
    this.#takeBack = pool.take({
      partition,
      protocol,
      isRead,
      bytes: raw.length,
      holdMs: Math.min(Math.max(this.#leftMs, ASKING_MS), holdForMs),
      ready: (connection) => {
        this.#send(connection);
      },
      failed: (why) => {
        this.#finish(
          isShort && this.#leftMs < TIMER_STEP_MS
            ? nothing(protocol)
            : errorReply(`TWINEDOWN ${why}`),
        );
      },
    });
  }

  #send(connection: OwnConnection): void {
    const { args, raw } = this.#run;
    const isFirst = this.#attempts++ === 0;
    const command =
      isFirst || this.#timeout === undefined
        ? raw
        : withTimeLeft(args, this.#timeout, this.#leftMs);
    this.#connection = connection;
    connection.holder = {
      broken: () => {
        this.#leave(connection, "it broke");
      },
      masterGone: () => {
        this.#drain(() => {
          this.#endDrain = undefined;
          const { pool, partition } = this.#run;
          const isBack = isSameTarget(connection.target, pool.masterOf(partition));
          if (!isBack) this.#leave(connection, "its node is not the master any more");
        });
      },
    };
    connection.ask(command, 1, ([reply = nothing(connection.protocol)]) => {
      this.#answered(connection, reply);
    });
  }

  #drain(giveUp: () => void): void {
    this.#endDrain ??= this.#run.pool.context.clock.after(DRAIN_MS, giveUp);
  }

  #drained(): void {
    this.#endDrain?.();
    this.#endDrain = undefined;
  }

  #leave(connection: OwnConnection, cause: string): void {
    const { pool } = this.#run;
    this.#drained();
    this.#connection = undefined;
    pool.end(connection, cause);
    pool.noteBroken(connection);
    this.#again(0);
  }

  #again(delayMs: number): void {
    if (this.#isOver) return;
    this.#endPause = this.#run.pool.context.clock.after(delayMs, () => {
      this.#take();
    });
  }

  #answered(connection: OwnConnection, reply: Buffer): void {
    const { pool, isRead } = this.#run;
    const isError = reply[0] === MINUS;
    this.#drained();
    if (isError && isTurnedAway(reply)) {
      this.#connection = undefined;
      pool.end(connection, "its node is not the master any more");
      this.#again(AGAIN_AFTER_MS);
    } else if (pool.context.ackReplicas > 0 && !isRead && !isError && !isNull(reply)) {
      this.#count(connection, reply);
    } else {
      this.#connection = undefined;
      pool.give(connection);
      this.#finish(reply);
    }
  }

  /** WAIT counts from the connection's last command, which PING is: what woke this one was another client's. */
  #count(connection: OwnConnection, reply: Buffer): void {
    const { pool } = this.#run;
    const { ackReplicas, ackTimeoutMs } = pool.context;
    const giveUp = (): void => {
      this.#connection = undefined;
      pool.end(connection, "its replicas can't be counted");
      this.#finish(underreplicated(0, ackReplicas));
    };
    // A master that was replaced may be silent for ever.
    const masterGone = (): void => {
      this.#drain(giveUp);
    };
    connection.holder = { broken: giveUp, masterGone };
    const commands = Buffer.concat([PING, waitCommand(ackReplicas, ackTimeoutMs)]);
    connection.ask(commands, 2, ([, wait = Buffer.alloc(0)]) => {
      const count = replicasHolding(wait);
      this.#drained();
      this.#connection = undefined;
      pool.give(connection);
      this.#finish(count >= ackReplicas ? reply : underreplicated(count, ackReplicas));
    });
  }

  #finish(reply: Buffer): void {
    this.#drained();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#run.finish(reply);
  }
}

/** A node that becomes a replica says UNBLOCKED to those that wait on it. */
function isTurnedAway(reply: Buffer): boolean {
  return isNotExecuted(reply, 0, reply.length) || reply.toString("latin1", 1, 11) === "UNBLOCKED ";
}

/** What Redis says when the time is over. */
function nothing(protocol: Protocol): Buffer {
  return Buffer.from(protocol === 3 ? "_\r\n" : "*-1\r\n");
}
