// pub-sub.ts: one client's subscriptions: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and the commands that end them.
//
//   SUBSCRIBE ch    -> the channel's partition, where PUBLISH ch goes too
//   PSUBSCRIBE c*   -> every partition: matching channels can be in any
//   a message       -> forwarded unchanged; for RESP2 with * in place of >
//
// Channels whose names begin with __key carry keyspace notifications (notify-keyspace-events), which each node publishes
// for its own keys: they are subscribed in every partition. Each client has its own connections, so that PUBLISH and PUBSUB
// NUMSUB count clients, not routers.
// Invariants: messages of one subscription arrive in the order in which its master published them. The confirmations of a
// command arrive in the order of its names, before any message of those names.
import { errorReply } from "../../resp/encode.ts";
import type { CommandSpec } from "../../route/commands/command-table.ts";
import { isError } from "../../route/replies/split.ts";
import { unknownCommand, wrongArity } from "../../route/replies/wire-errors.ts";
import type { PendingCommand } from "../dispatch/pending-command.ts";
import { partitionsOf, type DedicatedClient, type DedicatedContext } from "./dedicated-client.ts";
import {
  confirmation,
  SUBSCRIBE_WORDS,
  subscribedPong,
  UNSUBSCRIBE_WORDS,
  type Push,
  type Topic,
} from "../../route/session/pub-sub-frames.ts";
import { PubSubLink } from "./pub-sub-link.ts";
import { errorText } from "../../core/error-text.ts";

/** As Redis's client-output-buffer-limit pubsub: the hard limit, the soft limit and its time. */
const UNSENT_BYTES_MAX = 32 * 1024 * 1024;
const UNSENT_BYTES_SOFT_MAX = 8 * 1024 * 1024;
const SOFT_MS_MAX = 60_000;
const STAR = 42;
const NOTHING = Buffer.alloc(0);

const TOPICS_BY_NAME: ReadonlyMap<string, readonly [topic: Topic, isSubscribe: boolean]> = new Map(
  (["channel", "pattern", "shard"] as const).flatMap((topic): [string, [Topic, boolean]][] => [
    [SUBSCRIBE_WORDS[topic], [topic, true]],
    [UNSUBSCRIBE_WORDS[topic], [topic, false]],
  ]),
);

export function isSubscriptionCommand(name: string): boolean {
  return TOPICS_BY_NAME.has(name);
}

interface EarlyMessage {
  readonly push: Push;
  readonly bytes: Buffer;
}

export class PubSub {
  readonly #client: DedicatedClient;
  readonly #context: DedicatedContext;
  readonly #links = new Map<number, PubSubLink>();
  /** By topic and name: the partitions where it is subscribed. */
  readonly #topics: Readonly<Record<Topic, Map<string, readonly number[]>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  /** The SUBSCRIBE that runs: messages of its names are kept until its confirmations were sent. */
  #pending: { readonly topic: Topic; readonly names: ReadonlySet<string> } | undefined;
  #early: EarlyMessage[] = [];
  #earlyBytes = 0;
  #softSinceMs: number | undefined;
  #cancelTimeout: (() => void) | undefined;
  #failPending: ((text: string) => void) | undefined;
  /** Set from the first link on. */
  #endWatch: (() => void) | undefined;

  constructor(client: DedicatedClient, context: DedicatedContext) {
    this.#client = client;
    this.#context = context;
  }

  get isSubscribed(): boolean {
    const { channel, pattern, shard } = this.#topics;
    return channel.size + pattern.size + shard.size > 0;
  }

