// transaction.ts: MULTI, EXEC, DISCARD, WATCH and UNWATCH of one client.
//
//   WATCH a      -> a connection of the client's own to a's partition, kept until EXEC, DISCARD or UNWATCH
//   MULTI ... -> queued here, nothing is sent (transaction-queue.ts)
//   EXEC         -> MULTI ... EXEC in one write, on the watching connection or on any of the pool (transaction-run.ts)
//
// Invariants: all keys of a transaction lie in one partition, the first one's; a transaction with a WATCH runs on the
// connection that watches, or not at all: when that broke, or its node is no longer the master, EXEC gives nil, because
// whether the keys changed can't be proved any more.
// https://redis.io/docs/latest/develop/using-commands/transactions/
import { errorReply, OK_REPLY, type Protocol } from "../../resp/encode.ts";
import { crossSlot, wrongArity } from "../../route/wire-errors.ts";
import type { Errand } from "../dispatch/dispatch.ts";
import type { OwnConnection } from "./connection.ts";
import { partitionsOf, type OwnClient, type OwnContext } from "./own-client.ts";
import { queueCommand, type QueuedCommand } from "./transaction-queue.ts";
import { runTransaction } from "./transaction-run.ts";

const QUEUED_REPLY = Buffer.from("+QUEUED\r\n");
const PREVIOUS_ERRORS = errorReply("EXECABORT Transaction discarded because of previous errors.");
const NIL_REPLIES: Readonly<Record<Protocol, Buffer>> = {
  2: Buffer.from("*-1\r\n"),
  3: Buffer.from("_\r\n"),
};

interface Watch {
  readonly partition: number;
  /** The first key, for errors. */
  readonly key: Buffer;
  /** Undefined when it is lost. */
  connection: OwnConnection | undefined;
}

interface Queue {
  readonly items: QueuedCommand[];
  bytes: number;
  partition: number | undefined;
  key: Buffer | undefined;
  /** Some command was refused: EXEC executes nothing. */
  isBroken: boolean;
}

export class Transaction {
  readonly #client: OwnClient;
  readonly #context: OwnContext;
  #watch: Watch | undefined;
  #queue: Queue | undefined;
  /** Takes back what is under way. */
  #cancel: (() => void) | undefined;

  constructor(client: OwnClient, context: OwnContext) {
    this.#client = client;
    this.#context = context;
  }

  /** Between MULTI and EXEC. */
  get isQueueing(): boolean {
    return this.#queue !== undefined;
  }

