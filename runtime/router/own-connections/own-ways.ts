// own-ways.ts: what one client does that lanes can't do for it: transactions, blocking commands, WAIT and
// subscriptions. A client has one of these from its first such command on; all others don't pay for it.
import { errorReply } from "../../resp/encode.ts";
import { decide } from "../../route/decide.ts";
import { isOwnName } from "../../route/policy.ts";
import { crossSlot } from "../../route/wire-errors.ts";
import { waitError } from "../../route/wait-command.ts";
import { runBlocking } from "./blocking.ts";
import { dispatch, type Errand } from "../dispatch/dispatch.ts";
import { partitionsOf, type OwnClient, type OwnContext } from "./own-client.ts";
import { runWait } from "./wait.ts";
import { isSubscriptionCommand, PubSub } from "./pub-sub.ts";
import { Transaction } from "./transaction.ts";

const TRANSACTION: ReadonlySet<string> = new Set(["multi", "exec", "discard", "watch", "unwatch"]);

/** What is left by a command that the session answers. */
export const LEAVES: ReadonlySet<string> = new Set(["reset", "quit"]);

export class OwnWays {
  readonly #client: OwnClient;
  readonly #context: OwnContext;
  /** From the first command on that needs them. */
  #transaction: Transaction | undefined;
  #pubSub: PubSub | undefined;
  /** Ends what waits at a node. */
  #cancel: (() => void) | undefined;

  constructor(client: OwnClient, context: OwnContext) {
    this.#client = client;
    this.#context = context;
  }

  /** Commands of every kind come here: between MULTI and EXEC, and while subscribed with RESP2. */
  get takesAll(): boolean {
    if (this.#transaction?.isQueueing === true) return true;
    return this.isSubscribed && this.#client.protocol === 2;
  }

  get isSubscribed(): boolean {
    return this.#pubSub?.isSubscribed === true;
  }

  /** A command waits at a node: the client's leaving ends that. */
  get isWaiting(): boolean {
    return this.#cancel !== undefined;
  }

  /** Any command; `refused` is what its user is told who may not use it. What needs no connection of its own goes through
      dispatch.ts. Undefined when the client's next one may follow at once; otherwise resolves when it may. */
  dispatch(name: string, errand: Errand, refused: Buffer | undefined): Promise<void> | undefined {
    if (refused !== undefined) {
      this.#transaction?.spoil();
      errand.done(refused);
      return undefined;
    }
    const { table } = this.#context.commands;
    const isOwn = isOwnName(name) || table?.get(name)?.flags.has("blocking") === true;
    if (isOwn || this.takesAll) return this.#take(name, errand);
    return dispatch(errand, this.#context);
  }

  #take(name: string, errand: Errand): Promise<void> | undefined {
    const isQueueing = this.#transaction?.isQueueing === true;
    if (isQueueing || TRANSACTION.has(name)) {
      this.#transaction ??= new Transaction(this.#client, this.#context);
      // A subscribed client of RESP2 may not begin one.
      if (isQueueing || !this.takesAll) return this.#transaction.take(name, errand);
    }
    if (this.takesAll || isSubscriptionCommand(name)) {
      this.#pubSub ??= new PubSub(this.#client, this.#context);
      return this.#pubSub.take(name, errand);
    }
    return this.#waiting(errand);
  }

  /** Its user may write no more: what is queued must not be executed. */
  spoil(): void {
    this.#transaction?.spoil();
  }

  /** The client is gone, or begins anew. */
  leave(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#transaction?.leave();
    this.#pubSub?.leave();
  }

  /** WAIT and the blocking commands. */
  #waiting(errand: Errand): Promise<void> | undefined {
    const { commands, partitions, hashTag, viewSource } = this.#context;
    const { table } = commands;
    const clash = viewSource.clash();
    const { args } = errand.request;
    if (table === undefined || clash !== undefined) return dispatch(errand, this.#context);
    const decision = decide(args, { table, partitions, hashTag });
    if (decision.kind === "blocking") {
      const keys = decision.keys.flatMap((index) => args[index] ?? []);
      return this.#block(errand, keys, decision.isRead);
    }
    if (decision.kind !== "own") return dispatch(errand, this.#context);
    const wrong = waitError(args);
    if (wrong === undefined) return this.#wait(errand);
    errand.done(wrong);
    return undefined;
  }

  #wait(errand: Errand): Promise<void> {
    const { own } = this.#context;
    return this.#whenFirst(errand, (request, finish) => {
      const { partitions, hasLost } = this.#client.written.forWait();
      const { protocol } = errand;
      return runWait({ ...request, partitions, hasLost, protocol, pool: own, finish });
    });
  }

  #block(errand: Errand, keys: readonly Buffer[], isRead: boolean): Promise<void> {
    const places = new Promise<readonly number[]>((resolve) => {
      resolve(partitionsOf(keys, this.#context));
    });
    return places.then(
      (found) => this.#blockAt(errand, keys, found, isRead),
      (error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        errand.done(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
      },
    );
  }

  #blockAt(
    errand: Errand,
    keys: readonly Buffer[],
    places: readonly number[],
    isRead: boolean,
  ): Promise<void> | undefined {
    const [partition = 0] = places;
    const stray = places.findIndex((place) => place !== partition);
    if (stray !== -1) {
      const [key = Buffer.alloc(0)] = keys;
      errand.done(crossSlot(key, partition, keys[stray] ?? key, places[stray] ?? 0));
      return undefined;
    }
    const { own } = this.#context;
    return this.#whenFirst(errand, (request, finish) => {
      if (!isRead) this.#client.written.note(partition);
      const { protocol } = errand;
      return runBlocking({ ...request, partition, isRead, protocol, pool: own, finish });
    });
  }

  /** Begins `run` when everything before it was executed. It gives the function that ends it. */
  #whenFirst(
    errand: Errand,
    run: (request: Errand["request"], finish: (reply: Buffer) => void) => () => void,
  ): Promise<void> {
    const args = errand.request.args.map((arg) => Buffer.from(arg));
    const raw = Buffer.from(errand.request.raw);
    return new Promise((resolve) => {
      this.#client.whenFirst(() => {
        const state = { isOver: false };
        const cancel = run({ args, raw }, (reply) => {
          state.isOver = true;
          this.#cancel = undefined;
          errand.done(reply);
          resolve();
        });
        if (!state.isOver) this.#cancel = cancel;
      });
    });
  }
}
