// dedicated-connections.ts: runs those commands of one client that can't use the shared pipelines: transactions, blocking
// commands, WAIT and subscriptions. It is made at the client's first such command, so other clients cost nothing.
import { decide } from "../../route/decide.ts";
import { isOwnName } from "../../route/commands/policy.ts";
import { waitError } from "../../route/session/wait-command.ts";
import { runBlocking } from "./blocking.ts";
import { dispatch } from "../dispatch/dispatch.ts";
import type { PendingCommand } from "../dispatch/pending-command.ts";
import { locate, type DedicatedClient, type DedicatedContext } from "./dedicated-client.ts";
import { runWait } from "./wait.ts";
import { isSubscriptionCommand, PubSub } from "./pub-sub.ts";
import { Transaction } from "./transaction.ts";

const TRANSACTION: ReadonlySet<string> = new Set(["multi", "exec", "discard", "watch", "unwatch"]);

/** Session commands that also end transactions and subscriptions. */
export const LEAVES: ReadonlySet<string> = new Set(["reset", "quit"]);

export class DedicatedConnections {
  readonly #client: DedicatedClient;
  readonly #context: DedicatedContext;
  /** Made by the first command that needs it. */
  #transaction: Transaction | undefined;
  #pubSub: PubSub | undefined;
  /** Cancels the command that is blocked at a node. */
  #cancel: (() => void) | undefined;
  /** Unblocks the blocking command without losing an element. */
  #unblock: (() => void) | undefined;
  #isLeaving = false;

  /** `hasLostWatch`: the program had a WATCH on an earlier stream, which can't be proved valid any more. */
  constructor(client: DedicatedClient, context: DedicatedContext, hasLostWatch = false) {
    this.#client = client;
    this.#context = context;
    if (!hasLostWatch) return;
    const lost = { partition: 0, key: Buffer.alloc(0), routing: undefined, connection: undefined };
    this.#transaction = new Transaction(client, context, lost);
  }

  /** All commands are dispatched here: between MULTI and EXEC, and while subscribed with RESP2. */
  get takesAll(): boolean {
    if (this.#transaction?.isQueueing === true) return true;
    return this.isSubscribed && this.#client.protocol === 2;
  }

  get isWatching(): boolean {
    return this.#transaction?.isWatching === true;
  }

  get isSubscribed(): boolean {
    return this.#pubSub?.isSubscribed === true;
  }

  /** A command is blocked at a node; a disconnect cancels it. */
  get isWaiting(): boolean {
    return this.#cancel !== undefined;
  }

  /** Takes any command; `refused` is the ACL's error, if any. Commands that need no dedicated connection go to dispatch.ts.
      Returns undefined when the client's next command may follow at once; otherwise a promise that resolves when it may. */
  dispatch(
    name: string,
    pending: PendingCommand,
    refused: Buffer | undefined,
  ): Promise<void> | undefined {
    if (refused !== undefined) {
      this.#transaction?.markDirty();
      pending.done(refused);
      return undefined;
    }
    const { table } = this.#context.commands;
    const isOwn = isOwnName(name) || table?.get(name)?.flags.has("blocking") === true;
    if (isOwn || this.takesAll) return this.#take(name, pending);
    const readsMaster = this.isWatching;
    return dispatch(readsMaster ? { ...pending, readsMaster } : pending, this.#context);
  }

  #take(name: string, pending: PendingCommand): Promise<void> | undefined {
    const isQueueing = this.#transaction?.isQueueing === true;
    if (isQueueing || TRANSACTION.has(name)) {
      this.#transaction ??= new Transaction(this.#client, this.#context);
      // A subscribed RESP2 client may not start a transaction.
      if (isQueueing || !this.takesAll) return this.#transaction.take(name, pending);
    }
    if (this.takesAll || isSubscriptionCommand(name)) {
      this.#pubSub ??= new PubSub(this.#client, this.#context);
      return this.#pubSub.take(name, pending);
    }
    return this.#waiting(pending);
  }

  /** The user has lost rights: EXEC must not execute the queued commands. */
  markDirty(): void {
    this.#transaction?.markDirty();
  }

  /** The client has disconnected or sent RESET. */
  release(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#transaction?.release();
    this.#pubSub?.release();
  }

  /** Ends the blocking command without losing an element; later blocking commands end at once. */
  endWaiting(): void {
    this.#isLeaving = true;
    this.#unblock?.();
  }

  /** WAIT and the blocking commands. */
  #waiting(pending: PendingCommand): Promise<void> | undefined {
    const { commands, routed } = this.#context;
    const { table } = commands;
    const { partitions, hashTag } = routed.routing;
    const { args } = pending.request;
    if (table === undefined || routed.mismatch !== undefined)
      return dispatch(pending, this.#context);
    const decision = decide(args, { table, partitions, hashTag });
    if (decision.kind === "blocking") {
      const keys = decision.keys.flatMap((index) => args[index] ?? []);
      return this.#block(pending, keys, decision.isRead);
    }
    if (decision.kind !== "own") return dispatch(pending, this.#context);
    const wrong = waitError(args);
    if (wrong === undefined) return this.#wait(pending);
    pending.done(wrong);
    return undefined;
  }

  #wait(pending: PendingCommand): Promise<void> {
    const { own } = this.#context;
    return this.#whenFirst(pending, (request, finish) => {
      const { partitions, hasLost } = this.#client.written.forWait();
      const { protocol } = pending;
      return runWait({ ...request, partitions, hasLost, protocol, pool: own, finish });
    });
  }

  #block(
    pending: PendingCommand,
    keys: readonly Buffer[],
    isRead: boolean,
  ): Promise<void> | undefined {
    return new Promise((resolve) => {
      locate(keys, this.#context, (located) => {
        if ("partition" in located) {
          resolve(this.#blockAt(pending, keys, isRead));
          return;
        }
        pending.done(located.refused);
        resolve();
      });
    });
  }

  #blockAt(pending: PendingCommand, keys: readonly Buffer[], isRead: boolean): Promise<void> {
    return this.#whenFirst(pending, (request, finish) => {
      const { protocol } = pending;
      const done = (reply: Buffer): void => {
        this.#unblock = undefined;
        finish(reply);
      };
      const { cancel, unblock } = runBlocking({
        ...request,
        ...{ isRead, protocol, pool: this.#context.own, finish: done },
        locate: (found) => {
          locate(keys, this.#context, (located) => {
            const isWrite = !isRead && "partition" in located;
            if (isWrite) this.#client.written.note(located.partition);
            found(located);
          });
        },
      });
      this.#unblock = unblock;
      if (this.#isLeaving) unblock();
      return cancel;
    });
  }

  /** Starts `run` when all earlier commands were executed. `run` returns the function that cancels it. */
  #whenFirst(
    pending: PendingCommand,
    run: (request: PendingCommand["request"], finish: (reply: Buffer) => void) => () => void,
  ): Promise<void> {
    const args = pending.request.args.map((arg) => Buffer.from(arg));
    const raw = Buffer.from(pending.request.raw);
    return new Promise((resolve) => {
      this.#client.whenFirst(() => {
        const state = { isOver: false };
        const cancel = run({ args, raw }, (reply) => {
          state.isOver = true;
          this.#cancel = undefined;
          pending.done(reply);
          resolve();
        });
        if (!state.isOver) this.#cancel = cancel;
      });
    });
  }
}
