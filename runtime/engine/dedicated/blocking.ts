// blocking.ts: runs one blocking command (BLPOP, BLMOVE, XREAD BLOCK and the like) on a dedicated connection.
//
//   acquire a connection -> send -> reply (or the node's timeout)
//         ^                |
//         +--- master changed, connection broke, command refused: repeat with the remaining timeout
//
// When the node is no longer the master, its reply is awaited for DRAIN_MS: an element that it popped before may be on the
// way. A node that becomes a replica replies UNBLOCKED to every blocked client.
// The command is repeated whatever retry-unknown says: a client that blocks for hours must not get an error at each
// failover. As in Redis when a client's connection breaks, an element is lost if the dying master popped it and its reply
// did not arrive. Repeating never delivers an element twice.
// The client's socket is still read meanwhile, so that a disconnect frees the dedicated connection.
import { encodeCommand, errorReply, type Protocol } from "../../resp/encode.ts";
import { replicasHolding, underreplicated, waitCommand } from "../../route/replies/acknowledge.ts";
import {
  blockingTimeout,
  withTimeLeft,
  type BlockingTimeout,
} from "../../route/session/blocking-timeout.ts";
import { isNotExecuted, lostReply } from "../pipelines/outcome.ts";
import { DRAIN_MS } from "../limits.ts";
import type { Located } from "./dedicated-client.ts";
import type { DedicatedConnection } from "./connection.ts";
import type { DedicatedPool } from "./pool.ts";
import { isNull } from "./transaction-outcome.ts";

export interface BlockingRun {
  readonly args: readonly Buffer[];
  readonly raw: Buffer;
  /** Finds the partition of its keys. Called each time it is sent, because the routing may have changed. */
  locate(done: (located: Located) => void): void;
  readonly isRead: boolean;
  readonly protocol: Protocol;
  readonly pool: DedicatedPool;
  finish(reply: Buffer): void;
}

const MINUS = 45;
const AGAIN_AFTER_MS = 50;
/** The least time for acquiring a connection, however short the command's timeout: the list may not be empty. */
const ASKING_MS = 1000;
/** Timers count whole milliseconds and may fire one early. */
const TIMER_STEP_MS = 2;
const PING = Buffer.from("*1\r\n$4\r\nPING\r\n");

/** How long CLIENT UNBLOCK is tried. */
const UNBLOCK_MS_MAX = 1000;
const CLOSED = errorReply("CLIENT_CLOSED the client was closed");

/** After `finish` was called, neither does anything. */
export interface BlockingEnd {
  /** Ends the command without a reply, because its client has disconnected. */
  readonly cancel: () => void;
  /** Ends the command without losing an element: CLIENT UNBLOCK proves that nothing was popped. If the node does not reply
      to it, a command that may have popped an element ends with UNCERTAIN. */
  readonly unblock: () => void;
}

export function runBlocking(run: BlockingRun): BlockingEnd {
  return new Runner(run).start();
}

class Runner {
  readonly #run: BlockingRun;
  readonly #timeout: BlockingTimeout | undefined;
  readonly #endMs: number;
  #attempts = 0;
  #isOver = false;
  #connection: DedicatedConnection | undefined;
  #cancelAcquire: (() => void) | undefined;
  #endPause: (() => void) | undefined;
  #endDrain: (() => void) | undefined;
  #isUnblocking = false;
  /** The reply has arrived; WAIT counts the replicas that have the write. */
  #isCounting = false;
  #endUnblock: (() => void) | undefined;

  constructor(run: BlockingRun) {
    this.#run = run;
    this.#timeout = blockingTimeout(run.args);
    const timeoutMs = this.#timeout?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.#endMs = run.pool.context.clock.nowMs() + timeoutMs;
  }

  start(): BlockingEnd {
    this.#take();
    return {
      cancel: () => {
        if (this.#isOver) return;
        this.#end();
        // The command still blocks at the node. Only closing the connection cancels it.
        if (this.#connection !== undefined)
          this.#run.pool.destroy(this.#connection, "its client is gone");
      },
      unblock: () => {
        this.#unblock();
      },
    };
  }

  #end(): void {
    this.#isOver = true;
    this.#cancelAcquire?.();
    this.#endPause?.();
    this.#endDrain?.();
    this.#endUnblock?.();
  }

  #unblock(): void {
    if (this.#isOver || this.#isUnblocking || this.#isCounting) return;
    this.#isUnblocking = true;
    const connection = this.#connection;
    if (connection === undefined) {
      this.#finish(CLOSED);
      return;
    }
    const { pool } = this.#run;
    const endTimer = pool.context.clock.after(UNBLOCK_MS_MAX, () => {
      this.#leave(connection, "it gave no reply to CLIENT UNBLOCK");
    });
    const id = String(connection.identity?.id ?? 0);
    const command = encodeCommand(["CLIENT", "UNBLOCK", id, "ERROR"]);
    const endRequest = unblockAt(this.#run, connection.partition, command);
    this.#endUnblock = () => {
      endTimer();
      endRequest();
    };
  }

  get #leftMs(): number {
    return this.#endMs - this.#run.pool.context.clock.nowMs();
  }

