// dispatcher.ts: one command, or one transaction, to the lanes it needs, and its one reply back. What happens to a
// command is route/'s to say, by the table of the nodes themselves, as in the router.
import type { Partitioner } from "../ports/partitioner.ts";
import type { Random } from "../ports/random.ts";
import { decodeReply } from "../resp/decode.ts";
import { bulk, encodeCommand, errorReply } from "../resp/encode.ts";
import { elementsOf } from "../resp/reply-scanner.ts";
import { textOf } from "../resp/value.ts";
import type { CommandTable } from "../route/command-table.ts";
import { decide, type Decision } from "../route/decide.ts";
import { gatherReplies } from "../route/gather.ts";
import { isWord } from "../route/keys.ts";
import { cursorAfter, parseCursor, tagOf, type ScanPosition } from "../route/scan-cursor.ts";
import { answerSession } from "../route/session.ts";
import { openSession } from "../route/session-state.ts";
import { isError, mergeReplies, splitCommand } from "../route/split.ts";
import { refusal } from "../route/wire-errors.ts";
import { IsolatedClient } from "./isolation/isolated-client.ts";
import { IsolatedLanes } from "./isolation/isolated-lanes.ts";
import type { LaneContext } from "./lane-context.ts";
import { Lanes } from "./lanes.ts";
import { OwnWays } from "./own/own-ways.ts";
import type { TakeMessage } from "./own/subscription-link.ts";
import { strayReply, withPlace, withPlaces } from "./places.ts";
import { commandRequest, transactionRequest, type Errand, type TakeReply } from "./request.ts";
import { examineTransaction, keyIndices } from "./transaction.ts";

export interface DispatcherOptions {
  readonly context: LaneContext;
  readonly partitioner: Partitioner;
  readonly table: CommandTable;
  readonly redisVersion: string;
  readonly random: Random;
  /** Takes what subscriptions bring. */
  readonly onMessage: TakeMessage;
}

type ByKeys = Extract<Decision, { kind: "forward" | "split" }>;

