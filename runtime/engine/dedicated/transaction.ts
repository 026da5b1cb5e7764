// transaction.ts: MULTI, EXEC, DISCARD, WATCH and UNWATCH of one client.
//
//   WATCH a      -> a dedicated connection to a's partition, kept until EXEC, DISCARD or UNWATCH
//   MULTI ... -> queued here, nothing is sent (transaction-queue.ts)
//   EXEC         -> MULTI ... EXEC in one write, on the connection with the WATCH or any other (transaction-run.ts)
//
// Invariants: all keys of a transaction are in the first key's partition. A transaction with a WATCH runs on the connection
// with the WATCH or not at all: if that connection broke, or its node is no longer the master, EXEC gives nil, because it
// can't be proved that the keys are unchanged.
// https://redis.io/docs/latest/develop/using-commands/transactions/
import { errorReply, OK_REPLY, type Protocol } from "../../resp/encode.ts";
import { crossSlot, wrongArity } from "../../route/replies/wire-errors.ts";
import type { PendingCommand } from "../dispatch/pending-command.ts";
import type { DedicatedConnection } from "./connection.ts";
import {
  hashFailed,
  locate,
  partitionsOf,
  type DedicatedClient,
  type DedicatedContext,
} from "./dedicated-client.ts";
import {
  queueCommand,
  type QueuedCommand,
  type TransactionQueue,
  type Watch,
} from "./transaction-queue.ts";
import { runTransaction } from "./transaction-run.ts";

const QUEUED_REPLY = Buffer.from("+QUEUED\r\n");
const USED_UP = "OOM twine: hold-bytes is used up";
const DROPPED = errorReply(`EXECABORT Transaction discarded because of: ${USED_UP}`);
const PREVIOUS_ERRORS = errorReply("EXECABORT Transaction discarded because of previous errors.");
const NIL_REPLIES: Readonly<Record<Protocol, Buffer>> = {
  2: Buffer.from("*-1\r\n"),
  3: Buffer.from("_\r\n"),
};

export class Transaction {
  readonly #client: DedicatedClient;
  readonly #context: DedicatedContext;
  #watch: Watch | undefined;
  #queue: TransactionQueue | undefined;
  /** Cancels the command that runs. */
  #cancel: (() => void) | undefined;

  constructor(client: DedicatedClient, context: DedicatedContext, watch?: Watch) {
    this.#client = client;
    this.#context = context;
    this.#watch = watch;
  }

  /** Between MULTI and EXEC. */
  get isQueueing(): boolean {
    return this.#queue !== undefined;
  }

  get isWatching(): boolean {
    return this.#watch !== undefined;
  }

