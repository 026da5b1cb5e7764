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
import { cursorAfter, parseCursor, tagOf, type ScanPosition } from "../route/scan-cursor.ts";
import { answerSession } from "../route/session.ts";
import { openSession } from "../route/session-state.ts";
import { isError, mergeReplies, splitCommand } from "../route/split.ts";
import { crossSlot, refusal } from "../route/wire-errors.ts";
import type { LaneContext } from "./lane-context.ts";
import { Lanes } from "./lanes.ts";
import { commandRequest, transactionRequest, type TakeReply } from "./request.ts";

export interface DispatcherOptions {
  readonly context: LaneContext;
  readonly partitioner: Partitioner;
  readonly table: CommandTable;
  readonly redisVersion: string;
  readonly random: Random;
}

type ByKeys = Extract<Decision, { kind: "forward" | "split" }>;

interface Errand {
  readonly args: readonly Buffer[];
  readonly sinceMs: number;
  readonly done: TakeReply;
}

const NOTHING = Buffer.alloc(0);
const NO_ADDRESS = "127.0.0.1:0";

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes: Lanes;
  readonly #partitionCount: number;
  #session = openSession(1, NO_ADDRESS, false);

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#lanes = new Lanes(options.context);
    this.#partitionCount = options.context.topology.partitionCount;
  }

  close(): void {
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
        // What a router does on a connection of its own for one client, this client has no use for.
        done(refusal(args[0]?.toString("latin1") ?? "", "the client library does not carry it"));
        return undefined;
    }
  }

  /** Why a command would be refused before any node saw it, or undefined. With a hash that answers at once only. */
  whyNot(args: readonly Buffer[]): string | undefined {
    const { table, partitioner } = this.#options;
    const decision = decide(args, { table, partitions: this.#partitionCount });
    if (decision.kind === "reply") return decision.reply.toString("utf8", 1).trimEnd();
    if (decision.kind === "session") return "it means something to one connection only";
    if (decision.kind !== "forward") return undefined;
    const places = decision.keys.map((index) => partitioner.partitionOf(args[index] ?? NOTHING));
    const isStray = places.some((place) => place !== places[0]);
    return isStray ? "its keys lie in different partitions" : undefined;
  }

  /** A transaction: all keys of all commands in one partition. Resolves when it was handed to its lane. */
  async transact(
    commands: readonly (readonly Buffer[])[],
    sinceMs: number,
    done: TakeReply,
  ): Promise<void> {
    const { table, partitioner, context } = this.#options;
    const found: { readonly key: Buffer; readonly partition: number }[] = [];
    let isRead = true;
    const clash = context.topology.clash();
    if (clash !== undefined) {
      done(errorReply(`TWINEDOWN nothing is routed: ${clash}`));
      return;
    }
    try {
      for (const args of commands) {
        const decision = decide(args, { table, partitions: this.#partitionCount });
        const keys = keyIndices(args, decision);
        if (keys === undefined) {
          const isAnswer = decision.kind === "reply" && isError(decision.reply);
          const name = args[0]?.toString("latin1") ?? "";
          const reason = "a transaction here takes only commands whose keys say where they go";
          done(isAnswer ? decision.reply : refusal(name, reason));
          return;
        }
        isRead &&= "isRead" in decision && decision.isRead;
        for (const index of keys) {
          const key = args[index] ?? NOTHING;
          found.push({ key, partition: await partitioner.partitionOf(key) });
        }
      }
    } catch (error) {
      done(hashFailed(error));
      return;
    }
    const [first] = found;
    const stray = found.find(({ partition }) => partition !== first?.partition);
    if (first !== undefined && stray !== undefined) {
      done(crossSlot(first.key, first.partition, stray.key, stray.partition));
      return;
    }
    const request = transactionRequest(commands, { isRead, keys: undefined, sinceMs }, done);
    this.#lanes.master(first?.partition ?? this.#anyPartition()).submit(request);
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
    const request = commandRequest(errand.args, facts, done, bytes);
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
    const keys = keyIndices(args, decision) ?? [];
    const partitions: number[] = [];
    const later: Promise<void>[] = [];
    try {
      keys.forEach((index, at) => {
        const partition = this.#options.partitioner.partitionOf(args[index] ?? NOTHING);
        if (typeof partition === "number") partitions[at] = partition;
        else later.push(partition.then((number) => void (partitions[at] = number)));
      });
    } catch (error) {
      done(hashFailed(error));
      return later.length === 0 ? undefined : Promise.allSettled(later).then(() => undefined);
    }
    if (later.length === 0) {
      this.#place(errand, decision, keys, partitions);
      return undefined;
    }
    return Promise.all(later).then(
      () => {
        this.#place(errand, decision, keys, partitions);
      },
      (error: unknown) => {
        done(hashFailed(error));
      },
    );
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
      const [key, other] = [args[keys[0] ?? 1], args[keys[stray] ?? 1]];
      done(crossSlot(key ?? NOTHING, first, other ?? NOTHING, partitions[stray] ?? 0));
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

/** Indices into the arguments; undefined when the command goes nowhere by keys. */
function keyIndices(args: readonly Buffer[], decision: Decision): readonly number[] | undefined {
  if (decision.kind === "forward") return decision.keys;
  if (decision.kind !== "split") return undefined;
  const keys: number[] = [];
  for (let index = 1; index < args.length; index += decision.keyStep) keys.push(index);
  return keys;
}

function hashFailed(error: unknown): Buffer {
  const why = error instanceof Error ? error.message : String(error);
  return errorReply(`ERR twine: the hash of twine.conf failed: ${why}`);
}

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
