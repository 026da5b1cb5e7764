// wait-call.ts: WAIT and WAITAOF: how many replicas hold what this client wrote, the least of its partitions.
//
//   written in 0 and 2   ->   0: PING, WAIT n t -> 3     2: PING, WAIT n t -> 1     ->   :1
//
// WAIT counts against the offset that the master had at its connection's last command. The client's writes went over lanes,
// where a WAIT would hold up everybody; so it is sent on a connection of its own, when all writes before it are answered,
// and a PING before it takes the offset of that moment. (Without the PING it answers at once with the number of replicas,
// whatever they hold.) A partition whose master changed since the write counts as none.
// https://redis.io/docs/latest/commands/wait/
import { encodeCommand } from "../../resp/encode.ts";
import { countHolders } from "../../route/wait-command.ts";
import type { TakeReply } from "../request.ts";
import { CLIENT_CLOSED } from "./blocking-call.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";
import type { Precedence } from "./precedence.ts";

export interface WaitOptions {
  readonly args: readonly Buffer[];
  readonly partitions: readonly number[];
  /** Something was written under a master that is gone. */
  readonly hasLost: boolean;
  readonly pool: OwnConnectionPool;
  readonly precedenceOf: (partition: number) => Precedence;
  readonly finish: TakeReply;
}

const PING = encodeCommand(["PING"]);

export class WaitCall {
  readonly #options: WaitOptions;
  #end: () => void = () => undefined;
  #isOver = false;

  constructor(options: WaitOptions) {
    this.#options = options;
  }

  start(): void {
    const { args, partitions, hasLost } = this.#options;
    const finish = (reply: Buffer): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#options.finish(reply);
    };
    this.#end = countHolders(
      { args, partitions, hasLost, protocol: 2, finish },
      (partition, done) => this.#ask(partition, done),
    );
  }

  leave(): void {
    this.close();
  }

  /** It changes nothing: it can be ended at any time. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end();
    this.#options.finish(CLIENT_CLOSED);
  }

  /** `done` gets the node's reply, or undefined when nothing can be known there. Gives the function that ends it. */
  #ask(partition: number, done: (reply: Buffer | undefined) => void): () => void {
    const { pool, args, precedenceOf } = this.#options;
    const timeoutMs = Number(args.at(-1)?.toString("latin1") ?? 0);
    const { holdForMs } = pool.context;
    const state: { isOver: boolean; lent: OwnConnection | undefined } = {
      isOver: false,
      lent: undefined,
    };
    let takeBack = (): void => undefined;
    const giveUp = (cause: string): void => {
      if (state.lent !== undefined) pool.end(state.lent, cause, true);
      state.lent = undefined;
      done(undefined);
    };
    const ready = (connection: OwnConnection): void => {
      state.lent = connection;
      connection.holder = {
        broken: giveUp,
        masterGone: () => {
          giveUp("its node is not the master any more");
        },
      };
      connection.ask([PING, encodeCommand(args)], ([, reply]) => {
        state.lent = undefined;
        pool.give(connection);
        done(reply);
      });
    };
    precedenceOf(partition).afterAll(() => {
      if (state.isOver) return;
      takeBack = pool.take({
        ...{ partition, isRead: true, bytes: 0, ready },
        holdMs: timeoutMs === 0 ? holdForMs : Math.min(timeoutMs, holdForMs),
        failed: () => {
          done(undefined);
        },
      });
    });
    return () => {
      state.isOver = true;
      takeBack();
      // It still waits there: only its end makes the node forget it.
      if (state.lent !== undefined) pool.end(state.lent, "nobody waits for it any more", true);
      state.lent = undefined;
    };
  }
}