  /** Takes MULTI, EXEC, DISCARD, WATCH and UNWATCH, and every command while queueing. Returns undefined when the client's
      next command may follow at once; otherwise a promise that resolves when it may. */
  take(name: string, pending: PendingCommand): Promise<void> | undefined {
    const count = pending.request.args.length;
    switch (name) {
      case "multi":
        this.#multi(pending, count);
        return undefined;
      case "discard":
        this.#discard(pending, count);
        return undefined;
      case "exec":
        return this.#exec(pending, count);
      case "watch":
        if (this.#queue === undefined) return this.#watchKeys(pending, count);
        pending.done(errorReply("ERR WATCH inside MULTI is not allowed"));
        return undefined;
      case "unwatch":
        if (this.#queue !== undefined) return this.#add(pending);
        this.#unwatch(pending, count);
        return undefined;
      default:
        return this.#add(pending);
    }
  }

  /** A command was refused by the caller: EXEC must execute nothing. */
  markDirty(): void {
    if (this.#queue !== undefined) this.#queue.isBroken = true;
  }

  /** The client has disconnected or sent RESET. */
  release(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#endQueue();
    this.#endWatch();
  }

  #multi(pending: PendingCommand, count: number): void {
    if (count !== 1) {
      pending.done(wrongArity("multi"));
    } else if (this.#queue !== undefined) {
      pending.done(errorReply("ERR MULTI calls can not be nested"));
    } else {
      const { routing } = this.#context.routed;
      const { partition, key } = this.#watch?.routing === routing ? this.#watch : {};
      const well = { isBroken: false, isDropped: false };
      this.#queue = { items: [], bytes: 0, partition, key, routing, ...well };
      pending.done(OK_REPLY);
    }
  }

  #discard(pending: PendingCommand, count: number): void {
    if (count !== 1) {
      pending.done(wrongArity("discard"));
      this.markDirty();
    } else if (this.#queue === undefined) {
      pending.done(errorReply("ERR DISCARD without MULTI"));
    } else {
      this.#endQueue();
      this.#endWatch();
      pending.done(OK_REPLY);
    }
  }

  #add(pending: PendingCommand): Promise<void> | undefined {
    const { table } = this.#context.commands;
    const { partitions, hashTag } = this.#context.routed.routing;
    if (table === undefined) {
      this.#refuse(pending, errorReply("TWINEDOWN no data node has reported its commands yet"));
      return undefined;
    }
    const queueing = queueCommand(pending.request, { table, partitions, hashTag });
    if (queueing.kind === "refused") {
      this.#refuse(pending, queueing.reply);
      return undefined;
    }
    const { item } = queueing;
    const failed = (error: unknown): void => {
      this.#refuse(pending, hashFailed(error));
    };
    try {
      const located = partitionsOf(item.keys, this.#context);
      if ("then" in located) {
        return located.then((found) => {
          this.#place(pending, item, found);
        }, failed);
      }
      this.#place(pending, item, located);
    } catch (error) {
      failed(error);
    }
    return undefined;
  }

  #place(pending: PendingCommand, item: QueuedCommand, partitions: readonly number[]): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    // After a change of routing EXEC checks the partitions of all keys.
    const isOfNow = queue.routing === this.#context.routed.routing;
    const partition = (isOfNow ? queue.partition : undefined) ?? partitions[0];
    const crossing = partitions.findIndex((one) => one !== partition);
    const key = queue.key ?? item.keys[0];
    const { openQueues } = this.#context.own;
    if (crossing !== -1 && key !== undefined && partition !== undefined) {
      const other = item.keys[crossing] ?? key;
      this.#refuse(pending, crossSlot(key, partition, other, partitions[crossing] ?? 0));
    } else if (!openQueues.add(queue, item, pending.request.raw.length)) {
      this.#refuse(pending, errorReply(USED_UP));
    } else {
      queue.partition = partition;
      queue.key = key && Buffer.from(key);
      pending.done(QUEUED_REPLY);
    }
  }

