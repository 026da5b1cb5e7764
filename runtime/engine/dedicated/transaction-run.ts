// transaction-run.ts: runs one EXEC: sends MULTI, the commands and EXEC in one write, and interprets the replies.
//
//   acquire a connection -> send all -> executed: reply                     aborted: reply
//         ^                              |
//         +--- the node is no master, or the connection broke for the first time and it may be repeated (retry-unknown)
//
// A transaction with a WATCH has one connection and one attempt. EXEC gives nil if the WATCH can't be proved valid. The
// exception is a write that was sent and not answered: its outcome is unknown, as for any other write.
import { encodeCommand, errorReply, type Protocol } from "../../resp/encode.ts";
import { replicasHolding, underreplicated, waitCommand } from "../../route/replies/acknowledge.ts";
import { lostReply } from "../pipelines/outcome.ts";
import { DRAIN_MS, PROBE_EVERY_MS } from "../limits.ts";
import type { Located } from "./dedicated-client.ts";
import type { DedicatedConnection } from "./connection.ts";
import type { DedicatedPool } from "./pool.ts";
import { transactionOutcome } from "./transaction-outcome.ts";
import type { QueuedCommand } from "./transaction-queue.ts";

export interface TransactionRun {
  readonly items: readonly QueuedCommand[];
  /** Finds the partition of its keys. Called each time it is sent, because the routing may have changed. */
  locate(done: (located: Located) => void): void;
  readonly isRead: boolean;
  readonly protocol: Protocol;
  /** The connection with its WATCH. */
  readonly watching: DedicatedConnection | undefined;
  readonly pool: DedicatedPool;
  /** EXEC's reply when a watched key has changed. */
  readonly nil: Buffer;
  finish(reply: Buffer): void;
}

const MULTI = encodeCommand(["MULTI"]);
const EXEC = encodeCommand(["EXEC"]);
/** As for a pipeline: after so long without a reply the connection is closed, whatever the view says. */
const SILENT_MS = 30_000;

/** Returns the function to call when the client has disconnected; after `finish` it does nothing. */
export function runTransaction(run: TransactionRun): () => void {
  return new Runner(run).start();
}

class Runner {
  readonly #run: TransactionRun;
  readonly #sinceMs: number;
  #isOver = false;
  #unknownAt: string | undefined;
  #cancelAcquire: (() => void) | undefined;
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
      // A sent transaction keeps its connection until the replies arrive: only then has it no state.
      this.#isOver = true;
      this.#cancelAcquire?.();
    };
  }

  #take(): void {
    this.#run.locate((located) => {
      if (this.#isOver) return;
      if ("partition" in located) this.#takeAt(located.partition);
      else this.#finish(aborted(located.refused));
    });
  }

  #takeAt(partition: number): void {
    const { pool, protocol, isRead, items } = this.#run;
    const { clock, holdForMs } = pool.context;
    this.#cancelAcquire = pool.acquire({
      partition,
      protocol,
      isRead,
      // transaction.ts counts the bytes of the queue.
      bytes: 0,
      holdMs: Math.max(this.#sinceMs + holdForMs - clock.nowMs(), 0),
      ready: (connection) => {
        this.#send(connection);
      },
      moved: () => {
        this.#take();
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

  #send(connection: DedicatedConnection): void {
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
    connection.owner = {
      onBroken: (cause) => {
        pool.destroy(connection, cause);
        pool.noteBroken(connection);
        this.#broken(connection, cause);
      },
      onMasterChange: () => {
        this.#endTimer?.();
        this.#endTimer = clock.after(DRAIN_MS, () => {
          connection.destroy("it lost its role and is silent");
        });
      },
    };
    connection.request(commands, items.length + (mustWait ? 3 : 2), (replies) => {
      this.#endTimer?.();
      pool.release(connection);
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

  /** No node executed it. */
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

  #broken(connection: DedicatedConnection, cause: string): void {
    this.#endTimer?.();
    if (this.#isOver) return;
    const { items, isRead, pool, watching, nil } = this.#run;
    if (watching !== undefined && isRead) {
      this.#finish(nil);
      return;
    }
    // As for a single command: one whose connection broke at two nodes is not tried at a third.
    const isSecond = this.#unknownAt !== undefined;
    this.#unknownAt = connection.target.name;
    const mayRepeat =
      !isSecond &&
      watching === undefined &&
      (isRead || pool.context.retryUnknown === "idempotent") &&
      items.every((item) => item.isRepeatable);
    if (mayRepeat) this.#take();
    else
      this.#finish(lostReply({ isRead, unknownAt: this.#unknownAt }, connection.partition, cause));
  }

  #finish(reply: Buffer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#run.finish(reply);
  }
}

/** The error of one command, as Redis reports that EXEC executed nothing. */
function aborted(refused: Buffer): Buffer {
  const why = refused.toString("utf8", 1, refused.length - 2);
  return errorReply(`EXECABORT Transaction discarded because of: ${why}`);
}
