// isolated-client.ts: the typed commands on a connection that one caller has for itself, in one partition: WATCH, and the
// transactions that it guards.
//
//   isolated(key, task) -> lend a lane of the key's partition -> task(one) -> UNWATCH if need be -> release
//
// Every command goes over that lane, in order, to the master; its keys must lie in the same partition. A command is held
// and repeated by the rules of all lanes; what is watched doesn't survive a lost connection, and watch.ts sees to that.
import type { Partitioner } from "../../ports/partitioner.ts";
import type { CommandTable } from "../../route/command-table.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { isError } from "../../route/split.ts";
import { refusal } from "../../route/wire-errors.ts";
import { TwineError } from "../../core/errors.ts";
import {
  beginPipeline,
  beginTransaction,
  type ChainCommands,
  type ChainSender,
  type CommandChain,
  type MultiOptions,
} from "../command-chain.ts";
import { leave, Precedence } from "../own/precedence.ts";
import { strayReply, withPlaces } from "../places.ts";
import { commandRequest, transactionRequest, type TakeReply } from "../request.ts";
import { examineTransaction, keyIndices } from "../transaction.ts";
import { errorFromText, TypedCommands, type TypedCommand } from "../typed-commands.ts";
import type { IsolatedLane } from "./isolated-lanes.ts";
import { WatchPeriod } from "./watch.ts";

export interface IsolationOptions {
  /** The key whose partition it is. */
  readonly key: Buffer;
  readonly lane: IsolatedLane;
  readonly table: CommandTable;
  readonly partitioner: Partitioner;
  readonly partitionCount: number;
  readonly nowMs: () => number;
  /** Notes what is asked; gives what its reply must be handed to. */
  readonly asked: (isRead: boolean, done: TakeReply) => TakeReply;
  readonly release: (lane: IsolatedLane) => void;
}

const NIL = Buffer.from("*-1\r\n");
const UNWATCH = [Buffer.from("UNWATCH")];
const ELSEWHERE = "an isolated function has one partition; call it on the client itself";

export class IsolatedClient extends TypedCommands {
  readonly #options: IsolationOptions;
  readonly #inside = new Precedence();
  readonly #guarded = new Set<WatchPeriod>();
  #watch = new WatchPeriod();
  readonly #tasks: (() => Promise<void> | undefined)[] = [];
  #isBusy = false;
  #isOver = false;

  constructor(options: IsolationOptions) {
    super();
    this.#options = options;
    options.lane.onLost = () => {
      for (const watch of [this.#watch, ...this.#guarded]) watch.lose();
    };
  }

  /** Commands gathered until exec(), sent together. */
  pipeline(commands?: ChainCommands): CommandChain {
    return beginPipeline(this, this.#sender, commands);
  }

  /** Commands gathered until exec(), executed as one transaction; exec() gives null when a watched key changed, or when it
      can't be known that none did. */
  multi(commands?: ChainCommands | MultiOptions, options?: MultiOptions): CommandChain {
    return beginTransaction(this, this.#sender, commands, options);
  }

  /** Takes no more commands, and gives the connection back when all are answered. */
  end(): void {
    this.#isOver = true;
    this.#inOrder(() => {
      if (this.#watch.isBegun) this.#unwatch(() => undefined);
      this.#inside.afterAll(() => {
        this.#options.release(this.#options.lane);
      });
      return undefined;
    });
  }

  protected override perform(command: TypedCommand): void {
    if (this.#isOver) {
      command.fail(overError());
      return;
    }
    const group = this.#inside.enter();
    const done = (reply: Buffer): void => {
      command.take(reply);
      leave(group);
    };
    this.#inOrder(() => this.#dispatch(command.args, done));
  }

  readonly #sender: ChainSender = {
    pipeline: (commands) => {
      for (const command of commands) this.perform(command);
    },
    transaction: (commands) =>
      new Promise((resolve, reject) => {
        if (this.#isOver) {
          reject(overError());
          return;
        }
        const group = this.#inside.enter();
        const done = (reply: Buffer): void => {
          if (isError(reply)) reject(errorFromText(reply.toString("utf8", 1, reply.length - 2)));
          else resolve(reply);
          leave(group);
        };
        this.#inOrder(() => this.#transact(commands, done));
      }),
  };