const NOTHING = Buffer.alloc(0);
const NO_ADDRESS = "127.0.0.1:0";

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes: Lanes;
  readonly #isolated: IsolatedLanes;
  readonly #own: OwnWays;
  readonly #partitionCount: number;
  #session = openSession(1, NO_ADDRESS, false);

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { context, partitioner, onMessage } = options;
    this.#lanes = new Lanes(context);
    this.#isolated = new IsolatedLanes(context);
    this.#own = new OwnWays({ context, partitioner, lanes: this.#lanes, onMessage });
    this.#partitionCount = options.context.topology.partitionCount;
  }

  /** What waits at nodes, perhaps for ever, is ended as soon as that loses nothing. */
  leave(): void {
    this.#own.leave();
  }

  close(): void {
    this.#own.close();
    this.#isolated.close();
    this.#lanes.close();
  }

  /** Undefined when everything was handed to the lanes at once; otherwise resolves when it was, and the next command must
      wait for that. `args` holds at least the name. */
  dispatch(errand: Errand): Promise<void> | undefined {
    const clash = this.#options.context.topology.clash();
    if (clash !== undefined) {
      errand.done(errorReply(`TWINEDOWN nothing is routed: ${clash}`));
      return undefined;
    }
    const { args, done } = errand;
    const { table, redisVersion } = this.#options;
    const decision = decide(args, { table, partitions: this.#partitionCount });
    switch (decision.kind) {
      case "reply":
        done(decision.reply);
        return undefined;
      case "session": {
        // Every caller waits for its reply: nobody can be answered by silence.
        if (isWord(args[0], "client") && isWord(args[1], "reply")) {
          done(refusal("client reply", "every command of this client is answered"));
          return undefined;
        }
        const answer = answerSession(this.#session, args, { password: undefined, redisVersion });
        this.#session = { ...answer.state, protocol: 2 };
        done(answer.reply);
        return undefined;
      }
      case "any":
        this.#submit(this.#anyPartition(), errand, decision.isRead, [], done, decision.command);
        return undefined;
      case "gather":
        this.#gather(errand, decision);
        return undefined;
      case "scan":
        this.#scan(errand);
        return undefined;
      case "forward":
      case "split":
        return this.#byKeys(errand, decision);
      default:
        return this.#own.take(errand, decision);
    }
  }

  /** Why a command would be refused before any node saw it, or undefined. With a hash that answers at once only. */
  whyNot(args: readonly Buffer[]): { readonly why: string; readonly isStray: boolean } | undefined {
    const { table, partitioner } = this.#options;
    const decision = decide(args, { table, partitions: this.#partitionCount });
    const never = (why: string) => ({ why, isStray: false });
    if (decision.kind === "reply") return never(decision.reply.toString("utf8", 1).trimEnd());
    if (decision.kind === "session" || decision.kind === "own") {
      return never("it means something to one connection only");
    }
    if (decision.kind === "blocking") return never("it may wait for ever");
    if (decision.kind !== "forward") return undefined;
    const places = decision.keys.map((index) => partitioner.partitionOf(args[index] ?? NOTHING));
    const isStray = places.some((place) => place !== places[0]);
    return isStray ? { why: "its keys lie in different partitions", isStray } : undefined;
  }

  /** A transaction: all keys of all commands in one partition. Undefined when it was handed to its lane at once; otherwise
      resolves when it was. */
  transact(
    commands: readonly (readonly Buffer[])[],
    sinceMs: number,
    done: TakeReply,
  ): Promise<void> | undefined {
    const { table, partitioner, context } = this.#options;
    const clash = context.topology.clash();
    if (clash !== undefined) {
      done(errorReply(`TWINEDOWN nothing is routed: ${clash}`));
      return undefined;
    }
    const examined = examineTransaction(commands, { table, partitions: this.#partitionCount });
    if (examined.refused !== undefined) {
      done(examined.refused);
      return undefined;
    }
    const { keys, isRead } = examined;
    const send = (places: readonly number[]): void => {
      const stray = strayReply(keys, places);
      if (stray !== undefined) {
        done(stray);
        return;
      }
      const partition = places[0] ?? this.#anyPartition();
      const facts = { isRead, keys: undefined, sinceMs };
      const take = this.#own.asked(partition, isRead, done);
      this.#lanes.master(partition).submit(transactionRequest(commands, facts, take));
    };
    return withPlaces(keys, partitioner, send, done);
  }

  /** A connection for one caller, to the key's partition, once all that was asked there before is answered. Undefined when
      the next command may follow at once. */
  isolate(
    key: Buffer,
    ready: (one: IsolatedClient) => void,
    failed: TakeReply,
  ): Promise<void> | undefined {
    const { table, partitioner, context } = this.#options;
    const begin = ([partition = 0]: readonly number[]): void => {
      this.#own.precedenceOf(partition).afterAll(() => {
        const one = new IsolatedClient({
          ...{ key, table, partitioner, partitionCount: this.#partitionCount },
          lane: this.#isolated.lend(partition),
          nowMs: () => context.clock.nowMs(),
          asked: (isRead, done) => this.#own.asked(partition, isRead, done),
          release: (lane) => {
            this.#isolated.release(lane);
          },
        });
        ready(one);
      });
    };
    return withPlaces([key], partitioner, begin, failed);
  }

  #submit(
    partition: number,
    errand: Errand,
    isRead: boolean,
    keys: readonly number[] | undefined,
    done: TakeReply = errand.done,
    bytes?: Buffer,
  ): void {
    const facts = { isRead, keys, sinceMs: errand.sinceMs };
    const take = this.#own.asked(partition, isRead, done);
    const request = commandRequest(errand.args, facts, take, bytes);
    const lane = isRead ? this.#lanes.reader(partition) : this.#lanes.master(partition);
    lane.submit(request);
  }

  /** The first partition that has a master, so that one partition's outage doesn't take TIME with it. */
  #anyPartition(): number {
    const { topology } = this.#options.context;
    for (let partition = 0; partition < this.#partitionCount; partition++) {
      if (topology.master(partition) !== undefined) return partition;
    }
    return 0;
  }

  #byKeys(errand: Errand, decision: ByKeys): Promise<void> | undefined {
    const { args, done } = errand;
    const indices = keyIndices(args, decision) ?? [];
    if (indices.length === 1) {
      // Most commands: they shall cost no lists.
      const at = indices[0] ?? 1;
      const go = (partition: number): void => {
        this.#submit(partition, errand, decision.isRead, indices);
      };
      return withPlace(args[at] ?? NOTHING, this.#options.partitioner, go, done);
    }
    const keys = indices.map((index) => args[index] ?? NOTHING);
    const place = (places: readonly number[]): void => {
      this.#place(errand, decision, indices, places);
    };
    return withPlaces(keys, this.#options.partitioner, place, done);
  }

  #place(
    errand: Errand,
    decision: ByKeys,
    keys: readonly number[],
    partitions: readonly number[],
  ): void {
    const { args, done } = errand;
    const first = partitions[0] ?? 0;
    const stray = partitions.findIndex((partition) => partition !== first);
    if (stray === -1) {
      this.#submit(first, errand, decision.isRead, keys);
      return;
    }
    if (decision.kind === "forward") {
      const apart = keys.map((index) => args[index] ?? NOTHING);
      done(strayReply(apart, partitions) ?? NOTHING);
      return;
    }
    const parts = splitCommand(args, decision, partitions);
    const collect = collector(parts.length, (replies) => {
      // Typed values have no place for an error among them: a read that can't be whole fails.
      const failed = decision.merge === "mget" ? replies.find(isError) : undefined;
      done(failed ?? mergeReplies(args, decision, parts, replies));
    });
    parts.forEach((part, index) => {
      const partKeys = part.keys.map((key) => keys[key] ?? 1);
      const take = collect(index);
      this.#submit(part.partition, errand, decision.isRead, partKeys, take, part.command);
    });
  }

  #gather(errand: Errand, decision: Extract<Decision, { kind: "gather" }>): void {
    const count = this.#partitionCount;
    const withSizes = decision.gather === "randomkey";
    const { topology } = this.#options.context;
    const gatherContext = {
      name: errand.args[0]?.toString("latin1") ?? "",
      random: this.#options.random.next(),
      dbs: Array.from({ length: count }, (_, index) => topology.master(index)?.db ?? 0),
    };
    const collect = collector(withSizes ? count * 2 : count, (replies) => {
      const [firsts, sizes] = [replies.slice(0, count), replies.slice(count)];
      errand.done(gatherReplies(decision.gather, firsts, gatherContext, sizes));
    });
    for (let index = 0; index < count; index++) {
      this.#submit(index, errand, decision.isRead, undefined, collect(index), decision.command);
      if (withSizes) this.#submit(index, errand, true, undefined, collect(count + index), DBSIZE);
    }
  }

  /** One step of SCAN, always at the master: a cursor means something only to the node that gave it. When the master
      changed since, or while the step was on its way, the partition is scanned from its beginning. */
  #scan(errand: Errand): void {
    const cursor = errand.args[1]?.toString("latin1") ?? "";
    const position = parseCursor(cursor, this.#partitionCount);
    if (position === undefined) {
      errand.done(errorReply("ERR invalid cursor"));
      return;
    }
    const tag = this.#masterTag(position.partition);
    const isKnown = position.nodeCursor === "0" || position.tag === tag;
    this.#scanStep(errand, { ...position, tag, nodeCursor: isKnown ? position.nodeCursor : "0" });
  }

  #scanStep(errand: Errand, position: ScanPosition): void {
    const { args, sinceMs } = errand;
    const command = encodeCommand([args[0] ?? "SCAN", position.nodeCursor, ...args.slice(2)]);
    const done = (reply: Buffer): void => {
      const tag = this.#masterTag(position.partition);
      if (tag !== position.tag && !isError(reply)) {
        this.#scanStep(errand, { ...position, tag, nodeCursor: "0" });
        return;
      }
      const [nodeCursor, keys] = elementsOf(reply) ?? [];
      if (nodeCursor === undefined || keys === undefined) {
        errand.done(reply);
        return;
      }
      const next = { ...position, nodeCursor: textOf(decodeReply(nodeCursor)) ?? "0" };
      const cursor = Buffer.from(cursorAfter(next, this.#partitionCount));
      errand.done(Buffer.concat([Buffer.from("*2\r\n"), bulk(cursor), keys]));
    };
    const facts = { isRead: true, keys: undefined, sinceMs };
    const request = commandRequest(args, facts, done, command);
    this.#lanes.master(position.partition).submit(request);
  }

  #masterTag(partition: number): number {
    const target = this.#options.context.topology.master(partition);
    return target === undefined ? 0 : tagOf(`${target.name} ${target.incarnation}`);
  }
}

const DBSIZE = encodeCommand(["DBSIZE"]);

/** Gives `finish` all replies, in the order of their indices, when the last one has come. */
function collector(
  count: number,
  finish: (replies: readonly Buffer[]) => void,
): (index: number) => TakeReply {
  const replies: Buffer[] = [];
  let left = count;
  return (index) => (reply) => {
    replies[index] = reply;
    left--;
    if (left === 0) finish(replies);
  };
}