  #take(): void {
    this.#run.locate((located) => {
      if (this.#isOver) return;
      if ("partition" in located) this.#takeAt(located.partition);
      else this.#finish(located.refused);
    });
  }

  #takeAt(partition: number): void {
    const { pool, protocol, isRead, raw } = this.#run;
    const { holdForMs } = pool.context;
    // The command's own timeout may end before hold-for. Its reply is then that of a node whose timeout ended.
    const isShort = this.#leftMs < holdForMs;
    this.#cancelAcquire = pool.acquire({
      partition,
      protocol,
      isRead,
      bytes: raw.length,
      holdMs: Math.min(Math.max(this.#leftMs, ASKING_MS), holdForMs),
      ready: (connection) => {
        this.#send(connection);
      },
      moved: () => {
        this.#again(0);
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

  #send(connection: DedicatedConnection): void {
    const { args, raw } = this.#run;
    const isFirst = this.#attempts++ === 0;
    const command =
      isFirst || this.#timeout === undefined
        ? raw
        : withTimeLeft(args, this.#timeout, this.#leftMs);
    this.#connection = connection;
    connection.owner = {
      onBroken: () => {
        this.#leave(connection, "it broke");
      },
      onMasterChange: () => {
        this.#drain(() => {
          this.#endDrain = undefined;
          if (!this.#run.pool.isMasterStill(connection))
            this.#leave(connection, "its node is not the master any more");
        });
      },
    };
    connection.request(command, 1, ([reply = nothing(connection.protocol)]) => {
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

  #leave(connection: DedicatedConnection, cause: string): void {
    const { pool } = this.#run;
    this.#drained();
    this.#connection = undefined;
    pool.destroy(connection, cause);
    pool.noteBroken(connection);
    if (this.#isUnblocking) this.#finish(this.#uncertain(connection, cause));
    else this.#again(0);
  }

  #again(delayMs: number): void {
    if (this.#isOver) return;
    this.#endPause = this.#run.pool.context.clock.after(delayMs, () => {
      this.#take();
    });
  }

  #answered(connection: DedicatedConnection, reply: Buffer): void {
    const { pool, isRead } = this.#run;
    const isError = reply[0] === MINUS;
    this.#drained();
    if (isError && isTurnedAway(reply)) {
      this.#connection = undefined;
      pool.destroy(connection, "its node is not the master any more");
      if (this.#isUnblocking) this.#finish(CLOSED);
      else this.#again(AGAIN_AFTER_MS);
    } else if (this.#isUnblocking && isUnblocked(reply)) {
      this.#connection = undefined;
      pool.release(connection);
      this.#finish(CLOSED);
    } else if (pool.context.ackReplicas > 0 && !isRead && !isError && !isNull(reply)) {
      this.#count(connection, reply);
    } else {
      this.#connection = undefined;
      pool.release(connection);
      this.#finish(reply);
    }
  }

  /** WAIT refers to the connection's last write, but the write that unblocked this command came from another client. A PING
      before it makes WAIT refer to the present offset. */
  #count(connection: DedicatedConnection, reply: Buffer): void {
    const { pool } = this.#run;
    const { ackReplicas, ackTimeoutMs } = pool.context;
    this.#isCounting = true;
    const giveUp = (): void => {
      this.#connection = undefined;
      pool.destroy(connection, "its replicas can't be counted");
      this.#finish(underreplicated(0, ackReplicas));
    };
    // A master that was replaced may never reply.
    const onMasterChange = (): void => {
      this.#drain(giveUp);
    };
    connection.owner = { onBroken: giveUp, onMasterChange };
    const commands = Buffer.concat([PING, waitCommand(ackReplicas, ackTimeoutMs)]);
    connection.request(commands, 2, ([, wait = Buffer.alloc(0)]) => {
      const count = replicasHolding(wait);
      this.#drained();
      this.#connection = undefined;
      pool.release(connection);
      this.#finish(count >= ackReplicas ? reply : underreplicated(count, ackReplicas));
    });
  }

  #finish(reply: Buffer): void {
    this.#drained();
    if (this.#isOver) return;
    this.#end();
    this.#run.finish(reply);
  }

  #uncertain({ target, partition }: DedicatedConnection, cause: string): Buffer {
    const { isRead } = this.#run;
    if (isRead) return CLOSED;
    const why = `${cause}; the client was closed`;
    return lostReply({ isRead, unknownAt: target.name }, partition, why);
  }
}

/** A node that becomes a replica replies UNBLOCKED to its blocked clients. UNBLOCKED for a deleted stream has another text
    (t_stream.c) and goes to the client. */
function isTurnedAway(reply: Buffer): boolean {
  if (isNotExecuted(reply, 0, reply.length)) return true;
  return reply.toString("latin1", 1, 40).startsWith("UNBLOCKED force unblock from blocking");
}

/** The reply after CLIENT UNBLOCK ... ERROR: nothing was popped. */
function isUnblocked(reply: Buffer): boolean {
  return reply.toString("latin1", 1, 11) === "UNBLOCKED ";
}

/** Redis's reply when the timeout ends. */
function nothing(protocol: Protocol): Buffer {
  return Buffer.from(protocol === 3 ? "_\r\n" : "*-1\r\n");
}

/** Sends CLIENT UNBLOCK to the partition's master until it has unblocked the client: the master may not have read the
    blocking command yet. Returns the function that stops this. */
function unblockAt(
  { pool, protocol }: BlockingRun,
  partition: number,
  command: Buffer,
): () => void {
  let isOver = false;
  let end: () => void = () => undefined;
  const ask = (): void => {
    end = pool.acquire({
      ...{ partition, protocol, isRead: true, bytes: 0, holdMs: UNBLOCK_MS_MAX },
      ready: (connection) => {
        connection.owner = { onBroken: () => undefined, onMasterChange: () => undefined };
        connection.request(command, 1, ([reply = Buffer.alloc(0)]) => {
          pool.release(connection);
          if (isOver || reply.toString("latin1") !== ":0\r\n") return;
          end = pool.context.clock.after(AGAIN_AFTER_MS, ask);
        });
      },
      moved: () => undefined,
      failed: () => undefined,
    });
  };
  ask();
  return () => {
    isOver = true;
    end();
  };
}
