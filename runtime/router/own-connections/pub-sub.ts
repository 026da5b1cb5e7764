// pub-sub.ts: one client's subscriptions: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their ends.
//
//   SUBSCRIBE ch    -> the channel's partition: there PUBLISH ch goes too
//   PSUBSCRIBE c*   -> every partition, for a channel that matches lies in any
//   a message       -> as it came, * in place of > for RESP2
//
// A channel whose name begins with __key is what a node says about its own keys (notify-keyspace-events): every partition
// is subscribed. Each client has connections of its own, so that PUBLISH and PUBSUB NUMSUB count clients, not routers.
// Invariants: messages of one subscription come in the order in which its master published them; the confirmations of a
// command come in the order of its names, and before any message of those names.
import { errorReply } from "../../resp/encode.ts";
import type { CommandSpec } from "../../route/command-table.ts";
import { isError } from "../../route/split.ts";
import { unknownCommand, wrongArity } from "../../route/wire-errors.ts";
import type { Errand } from "../dispatch/dispatch.ts";
import { partitionsOf, type OwnClient, type OwnContext } from "./own-client.ts";
import {
  confirmation,
  SUBSCRIBE_WORDS,
  subscribedPong,
  UNSUBSCRIBE_WORDS,
  type Push,
  type Topic,
} from "../../route/pub-sub-frames.ts";
import { PubSubLink } from "./pub-sub-link.ts";

/** As Redis's client-output-buffer-limit pubsub: at once, and for that long. */
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
  readonly #client: OwnClient;
  readonly #context: OwnContext;
  readonly #links = new Map<number, PubSubLink>();
  /** By topic and name: the partitions where it is subscribed. */
  readonly #topics: Readonly<Record<Topic, Map<string, readonly number[]>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  /** While a SUBSCRIBE is under way: its topic and names, whose messages wait for its confirmations. */
  #pending: { readonly topic: Topic; readonly names: ReadonlySet<string> } | undefined;
  #early: EarlyMessage[] = [];
  #earlyBytes = 0;
  #softSinceMs: number | undefined;
  #endHold: (() => void) | undefined;

  constructor(client: OwnClient, context: OwnContext) {
    this.#client = client;
    this.#context = context;
  }

  get isSubscribed(): boolean {
    const { channel, pattern, shard } = this.#topics;
    return channel.size + pattern.size + shard.size > 0;
  }

  /** SUBSCRIBE, UNSUBSCRIBE and their like; of a subscribed client that speaks RESP2 every command. Resolves when all is
      confirmed. */
  take(name: string, errand: Errand): Promise<void> | undefined {
    const { args } = errand.request;
    const found = TOPICS_BY_NAME.get(name);
    const [topic, isSubscribe] = found ?? ["channel", true];
    const names = args.slice(1).map((arg) => arg.toString("latin1"));
    const spec = this.#context.commands.table?.get(name);
    const refused = found === undefined ? whileSubscribed(name, args, spec) : undefined;
    if (refused !== undefined || (isSubscribe && names.length === 0)) {
      errand.done(refused ?? wrongArity(name));
      return undefined;
    }
    return new Promise((resolve) => {
      const finish = (reply: Buffer): void => {
        this.#endHold?.();
        this.#endHold = undefined;
        // A confirmation is sent to whoever has switched its replies off, too, as Redis does.
        if (isError(reply)) errand.done(reply);
        else {
          this.#client.push(reply, 0, reply.length);
          errand.done(NOTHING);
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

  leave(): void {
    this.#endHold?.();
    this.#endHold = undefined;
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
      resolve(this.#placesOf(topic, fresh));
    });
    placed.then(
      (places) => {
        this.#subscribeAt(topic, names, fresh, places, finish);
      },
      (error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        finish(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
      },
    );
  }

  #subscribeAt(
    topic: Topic,
    names: readonly string[],
    fresh: readonly string[],
    places: readonly (readonly number[])[],
    finish: (reply: Buffer) => void,
  ): void {
    if (this.#client.isGone) return;
    const byPartition = new Map<number, string[]>();
    fresh.forEach((name, index) => {
      spread(byPartition, places[index] ?? [], name);
    });
    let left = byPartition.size;
    let isOver = false;
    const giveUp = (text: string): void => {
      if (isOver) return;
      isOver = true;
      // Those that were confirmed end as well: the command failed as a whole.
      this.#drop(topic, byPartition, () => undefined);
      finish(errorReply(text));
    };
    const succeed = (): void => {
      if (isOver || left > 0) return;
      isOver = true;
      fresh.forEach((name, index) => this.#topics[topic].set(name, places[index] ?? []));
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
    this.#endHold = clock.after(holdForMs, () => {
      giveUp("TWINEDOWN a partition that must be subscribed has no master that answers");
    });
  }

  /** In the order of the names, counted as they begin: a name that was there before is confirmed at once. */
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

  /** Channels and patterns are counted together, shard channels apart, as Redis does. */
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

  /** Ends subscriptions at their nodes; a link that carries nothing more is closed. */
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
    }
    return link;
  }

  #placesOf(
    topic: Topic,
    names: readonly string[],
  ): (readonly number[])[] | Promise<(readonly number[])[]> {
    const everywhere = Array.from({ length: this.#context.partitions }, (_, index) => index);
    const isEverywhere = (name: string): boolean =>
      topic === "pattern" || (topic === "channel" && name.startsWith("__key"));
    const found = partitionsOf(
      names.map((name) => Buffer.from(name, "latin1")),
      this.#context,
    );
    const placed = (places: readonly number[]): (readonly number[])[] =>
      names.map((name, index) => (isEverywhere(name) ? everywhere : [places[index] ?? 0]));
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
      // After a SUBSCRIBE that failed nobody wants them.
      if (this.#topics[push.topic].has(push.name)) this.#push(bytes, 0, bytes.length);
    }
  }

  #push(bytes: Buffer, start: number, end: number): void {
    if (this.#isTooSlow()) {
      this.#client.destroy();
      return;
    }
    // RESP2 has no pushes; nobody reads the frame again.
    if (this.#client.protocol === 2) bytes[start] = STAR;
    this.#client.push(bytes, start, end);
  }

  /** A client that doesn't take its messages must not fill this process's memory. */
  #isTooSlow(): boolean {
    const { unsentBytes } = this.#client;
    if (unsentBytes <= UNSENT_BYTES_SOFT_MAX) {
      this.#softSinceMs = undefined;
      return false;
    }
    const { nowMs } = this.#context.own.context.turn;
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

/** A subscribed client that speaks RESP2 may say little else. */
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
  // Whatever refuses an EXEC, the client is to hear that nothing was executed.
  const code = name === "exec" ? "EXECABORT Transaction discarded because of:" : "ERR";
  return errorReply(
    `${code} Can't execute '${shown}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / ` +
      "PING / QUIT / RESET are allowed in this context",
  );
}