  /** A hash that answers later must not let the next command overtake. */
  #inOrder(task: () => Promise<void> | undefined): void {
    this.#tasks.push(task);
    this.#drain();
  }

  #drain(): void {
    while (!this.#isBusy) {
      const task = this.#tasks.shift();
      if (task === undefined) return;
      const later = task();
      if (later === undefined) continue;
      this.#isBusy = true;
      void later.finally(() => {
        this.#isBusy = false;
        this.#drain();
      });
    }
  }

  #dispatch(args: readonly Buffer[], done: TakeReply): Promise<void> | undefined {
    const { table, partitionCount } = this.#options;
    const name = args[0]?.toString("latin1").toLowerCase() ?? "";
    if (name === "watch") return this.#watchKeys(args, done);
    if (name === "unwatch") {
      this.#unwatch(done);
      return undefined;
    }
    const decision = decide(args, { table, partitions: partitionCount });
    if (decision.kind === "reply") done(decision.reply);
    else if (decision.kind === "any") this.#submit(args, true, done, decision.command);
    else if (decision.kind === "forward" || decision.kind === "split") {
      return this.#byKeys(args, decision, done);
    } else done(refusal(name, ELSEWHERE));
    return undefined;
  }

  #byKeys(
    args: readonly Buffer[],
    decision: Extract<Decision, { kind: "forward" | "split" }>,
    done: TakeReply,
  ): Promise<void> | undefined {
    const keys = (keyIndices(args, decision) ?? []).flatMap((index) => args[index] ?? []);
    return this.#whenHere(keys, done, () => {
      this.#submit(args, decision.isRead, done);
    });
  }

  #watchKeys(args: readonly Buffer[], done: TakeReply): Promise<void> | undefined {
    return this.#whenHere(args.slice(1), done, () => {
      this.#watch.begin();
      this.#submit(args, true, done);
    });
  }

  #unwatch(done: TakeReply): void {
    this.#watch = new WatchPeriod();
    this.#submit(UNWATCH, true, done);
  }

  #transact(commands: readonly (readonly Buffer[])[], done: TakeReply): Promise<void> | undefined {
    const { table, partitionCount, lane, asked, nowMs } = this.#options;
    const examined = examineTransaction(commands, { table, partitions: partitionCount });
    if (examined.refused !== undefined) {
      done(examined.refused);
      return undefined;
    }
    const { keys, isRead } = examined;
    return this.#whenHere(keys, done, () => {
      const facts = { isRead, keys: undefined, sinceMs: nowMs() };
      const watch = this.#watch;
      const take = asked(isRead, (reply) => {
        this.#guarded.delete(watch);
        done(reply);
      });
      const leaves = watch.isBegun
        ? (): boolean => {
            if (watch.spend()) return true;
            take(NIL);
            return false;
          }
        : undefined;
      // EXEC ends what was watched, whatever becomes of it.
      this.#guarded.add(watch);
      this.#watch = new WatchPeriod();
      lane.submit(transactionRequest(commands, facts, take, leaves));
    });
  }

  /** All keys lie in this partition, or `done` gets the error. */
  #whenHere(keys: readonly Buffer[], done: TakeReply, go: () => void): Promise<void> | undefined {
    const { key, partitioner, lane } = this.#options;
    const check = (places: readonly number[]): void => {
      const stray = strayReply([key, ...keys], [lane.partition, ...places]);
      if (stray === undefined) go();
      else done(stray);
    };
    return withPlaces(keys, partitioner, check, done);
  }

  /** Every one concerns every key: on its own lane nothing overtakes anything. */
  #submit(args: readonly Buffer[], isRead: boolean, done: TakeReply, bytes?: Buffer): void {
    const { lane, asked, nowMs } = this.#options;
    const facts = { isRead, keys: undefined, sinceMs: nowMs() };
    lane.submit(commandRequest(args, facts, asked(isRead, done), bytes));
  }
}

function overError(): TwineError {
  return new TwineError({
    code: "ISOLATION_OVER",
    message: "the function that isolated() was given has ended, and its connection is given back",
    remedy: "await every command inside of it",
  });
}
