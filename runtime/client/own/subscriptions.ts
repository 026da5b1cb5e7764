// subscriptions.ts: what one client is subscribed to, over all partitions.
//
//   subscribe ch    -> the channel's partition: there PUBLISH ch goes too
//   psubscribe c*   -> every partition, for a channel that matches lies in any
//
// A channel whose name begins with __key is what a node says about its own keys (notify-keyspace-events): every partition
// is subscribed. Callers share one client: two may subscribe to one channel at once, and a name that one of them has got
// stays when the other gives up waiting.
// Names are kept as latin1 text, so that every byte survives.
import { errorReply } from "../../resp/encode.ts";
import type { Topic } from "../../route/pub-sub-frames.ts";
import type { TakeReply } from "../request.ts";
import { CLIENT_CLOSED } from "./blocking-call.ts";
import type { OwnConnectionPool } from "./pool.ts";
import { SubscriptionLink, type TakeMessage } from "./subscription-link.ts";

interface Subscription {
  readonly partitions: readonly number[];
  /** Callers that wait for its first confirmation. */
  waiting: number;
  isConfirmed: boolean;
}

/** A caller whose names are not all confirmed. */
interface Waiting {
  readonly topic: Topic;
  readonly names: ReadonlyMap<string, Subscription>;
  readonly end: (refusal: Buffer | undefined) => void;
}

/** By partition, the names that concern it. */
type ByPartition = ReadonlyMap<number, readonly string[]>;

export class Subscriptions {
  readonly #pool: OwnConnectionPool;
  readonly #onMessage: TakeMessage;
  readonly #links = new Map<number, SubscriptionLink>();
  readonly #topics: Readonly<Record<Topic, Map<string, Subscription>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  readonly #waiting = new Set<Waiting>();

  constructor(pool: OwnConnectionPool, onMessage: TakeMessage) {
    this.#pool = pool;
    this.#onMessage = onMessage;
  }

  /** `places` are the partitions of the names, by the hash. Answers with the number of subscriptions when all are confirmed,
      or with an error after hold-for; those names are not subscribed then. */
  subscribe(
    topic: Topic,
    names: readonly string[],
    places: readonly number[],
    done: TakeReply,
  ): void {
    const known = this.#topics[topic];
    const mine = new Map<string, Subscription>();
    names.forEach((name, index) => {
      const before = known.get(name) ?? mine.get(name);
      const partitions = before?.partitions ?? this.#partitionsOf(topic, name, places[index] ?? 0);
      const one = before ?? { partitions, waiting: 0, isConfirmed: false };
      if (!mine.has(name)) one.waiting++;
      mine.set(name, one);
      known.set(name, one);
    });
    const byPartition = spread(mine);
    let left = byPartition.size;
    const end = (refusal: Buffer | undefined): void => {
      if (!this.#waiting.delete(waiting)) return;
      endHold();
      for (const one of mine.values()) {
        one.waiting--;
        one.isConfirmed ||= refusal === undefined;
      }
      if (refusal !== undefined) this.#giveUp(topic, mine);
      done(refusal ?? this.#count(topic));
    };
    const { clock, holdForMs } = this.#pool.context;
    const endHold = clock.after(holdForMs, () => {
      const why = "a partition that must be subscribed has no master that answers";
      end(errorReply(`TWINEDOWN ${why}`));
    });
    const waiting = { topic, names: mine, end };
    this.#waiting.add(waiting);
    for (const [partition, wanted] of byPartition) {
      this.#linkOf(partition).subscribe(topic, wanted, (refusal) => {
        if (refusal !== undefined) end(errorReply(refusal));
        else if (--left === 0) end(undefined);
      });
    }
  }

  /** Without names: all of the topic. Answers with the number of those that are left. */
  unsubscribe(topic: Topic, given: readonly string[], done: TakeReply): void {
    const known = this.#topics[topic];
    const gone = new Map<string, Subscription>();
    for (const name of given.length > 0 ? given : [...known.keys()]) {
      const one = known.get(name);
      if (one !== undefined) gone.set(name, one);
      known.delete(name);
    }
    const reply = this.#count(topic);
    this.#drop(topic, spread(gone), () => {
      done(reply);
    });
    // Whoever still waited for these alone has nothing to wait for.
    for (const waiting of [...this.#waiting]) {
      const isGone = [...waiting.names].every(([name, one]) => gone.get(name) === one);
      if (waiting.topic === topic && isGone) waiting.end(undefined);
    }
  }

  close(): void {
    for (const { end } of [...this.#waiting]) end(CLIENT_CLOSED);
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #partitionsOf(topic: Topic, name: string, place: number): readonly number[] {
    const isEverywhere = topic === "pattern" || (topic === "channel" && name.startsWith("__key"));
    const { partitionCount } = this.#pool.context.topology;
    return isEverywhere ? Array.from({ length: partitionCount }, (_, index) => index) : [place];
  }

  /** Channels and patterns are counted together, shard channels apart, as Redis does. */
  #count(topic: Topic): Buffer {
    const { channel, pattern, shard } = this.#topics;
    const counted = topic === "shard" ? [shard] : [channel, pattern];
    const all = counted.flatMap((names) => [...names.values()]);
    return Buffer.from(`:${all.filter(({ isConfirmed }) => isConfirmed).length}\r\n`);
  }

  /** Nobody else has them, or waits for them. */
  #giveUp(topic: Topic, mine: ReadonlyMap<string, Subscription>): void {
    const known = this.#topics[topic];
    const gone = new Map(
      [...mine].filter(
        ([name, one]) => known.get(name) === one && !one.isConfirmed && one.waiting === 0,
      ),
    );
    for (const name of gone.keys()) known.delete(name);
    this.#drop(topic, spread(gone), () => undefined);
  }

  /** Ends subscriptions at their nodes; a link that carries nothing more is closed. */
  #drop(topic: Topic, byPartition: ByPartition, done: () => void): void {
    let left = byPartition.size;
    if (left === 0) done();
    for (const [partition, names] of byPartition) {
      const link = this.#linkOf(partition);
      link.unsubscribe(topic, names, () => {
        if (link.isEmpty && this.#links.get(partition) === link) {
          this.#links.delete(partition);
          link.close();
        }
        if (--left === 0) done();
      });
    }
  }

  #linkOf(partition: number): SubscriptionLink {
    const known = this.#links.get(partition);
    if (known !== undefined) return known;
    const link = new SubscriptionLink(partition, this.#pool, this.#onMessage);
    this.#links.set(partition, link);
    return link;
  }
}

function spread(subscriptions: ReadonlyMap<string, Subscription>): ByPartition {
  const byPartition = new Map<number, string[]>();
  for (const [name, { partitions }] of subscriptions) {
    for (const partition of partitions) {
      const names = byPartition.get(partition);
      if (names === undefined) byPartition.set(partition, [name]);
      else names.push(name);
    }
  }
  return byPartition;
}
