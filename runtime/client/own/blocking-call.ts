// blocking-call.ts: one blocking command (BLPOP, BLMOVE, XREAD BLOCK and their like), on a connection of its own.
//
//   take a connection -> write -> reply (or the node's timeout)
//         ^                |
//         +--- another master, a broken connection, a refusal: once more, with the time that is left
//
// It is repeated whatever retry-unknown says, as in the router: a consumer that waits for hours must not be woken by an
// error at each failover. The price is the one that Redis itself asks when a connection breaks: an element that the dying
// master had taken off for this caller, and whose reply was lost, is nobody's. None is given twice by the repetition.
// quit() takes it from its node by CLIENT UNBLOCK, which proves that nothing was taken off; where that can't be had, and
// at disconnect(), a command that may have taken something ends with UNCERTAIN.
import { encodeCommand, errorReply } from "../../resp/encode.ts";
import { replicasHolding, underreplicated, waitCommand } from "../../route/acknowledge.ts";
import {
  blockingTimeout,
  withTimeLeft,
  type BlockingTimeout,
} from "../../route/blocking-timeout.ts";
import { isError } from "../../route/split.ts";
import { isNotExecuted, type TakeReply } from "../request.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";

export interface BlockingOptions {
  readonly args: readonly Buffer[];
  readonly partition: number;
  readonly isRead: boolean;
  readonly pool: OwnConnectionPool;
  /** Asks the partition's master over a connection that waits for nothing. */
  readonly askMaster: (args: readonly string[], done: TakeReply) => void;
  readonly finish: TakeReply;
}

const AGAIN_AFTER_MS = 50;
/** A node that can be reached is asked, however short the command's time is: it may have at once what is wanted. */
const ASKING_MS = 1000;
/** Timers count whole milliseconds and may ring in the last one. */
const TIMER_STEP_MS = 2;
/** A node that is so late with its timeout is not there any more. */
const LATE_MS = 30_000;
const UNBLOCK_MS_MAX = 1000;
/** How long the reply of a node that is no longer the master is waited for. */
const DRAIN_MS = 200;
const PING = encodeCommand(["PING"]);
const NOTHING = Buffer.from("*-1\r\n");
export const CLIENT_CLOSED: Buffer = errorReply("CLIENT_CLOSED the client was closed");

export class BlockingCall {
  readonly #options: BlockingOptions;
  readonly #timeout: BlockingTimeout | undefined;
  readonly #endMs: number;
  #attempts = 0;
  #isOver = false;
  #isLeaving = false;
  /** Whose reply is waited for. */
  #connection: OwnConnection | undefined;
  /** The reply has come, and its replicas are counted. */
  #isCounting = false;
  #takeBack: (() => void) | undefined;
  #endTimer: (() => void) | undefined;
  #endDrain: (() => void) | undefined;
  #endLeaving: (() => void) | undefined;

  /** Its time begins now. */
  constructor(options: BlockingOptions) {
    this.#options = options;
    this.#timeout = blockingTimeout(options.args);
    const timeoutMs = this.#timeout?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.#endMs = options.pool.context.clock.nowMs() + timeoutMs;
  }

  start(): void {
    if (!this.#isOver) this.#take();
  }

  /** Ends it as soon as that loses nothing. */
  leave(): void {
    if (this.#isLeaving || this.#isCounting) return;
    this.#isLeaving = true;
    if (this.#connection === undefined) {
      this.#finish(CLIENT_CLOSED);
      return;
    }
    this.#endLeaving = this.#options.pool.context.clock.after(UNBLOCK_MS_MAX, () => {
      this.close();
    });
    this.#unblock(this.#connection);
  }

  /** Ends it now. */
  close(): void {
    const connection = this.#connection;
    if (this.#isOver) return;
    if (connection === undefined) this.#finish(CLIENT_CLOSED);
    else {
      this.#options.pool.end(connection, "the client was closed", true);
      this.#finish(this.#uncertain(connection));
    }
  }

  get #leftMs(): number {
    return this.#endMs - this.#options.pool.context.clock.nowMs();
  }