  /** MULTI, EXEC, DISCARD, WATCH, UNWATCH, and while queueing every other command. As dispatch(): undefined when the next
      command may follow at once. */
  take(name: string, errand: Errand): Promise<void> | undefined {
    const count = errand.request.args.length;
    switch (name) {
      case "multi":
        this.#multi(errand, count);
        return undefined;
      case "discard":
        this.#discard(errand, count);
        return undefined;
      case "exec":
        return this.#exec(errand, count);
      case "watch":
        if (this.#queue === undefined) return this.#watchKeys(errand, count);
        errand.done(errorReply("ERR WATCH inside MULTI is not allowed"));
        return undefined;
      case "unwatch":
        if (this.#queue !== undefined) return this.#add(errand);
        this.#unwatch(errand, count);
        return undefined;
      default:
        return this.#add(errand);
    }
  }

  /** A command was refused elsewhere: EXEC executes nothing. */
  spoil(): void {
    if (this.#queue !== undefined) this.#queue.isBroken = true;
  }

  /** The client is gone, or begins anew: nothing stays. */
  leave(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#endQueue();
    this.#endWatch();
  }

  #multi(errand: Errand, count: number): void {
    if (count !== 1) {
      errand.done(wrongArity("multi"));
    } else if (this.#queue !== undefined) {
      errand.done(errorReply("ERR MULTI calls can not be nested"));
    } else {
      const { partition, key } = this.#watch ?? {};
      this.#queue = { items: [], bytes: 0, partition, key, isBroken: false };
      errand.done(OK_REPLY);
    }
  }

  #discard(errand: Errand, count: number): void {
    if (count !== 1) {
      errand.done(wrongArity("discard"));
      this.spoil();
    } else if (this.#queue === undefined) {
      errand.done(errorReply("ERR DISCARD without MULTI"));
    } else {
      this.#endQueue();
      this.#endWatch();
      errand.done(OK_REPLY);
    }
  }

  #add(errand: Errand): Promise<void> | undefined {
    const { table } = this.#context.commands;
    const { partitions, hashTag } = this.#context;
    if (table === undefined) {
      this.#refuse(errand, errorReply("TWINEDOWN no data node has told its commands"));
      return undefined;
    }
    const queueing = queueCommand(errand.request, { table, partitions, hashTag });
    if (queueing.kind === "refused") {
      this.#refuse(errand, queueing.reply);
      return undefined;
    }
    const { item } = queueing;
    const failed = (error: unknown): void => {
      this.#refuse(errand, hashFailed(error));
    };
    try {
      const places = partitionsOf(item.keys, this.#context);
      if ("then" in places) {
        return places.then((found) => {
          this.#place(errand, item, found);
        }, failed);
      }
      this.#place(errand, item, places);
    } catch (error) {
      failed(error);
    }
    return undefined;
  }

  #place(errand: Errand, item: QueuedCommand, places: readonly number[]): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    const partition = queue.partition ?? places[0];
    const stray = places.findIndex((place) => place !== partition);
    const key = queue.key ?? item.keys[0];
    const bytes = errand.request.raw.length;
    const { context } = this.#context.own;
    if (stray !== -1 && key !== undefined && partition !== undefined) {
      const other = item.keys[stray] ?? key;
      this.#refuse(errand, crossSlot(key, partition, other, places[stray] ?? 0));
    } else if (context.heldBytes + bytes > context.holdBytesMax) {
      this.#refuse(errand, errorReply("OOM twine: hold-bytes is used up"));
    } else {
      context.heldBytes += bytes;
      queue.bytes += bytes;
      // What was received with it is not kept for its sake.
      queue.items.push({ ...item, command: item.command && Buffer.from(item.command) });
      queue.partition = partition;
      queue.key = key && Buffer.from(key);
      errand.done(QUEUED_REPLY);
    }
  }