  #refuse(pending: PendingCommand, reply: Buffer): void {
    this.markDirty();
    pending.done(reply);
  }

  #endQueue(): void {
    if (this.#queue === undefined) return;
    this.#context.own.openQueues.remove(this.#queue);
    this.#queue = undefined;
  }

  #exec(pending: PendingCommand, count: number): Promise<void> | undefined {
    const queue = this.#queue;
    if (count !== 1) {
      const why = "wrong number of arguments for 'exec' command";
      pending.done(errorReply(`EXECABORT Transaction discarded because of: ${why}`));
    } else if (queue === undefined) {
      pending.done(errorReply("ERR EXEC without MULTI"));
      return undefined;
    } else if (queue.isBroken) {
      pending.done(queue.isDropped ? DROPPED : PREVIOUS_ERRORS);
    } else if (this.#watch === undefined && queue.items.length === 0) {
      pending.done(Buffer.from("*0\r\n"));
    } else {
      this.#context.own.openQueues.keep(queue);
      return new Promise((resolve) => {
        this.#client.whenFirst(() => {
          this.#run(pending, queue, resolve);
        });
      });
    }
    this.#endQueue();
    this.#endWatch();
    return undefined;
  }

  #run(pending: PendingCommand, queue: TransactionQueue, over: () => void): void {
    const { own } = this.#context;
    const watch = this.#watch;
    const finish = (reply: Buffer): void => {
      this.#cancel = undefined;
      this.#endQueue();
      this.#endWatch();
      pending.done(reply);
      over();
    };
    const { mismatch } = this.#context.routed;
    if (mismatch !== undefined) {
      finish(errorReply(`TWINEDOWN nothing is routed: ${mismatch}`));
      return;
    }
    // If the client has changed its protocol since WATCH, that connection would reply in the old one.
    const isUnproved =
      watch !== undefined &&
      (watch.connection?.protocol !== pending.protocol ||
        !own.context.mayWrite(watch.connection.partition));
    if (isUnproved) {
      finish(NIL_REPLIES[pending.protocol]);
      return;
    }
    const isRead = queue.items.every((item) => item.isRead);
    const keys = queue.items.flatMap((item) => item.keys);
    const connection = watch?.connection;
    // runTransaction() releases the connection.
    if (watch !== undefined) watch.connection = undefined;
    this.#cancel = runTransaction({
      items: queue.items,
      isRead,
      locate: (done) => {
        locate(keys, this.#context, (located) => {
          if (!isRead && "partition" in located) this.#client.written.note(located.partition);
          done(located);
        });
      },
      protocol: pending.protocol,
      watching: connection,
      pool: own,
      nil: NIL_REPLIES[pending.protocol],
      finish,
    });
  }

  #watchKeys(pending: PendingCommand, count: number): Promise<void> | undefined {
    if (count < 2) {
      pending.done(wrongArity("watch"));
      return undefined;
    }
    const keys = pending.request.args.slice(1).map((key) => Buffer.from(key));
    const command = Buffer.from(pending.request.raw);
    const found = new Promise<readonly number[]>((resolve) => {
      resolve(partitionsOf(keys, this.#context));
    });
    return found.then(
      (partitions) => this.#watchIn(pending, command, keys, partitions),
      (error: unknown) => {
        pending.done(hashFailed(error));
      },
    );
  }

  #watchIn(
    pending: PendingCommand,
    command: Buffer,
    keys: readonly Buffer[],
    partitions: readonly number[],
  ): Promise<void> | undefined {
    const [first = Buffer.alloc(0)] = keys;
    const { routing } = this.#context.routed;
    const isOfNow = this.#watch?.routing === routing;
    const { partition, key } = (isOfNow ? this.#watch : undefined) ?? {
      partition: partitions[0] ?? 0,
      key: first,
    };
    const crossing = partitions.findIndex((one) => one !== partition);
    if (crossing !== -1) {
      pending.done(crossSlot(key, partition, keys[crossing] ?? key, partitions[crossing] ?? 0));
      return undefined;
    }
    return new Promise((resolve) => {
      const finish = (reply: Buffer): void => {
        this.#cancel = undefined;
        pending.done(reply);
        resolve();
      };
      this.#client.whenFirst(() => {
        if (this.#watch === undefined) this.#openWatch(partition, key, command, pending, finish);
        // The WATCH stays lost: EXEC will give nil whatever else is watched.
        else if (this.#watch.connection === undefined) finish(OK_REPLY);
        else this.#askWatch(this.#watch, this.#watch.connection, command, finish);
      });
    });
  }

  #openWatch(
    partition: number,
    key: Buffer,
    command: Buffer,
    pending: PendingCommand,
    finish: (reply: Buffer) => void,
  ): void {
    const { own } = this.#context;
    this.#cancel = own.acquire({
      partition,
      protocol: pending.protocol,
      isRead: false,
      bytes: command.length,
      holdMs: own.context.holdForMs,
      ready: (connection) => {
        const { routing } = this.#context.routed;
        const watch: Watch = { partition, key, connection, routing };
        this.#watch = watch;
        this.#askWatch(watch, connection, command, finish);
      },
      failed: (why) => {
        finish(errorReply(`TWINEDOWN ${why}`));
      },
      // A WATCH in the old partition proves nothing: EXEC will give nil.
      moved: () => {
        const { routing } = this.#context.routed;
        this.#watch = { partition, key, connection: undefined, routing };
        finish(OK_REPLY);
      },
    });
  }

  /** The client's WATCH always gets OK, also when the connection breaks: EXEC then gives nil. */
  #askWatch(
    watch: Watch,
    connection: DedicatedConnection,
    command: Buffer,
    finish: (reply: Buffer) => void,
  ): void {
    let isAnswered = false;
    const answer = (reply: Buffer): void => {
      if (isAnswered) return;
      isAnswered = true;
      finish(reply);
    };
    const lost = (): void => {
      watch.connection = undefined;
      answer(OK_REPLY);
    };
    connection.owner = {
      onBroken: lost,
      onMasterChange: () => {
        this.#context.own.destroy(connection, "its node is not the master any more");
        lost();
      },
    };
    this.#cancel = (): void => {
      isAnswered = true;
    };
    connection.request(command, 1, ([reply = OK_REPLY]) => {
      answer(reply);
    });
  }

  #unwatch(pending: PendingCommand, count: number): void {
    if (count === 1) this.#endWatch();
    pending.done(count === 1 ? OK_REPLY : wrongArity("unwatch"));
  }

  /** Nobody waits for the node's reply to UNWATCH; without it the connection is not used again. */
  #endWatch(): void {
    const connection = this.#watch?.connection;
    this.#watch = undefined;
    if (connection === undefined) return;
    const { own } = this.#context;
    if (connection.hasPendingReplies) {
      own.destroy(connection, "its client is gone");
      return;
    }
    connection.owner = undefined;
    connection.request(UNWATCH, 1, () => {
      own.release(connection);
    });
  }
}

const UNWATCH = Buffer.from("*1\r\n$7\r\nUNWATCH\r\n");