  #take(): void {
    const { pool, partition, isRead, args } = this.#options;
    const { holdForMs } = pool.context;
    // Its own time may end first; then it found nothing, and says so as the node would.
    const isShort = this.#leftMs < holdForMs;
    this.#takeBack = pool.take({
      partition,
      isRead,
      bytes: args.reduce((sum, arg) => sum + arg.length, 0),
      holdMs: Math.min(Math.max(this.#leftMs, ASKING_MS), holdForMs),
      ready: (connection) => {
        this.#send(connection);
      },
      failed: (why) => {
        const isTimeOver = isShort && this.#leftMs < TIMER_STEP_MS;
        this.#finish(isTimeOver ? NOTHING : errorReply(`TWINEDOWN ${why}`));
      },
    });
  }

  #send(connection: OwnConnection): void {
    const { args, pool } = this.#options;
    const timeout = this.#timeout;
    const isFirst = this.#attempts++ === 0;
    const leftMs = this.#leftMs;
    const isPlain = isFirst || timeout === undefined;
    const command = isPlain ? encodeCommand(args) : withTimeLeft(args, timeout, leftMs);
    this.#connection = connection;
    connection.holder = {
      broken: () => {
        this.#lose(connection, "it broke");
      },
      masterGone: () => {
        this.#drain(connection);
      },
    };
    if (leftMs !== Number.POSITIVE_INFINITY) {
      this.#endTimer = pool.context.clock.after(Math.max(leftMs, 0) + LATE_MS, () => {
        this.#lose(connection, "it is silent");
      });
    }
    connection.ask([command], ([reply = NOTHING]) => {
      this.#answered(connection, reply);
    });
  }

  /** What it took off while its node was still master may be on its way: a node that was handed over says UNBLOCKED. */
  #drain(connection: OwnConnection): void {
    this.#endDrain ??= this.#options.pool.context.clock.after(DRAIN_MS, () => {
      this.#endDrain = undefined;
      const isBack = this.#options.pool.isMasters(connection);
      if (!isBack) this.#lose(connection, "its node is not the master any more");
    });
  }

  #lose(connection: OwnConnection, cause: string): void {
    this.#endDrain?.();
    this.#endDrain = undefined;
    this.#connection = undefined;
    this.#options.pool.end(connection, cause, false);
    if (this.#isLeaving) this.#finish(this.#uncertain(connection));
    else this.#again(0);
  }

  #again(delayMs: number): void {
    this.#endTimer?.();
    if (this.#isOver) return;
    this.#endTimer = this.#options.pool.context.clock.after(delayMs, () => {
      this.#take();
    });
  }

  #answered(connection: OwnConnection, reply: Buffer): void {
    const { pool, isRead } = this.#options;
    this.#endTimer?.();
    this.#endDrain?.();
    this.#endDrain = undefined;
    if (isError(reply) && isTurnedAway(reply)) {
      this.#connection = undefined;
      pool.end(connection, "it does not wait any more", true);
      if (this.#isLeaving) this.#finish(CLIENT_CLOSED);
      else this.#again(AGAIN_AFTER_MS);
      return;
    }
    const hasWritten = !isRead && !isError(reply) && !isNull(reply);
    if (hasWritten && pool.context.ackReplicas > 0) {
      this.#count(connection, reply);
      return;
    }
    this.#connection = undefined;
    pool.give(connection);
    this.#finish(reply);
  }

  /** WAIT counts from the connection's last command, which PING is: what woke this one was another's write. */
  #count(connection: OwnConnection, reply: Buffer): void {
    const { pool } = this.#options;
    const { ackReplicas, ackTimeoutMs } = pool.context;
    this.#isCounting = true;
    const giveUp = (): void => {
      pool.end(connection, "its replicas can't be counted", true);
      this.#finish(underreplicated(0, ackReplicas));
    };
    // A master that was replaced may be silent for ever.
    const masterGone = (): void => {
      this.#endTimer ??= pool.context.clock.after(DRAIN_MS, giveUp);
    };
    this.#endTimer = undefined;
    connection.holder = { broken: giveUp, masterGone };
    const commands = [PING, waitCommand(ackReplicas, ackTimeoutMs)];
    connection.ask(commands, ([, wait = Buffer.alloc(0)]) => {
      const count = replicasHolding(wait);
      pool.give(connection);
      this.#finish(count >= ackReplicas ? reply : underreplicated(count, ackReplicas));
    });
  }

  /** Until it is answered: what was just written the node may not have read yet. */
  #unblock(connection: OwnConnection): void {
    const { askMaster, pool } = this.#options;
    const id = String(connection.identity?.id ?? 0);
    askMaster(["CLIENT", "UNBLOCK", id, "ERROR"], (reply) => {
      if (this.#isOver || this.#isCounting || reply.toString("latin1") === ":1\r\n") return;
      this.#endTimer?.();
      if (isError(reply)) this.close();
      else {
        this.#endTimer = pool.context.clock.after(AGAIN_AFTER_MS, () => {
          this.#unblock(connection);
        });
      }
    });
  }

  #uncertain({ target }: OwnConnection): Buffer {
    const { isRead, partition } = this.#options;
    if (isRead) return CLIENT_CLOSED;
    return errorReply(
      `UNCERTAIN ${target.name} of partition ${partition} gave no reply, the command may have been ` +
        "executed: the client was closed",
    );
  }

  #finish(reply: Buffer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection = undefined;
    this.#takeBack?.();
    this.#endTimer?.();
    this.#endDrain?.();
    this.#endLeaving?.();
    this.#options.finish(reply);
  }
}

/** A node that becomes a replica says UNBLOCKED to those that wait on it. */
function isTurnedAway(reply: Buffer): boolean {
  return isNotExecuted(reply) || reply.toString("latin1", 1, 11) === "UNBLOCKED ";
}

/** As RESP2 says that nothing was found: no bulk, or no array. */
function isNull(reply: Buffer): boolean {
  return reply.toString("latin1", 1) === "-1\r\n";
}