  #refuse(errand: Errand, reply: Buffer): void {
    this.spoil();
    errand.done(reply);
  }

  #endQueue(): void {
    if (this.#queue === undefined) return;
    this.#context.own.context.heldBytes -= this.#queue.bytes;
    this.#queue = undefined;
  }

  #exec(errand: Errand, count: number): Promise<void> | undefined {
    const queue = this.#queue;
    if (count !== 1) {
      const why = "wrong number of arguments for 'exec' command";
      errand.done(errorReply(`EXECABORT Transaction discarded because of: ${why}`));
    } else if (queue === undefined) {
      errand.done(errorReply("ERR EXEC without MULTI"));
      return undefined;
    } else if (queue.isBroken) {
      errand.done(PREVIOUS_ERRORS);
    } else if (this.#watch === undefined && queue.items.length === 0) {
      errand.done(Buffer.from("*0\r\n"));
    } else {
      return new Promise((resolve) => {
        this.#client.whenFirst(() => {
          this.#run(errand, queue, resolve);
        });
      });
    }
    this.#endQueue();
    this.#endWatch();
    return undefined;
  }

  #run(errand: Errand, queue: Queue, over: () => void): void {
    const { own } = this.#context;
    const watch = this.#watch;
    const finish = (reply: Buffer): void => {
      this.#cancel = undefined;
      this.#endQueue();
      this.#endWatch();
      errand.done(reply);
      over();
    };
    const clash = this.#context.viewSource.clash();
    if (clash !== undefined) {
      finish(errorReply(`TWINEDOWN nothing is routed: ${clash}`));
      return;
    }
    // A client that has changed its protocol since wants the replies in the new one, which that connection doesn't speak.
    const isUnproved =
      watch !== undefined &&
      (watch.connection?.protocol !== errand.protocol || !own.context.isConfirmed());
    if (isUnproved) {
      finish(NIL_REPLIES[errand.protocol]);
      return;
    }
    const partition = queue.partition ?? own.anyMaster();
    const isRead = queue.items.every((item) => item.isRead);
    if (!isRead) this.#client.written.note(partition);
    const connection = watch?.connection;
    // From here on the run holds the connection, and gives it back.
    if (watch !== undefined) watch.connection = undefined;
    this.#cancel = runTransaction({
      items: queue.items,
      partition,
      isRead,
      protocol: errand.protocol,
      watching: connection,
      pool: own,
      nil: NIL_REPLIES[errand.protocol],
      finish,
    });
  }

  #watchKeys(errand: Errand, count: number): Promise<void> | undefined {
    if (count < 2) {
      errand.done(wrongArity("watch"));
      return undefined;
    }
    const keys = errand.request.args.slice(1).map((key) => Buffer.from(key));
    const command = Buffer.from(errand.request.raw);
    const found = new Promise<readonly number[]>((resolve) => {
      resolve(partitionsOf(keys, this.#context));
    });
    return found.then(
      (places) => this.#watchPlaces(errand, command, keys, places),
      (error: unknown) => {
        errand.done(hashFailed(error));
      },
    );
  }

  #watchPlaces(
    errand: Errand,
    command: Buffer,
    keys: readonly Buffer[],
    places: readonly number[],
  ): Promise<void> | undefined {
    const [first = Buffer.alloc(0)] = keys;
    const { partition, key } = this.#watch ?? { partition: places[0] ?? 0, key: first };
    const stray = places.findIndex((place) => place !== partition);
    if (stray !== -1) {
      errand.done(crossSlot(key, partition, keys[stray] ?? key, places[stray] ?? 0));
      return undefined;
    }
    return new Promise((resolve) => {
      const finish = (reply: Buffer): void => {
        this.#cancel = undefined;
        errand.done(reply);
        resolve();
      };
      this.#client.whenFirst(() => {
        if (this.#watch === undefined) this.#openWatch(partition, key, command, errand, finish);
        // A lost one stays lost: EXEC will give nil whatever else is watched.
        else if (this.#watch.connection === undefined) finish(OK_REPLY);
        else this.#askWatch(this.#watch, this.#watch.connection, command, finish);
      });
    });
  }

  #openWatch(
    partition: number,
    key: Buffer,
    command: Buffer,
    errand: Errand,
    finish: (reply: Buffer) => void,
  ): void {
    const { own } = this.#context;
    this.#cancel = own.take({
      partition,
      protocol: errand.protocol,
      isRead: false,
      bytes: command.length,
      holdMs: own.context.holdForMs,
      ready: (connection) => {
        const watch: Watch = { partition, key, connection };
        this.#watch = watch;
        this.#askWatch(watch, connection, command, finish);
      },
      failed: (why) => {
        finish(errorReply(`TWINEDOWN ${why}`));
      },
    });
  }

  /** Whatever becomes of the connection, the client's WATCH is answered: what is lost shows at EXEC. */
  #askWatch(
    watch: Watch,
    connection: OwnConnection,
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
    connection.holder = {
      broken: lost,
      masterGone: () => {
        this.#context.own.end(connection, "its node is not the master any more");
        lost();
      },
    };
    this.#cancel = (): void => {
      isAnswered = true;
    };
    connection.ask(command, 1, ([reply = OK_REPLY]) => {
      answer(reply);
    });
  }

  #unwatch(errand: Errand, count: number): void {
    if (count === 1) this.#endWatch();
    errand.done(count === 1 ? OK_REPLY : wrongArity("unwatch"));
  }

  /** Nobody hears of the node's reply: without it the connection just isn't lent again. */
  #endWatch(): void {
    const connection = this.#watch?.connection;
    this.#watch = undefined;
    if (connection === undefined) return;
    const { own } = this.#context;
    if (connection.isAsking) {
      own.end(connection, "its client is gone");
      return;
    }
    connection.holder = undefined;
    connection.ask(UNWATCH, 1, () => {
      own.give(connection);
    });
  }
}

const UNWATCH = Buffer.from("*1\r\n$7\r\nUNWATCH\r\n");

function hashFailed(error: unknown): Buffer {
  const why = error instanceof Error ? error.message : String(error);
  return errorReply(`ERR twine: the hash of twine.conf failed: ${why}`);
}
