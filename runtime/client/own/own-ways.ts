// own-ways.ts: what a client does that lanes can't do for it, because it leaves something on its connection: commands that
// wait, WAIT, and subscriptions. Each has a connection of its own for as long as it lasts.
import type { Partitioner } from "../../ports/partitioner.ts";
import type { Decision } from "../../route/decide.ts";
import { SUBSCRIBE_WORDS, UNSUBSCRIBE_WORDS, type Topic } from "../../route/pub-sub-frames.ts";
import { waitError } from "../../route/wait-command.ts";
import { refusal, wrongArity } from "../../route/wire-errors.ts";
import { WrittenPartitions } from "../../route/written-partitions.ts";
import type { LaneContext } from "../lane-context.ts";
import type { Lanes } from "../lanes.ts";
import { strayReply, withPlaces } from "../places.ts";
import { commandRequest, type Errand, type TakeReply } from "../request.ts";
import { BlockingCall, CLIENT_CLOSED } from "./blocking-call.ts";
import { OwnConnectionPool } from "./pool.ts";
import { leave, Precedence } from "./precedence.ts";
import type { TakeMessage } from "./subscription-link.ts";
import { Subscriptions } from "./subscriptions.ts";
import { WaitCall } from "./wait-call.ts";

export interface OwnWaysOptions {
  readonly context: LaneContext;
  readonly partitioner: Partitioner;
  readonly lanes: Lanes;
  readonly onMessage: TakeMessage;
}

/** Something that waits at a node. */
interface Call {
  start(): void;
  /** Ends it as soon as that loses nothing. */
  leave(): void;
  /** Ends it now. */
  close(): void;
}

type Blocking = Extract<Decision, { kind: "blocking" }>;

const TOPICS: ReadonlyMap<string, readonly [topic: Topic, isSubscribe: boolean]> = new Map(
  (["channel", "pattern", "shard"] as const).flatMap((topic): [string, [Topic, boolean]][] => [
    [SUBSCRIBE_WORDS[topic], [topic, true]],
    [UNSUBSCRIBE_WORDS[topic], [topic, false]],
  ]),
);

/** Commands that mean something to one connection only, and what to do instead. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ...["watch", "unwatch"].map((name): [string, string] => [
    name,
    "callers share this client; use client.isolated(key, async (one) => { await one.watch(key); " +
      "return one.multi().set(key, 1).exec(); })",
  ]),
  ...["multi", "exec", "discard"].map((name): [string, string] => [
    name,
    "begin a transaction with the client's multi() and end it with exec()",
  ]),
]);

export class OwnWays {
  readonly #options: OwnWaysOptions;
  readonly #pool: OwnConnectionPool;
  readonly #written: WrittenPartitions;
  readonly #precedences: readonly Precedence[];
  readonly #subscriptions: Subscriptions;
  readonly #calls = new Set<Call>();
  #isLeaving = false;

  constructor(options: OwnWaysOptions) {
    this.#options = options;
    this.#pool = new OwnConnectionPool(options.context);
    this.#written = new WrittenPartitions(this.#pool.terms);
    this.#precedences = Array.from(this.#pool.terms, () => new Precedence());
    this.#subscriptions = new Subscriptions(this.#pool, options.onMessage);
  }

  /** Something is asked of a partition over a lane. Gives what its reply must be handed to. */
  asked(partition: number, isRead: boolean, done: TakeReply): TakeReply {
    if (!isRead) this.#written.note(partition);
    const group = this.precedenceOf(partition).enter();
    return (reply) => {
      done(reply);
      leave(group);
    };
  }

  precedenceOf(partition: number): Precedence {
    return this.#precedences[partition] ?? new Precedence();
  }

  /** A command that only this can do; every other one is refused by name. Undefined when the next one may follow at once. */
  take(errand: Errand, decision: Decision): Promise<void> | undefined {
    const { args, done } = errand;
    const name = args[0]?.toString("latin1").toLowerCase() ?? "";
    if (this.#isLeaving) done(CLIENT_CLOSED);
    else if (decision.kind === "blocking") return this.#block(errand, decision);
    else if (name === "wait" || name === "waitaof") this.#wait(errand);
    else {
      const [topic, isSubscribe] = TOPICS.get(name) ?? [];
      if (topic !== undefined) return this.#subscribe(errand, name, topic, isSubscribe === true);
      done(refusal(name, INSTEAD.get(name) ?? "the client library does not carry it"));
    }
    return undefined;
  }

  /** Nothing new is taken, and what waits at nodes is ended as soon as that loses nothing. */
  leave(): void {
    this.#isLeaving = true;
    for (const call of [...this.#calls]) call.leave();
  }

  close(): void {
    this.#isLeaving = true;
    for (const call of [...this.#calls]) call.close();
    this.#subscriptions.close();
    this.#pool.close();
  }

  #block({ args, done }: Errand, decision: Blocking): Promise<void> | undefined {
    const keys = decision.keys.flatMap((index) => args[index] ?? []);
    const { partitioner, lanes, context } = this.#options;
    const begin = (places: readonly number[]): void => {
      const [partition = 0] = places;
      const stray = strayReply(keys, places);
      if (stray !== undefined) {
        done(stray);
        return;
      }
      const { isRead } = decision;
      const askMaster = (words: readonly string[], take: TakeReply): void => {
        const facts = { isRead: true, keys: [], sinceMs: context.clock.nowMs() };
        const buffers = words.map((word) => Buffer.from(word));
        lanes.master(partition).submit(commandRequest(buffers, facts, take));
      };
      if (!isRead) this.#written.note(partition);
      const call = new BlockingCall({
        ...{ args, partition, isRead, pool: this.#pool, askMaster },
        finish: (reply) => {
          this.#calls.delete(call);
          done(reply);
        },
      });
      this.#calls.add(call);
      this.precedenceOf(partition).afterAll(() => {
        call.start();
      });
    };
    return withPlaces(keys, partitioner, begin, done);
  }

  #wait({ args, done }: Errand): void {
    const wrong = waitError(args);
    if (wrong !== undefined) {
      done(wrong);
      return;
    }
    const call = new WaitCall({
      ...{ args, ...this.#written.forWait(), pool: this.#pool },
      precedenceOf: (partition) => this.precedenceOf(partition),
      finish: (reply) => {
        this.#calls.delete(call);
        done(reply);
      },
    });
    this.#calls.add(call);
    call.start();
  }

  #subscribe(
    { args, done }: Errand,
    word: string,
    topic: Topic,
    isSubscribe: boolean,
  ): Promise<void> | undefined {
    const channels = args.slice(1);
    const names = channels.map((channel) => channel.toString("latin1"));
    if (!isSubscribe) {
      this.#subscriptions.unsubscribe(topic, names, done);
      return undefined;
    }
    if (names.length === 0) {
      done(wrongArity(word));
      return undefined;
    }
    const begin = (places: readonly number[]): void => {
      this.#subscriptions.subscribe(topic, names, places, done);
    };
    return withPlaces(channels, this.#options.partitioner, begin, done);
  }
}