  /** Takes SUBSCRIBE, UNSUBSCRIBE and the like, and every command of a subscribed RESP2 client. Resolves when all names are
      confirmed. */
  take(name: string, pending: PendingCommand): Promise<void> | undefined {
    const { args } = pending.request;
    const found = TOPICS_BY_NAME.get(name);
    const [topic, isSubscribe] = found ?? ["channel", true];
    const names = args.slice(1).map((arg) => arg.toString("latin1"));
    const spec = this.#context.commands.table?.get(name);
    const refused = found === undefined ? whileSubscribed(name, args, spec) : undefined;
    if (refused !== undefined || (isSubscribe && names.length === 0)) {
      pending.done(refused ?? wrongArity(name));
      return undefined;
    }
    return new Promise((resolve) => {
      const finish = (reply: Buffer): void => {
        this.#cancelTimeout?.();
        this.#cancelTimeout = this.#failPending = undefined;
        // Like Redis, it sends confirmations also after CLIENT REPLY OFF.
        if (isError(reply)) pending.done(reply);
        else {
          this.#client.push(reply, 0, reply.length);
          pending.done(NOTHING);
        }
        this.#pushEarly();
        resolve();
      };
      this.#client.whenFirst(() => {
        if (isSubscribe) this.#subscribe(topic, names, finish);
        else this.#unsubscribe(topic, names, finish);
      });
    });
  }

  release(): void {
    this.#endWatch?.();
    this.#endWatch = undefined;
    this.#cancelTimeout?.();
    this.#cancelTimeout = undefined;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    for (const names of Object.values(this.#topics)) names.clear();
    this.#pending = undefined;
    this.#early = [];
  }

  #subscribe(topic: Topic, names: readonly string[], finish: (reply: Buffer) => void): void {
    const fresh = [...new Set(names)].filter((name) => !this.#topics[topic].has(name));
    this.#pending = { topic, names: new Set(fresh) };
    const placed = new Promise<readonly (readonly number[])[]>((resolve) => {
      resolve(this.#partitionsOf(topic, fresh));
    });
    placed.then(
      (partitions) => {
        this.#subscribeAt(topic, names, fresh, partitions, finish);
      },
      (error: unknown) => {
        const why = errorText(error);
        finish(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
      },
    );
  }

  #subscribeAt(
    topic: Topic,
    names: readonly string[],
    fresh: readonly string[],
    partitions: readonly (readonly number[])[],
    finish: (reply: Buffer) => void,
  ): void {
    if (this.#client.isGone) return;
    const byPartition = new Map<number, string[]>();
    fresh.forEach((name, index) => {
      spread(byPartition, partitions[index] ?? [], name);
    });
    let left = byPartition.size;
    let isOver = false;
    const giveUp = (text: string): void => {
      if (isOver) return;
      isOver = true;
      // The command failed as a whole: confirmed names are unsubscribed too.
      this.#drop(topic, byPartition, () => undefined);
      finish(errorReply(text));
    };
    const succeed = (): void => {
      if (isOver || left > 0) return;
      isOver = true;
      fresh.forEach((name, index) => this.#topics[topic].set(name, partitions[index] ?? []));
      finish(this.#confirmations(SUBSCRIBE_WORDS[topic], topic, names));
    };
    this.#holdFor(giveUp);
    for (const [partition, wanted] of byPartition) {
      this.#linkOf(partition).subscribe(topic, wanted, (refusal) => {
        left--;
        if (refusal !== undefined) giveUp(refusal);
        succeed();
      });
    }
    succeed();
  }

  #holdFor(giveUp: (text: string) => void): void {
    const { clock, holdForMs } = this.#context.own.context;
    this.#failPending = giveUp;
    this.#cancelTimeout = clock.after(holdForMs, () => {
      giveUp("TWINEDOWN a partition that must be subscribed has no master that answers");
    });
  }

  /** One confirmation for each name, in order, each with the number of subscriptions at that point. */
  #confirmations(word: string, topic: Topic, names: readonly string[]): Buffer {
    const protocol = this.#client.protocol;
    const fresh = this.#pending?.names ?? new Set();
    const begun = new Set<string>();
    const total = this.#count(topic);
    const replies = names.map((name) => {
      if (fresh.has(name)) begun.add(name);
      return confirmation(word, name, total - fresh.size + begun.size, protocol);
    });
    return Buffer.concat(replies);
  }

  /** Like Redis, it counts channels and patterns together and shard channels separately. */
  #count(topic: Topic): number {
    const { channel, pattern, shard } = this.#topics;
    return topic === "shard" ? shard.size : channel.size + pattern.size;
  }

  #unsubscribe(topic: Topic, given: readonly string[], finish: (reply: Buffer) => void): void {
    const known = this.#topics[topic];
    const names = given.length > 0 ? given : [...known.keys()];
    const word = UNSUBSCRIBE_WORDS[topic];
    const protocol = this.#client.protocol;
    if (names.length === 0) {
      finish(confirmation(word, undefined, this.#count(topic), protocol));
      return;
    }
    const byPartition = new Map<number, string[]>();
    const replies = names.map((name) => {
      spread(byPartition, known.get(name) ?? [], name);
      known.delete(name);
      return confirmation(word, name, this.#count(topic), protocol);
    });
    this.#drop(topic, byPartition, () => {
      finish(Buffer.concat(replies));
    });
  }

  /** Unsubscribes names at their nodes and closes links without subscriptions. */
  #drop(topic: Topic, byPartition: ReadonlyMap<number, readonly string[]>, done: () => void): void {
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

  #linkOf(partition: number): PubSubLink {
    let link = this.#links.get(partition);
    if (link === undefined) {
      link = new PubSubLink(partition, this.#context.own, (push, bytes, start, end) => {
        this.#message(push, bytes, start, end);
      });
      this.#links.set(partition, link);
      this.#endWatch ??= this.#context.routed.onSwap(() => {
        this.#spreadAnew();
      });
    }
    return link;
  }

  /** The routing has changed: subscribes everything again in the channels' new partitions. As in a failover, messages
      published meanwhile are lost. A SUBSCRIBE that is running fails, because its effect is unknown. */
  #spreadAnew(): void {
    this.#failPending?.("TWINEDOWN the partitions of channels have changed");
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    for (const topic of ["channel", "pattern", "shard"] as const) {
      const known = this.#topics[topic];
      const names = [...known.keys()];
      if (names.length === 0) continue;
      const placed = new Promise<(readonly number[])[]>((resolve) => {
        resolve(this.#partitionsOf(topic, names));
      });
      void placed
        .then((partitions) => {
          const byPartition = new Map<number, string[]>();
          names.forEach((name, index) => {
            if (!known.has(name)) return;
            known.set(name, partitions[index] ?? []);
            spread(byPartition, partitions[index] ?? [], name);
          });
          for (const [partition, wanted] of byPartition) {
            this.#linkOf(partition).subscribe(topic, wanted, () => undefined);
          }
        })
        .catch(() => {
          this.#client.destroy();
        });
    }
  }

  #partitionsOf(
    topic: Topic,
    names: readonly string[],
  ): (readonly number[])[] | Promise<(readonly number[])[]> {
    const everywhere = Array.from(
      { length: this.#context.routed.routing.partitions },
      (_, index) => index,
    );
    const isEverywhere = (name: string): boolean =>
      topic === "pattern" || (topic === "channel" && name.startsWith("__key"));
    const found = partitionsOf(
      names.map((name) => Buffer.from(name, "latin1")),
      this.#context,
    );
    const placed = (partitions: readonly number[]): (readonly number[])[] =>
      names.map((name, index) => (isEverywhere(name) ? everywhere : [partitions[index] ?? 0]));
    return "then" in found ? found.then(placed) : placed(found);
  }

  #message(push: Push, bytes: Buffer, start: number, end: number): void {
    if (this.#pending?.topic === push.topic && this.#pending.names.has(push.name)) {
      this.#early.push({ push, bytes: Buffer.from(bytes.subarray(start, end)) });
      this.#earlyBytes += end - start;
      if (this.#earlyBytes > UNSENT_BYTES_MAX) this.#client.destroy();
      return;
    }
    this.#push(bytes, start, end);
  }

  #pushEarly(): void {
    const early = this.#early;
    this.#pending = undefined;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const { push, bytes } of early) {
      // After a failed SUBSCRIBE its names are not subscribed.
      if (this.#topics[push.topic].has(push.name)) this.#push(bytes, 0, bytes.length);
    }
  }

  #push(bytes: Buffer, start: number, end: number): void {
    if (this.#isTooSlow()) {
      this.#client.destroy();
      return;
    }
    // RESP2 has no pushes. The frame's memory may be changed: it is not read again.
    if (this.#client.protocol === 2) bytes[start] = STAR;
    this.#client.push(bytes, start, end);
  }

  /** A client that does not read its messages must not fill the memory. */
  #isTooSlow(): boolean {
    const { unsentBytes } = this.#client;
    if (unsentBytes <= UNSENT_BYTES_SOFT_MAX) {
      this.#softSinceMs = undefined;
      return false;
    }
    const { nowMs } = this.#context.own.context.tick;
    this.#softSinceMs ??= nowMs;
    return unsentBytes > UNSENT_BYTES_MAX || nowMs - this.#softSinceMs > SOFT_MS_MAX;
  }
}

function spread(
  byPartition: Map<number, string[]>,
  partitions: readonly number[],
  name: string,
): void {
  for (const partition of partitions) {
    const names = byPartition.get(partition);
    if (names === undefined) byPartition.set(partition, [name]);
    else names.push(name);
  }
}

/** The reply to any other command of a subscribed RESP2 client. */
function whileSubscribed(
  name: string,
  args: readonly Buffer[],
  spec: CommandSpec | undefined,
): Buffer {
  if (name === "ping") return args.length > 2 ? wrongArity("ping") : subscribedPong(args[1]);
  if (spec === undefined) return unknownCommand(args);
  const { arity } = spec;
  if (arity < 0 ? args.length < -arity : args.length !== arity) return wrongArity(name);
  const shown = args[0]?.toString("latin1", 0, 128).toLowerCase() ?? "";
  // A refused EXEC always reports that nothing was executed.
  const code = name === "exec" ? "EXECABORT Transaction discarded because of:" : "ERR";
  return errorReply(
    `${code} Can't execute '${shown}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / ` +
      "PING / QUIT / RESET are allowed in this context",
  );
}
