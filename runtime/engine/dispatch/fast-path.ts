// fast-path.ts: the short way of a command from a client's bytes to its pipeline: finds it by its name's bytes, hashes
// the key in place, and copies it once. All other commands go through dispatch.ts.
import type { RangePartitionFunction } from "../../core/hash/partition-function.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { RequestSplitter } from "../../resp/request-splitter.ts";
import type { CommandTable } from "../../route/commands/command-table.ts";
import { FastCommands, ONE_KEY, type FastCommand } from "../../route/commands/fast-commands.ts";
import type { CommandSource } from "./command-source.ts";
import type { NodePipelines } from "../pipelines/node-pipelines.ts";
import type { ReplySink } from "../pipelines/reply-sink.ts";
import type { RoutedView } from "../pipelines/routed-view.ts";
import { sendByKeys, type SplitRoute } from "./split-join.ts";
import type { RouterStats } from "../stats/counters.ts";

export interface FastPathParts {
  readonly commands: CommandSource;
  readonly routed: RoutedView;
  readonly pipelines: NodePipelines;
  readonly stats: RouterStats;
}

export class FastPath {
  readonly #parts: FastPathParts;
  #table: CommandTable | undefined;
  #fast: FastCommands | undefined;
  #route: SplitRoute | undefined;

  constructor(parts: FastPathParts) {
    this.#parts = parts;
  }

  /** The splitter's present command, if send() supports it now. */
  find(raw: RequestSplitter, isReadOnly: boolean): FastCommand | undefined {
    const { commands, routed } = this.#parts;
    const { table } = commands;
    if (table === undefined || routed.mismatch !== undefined) return undefined;
    if (table !== this.#table) this.#learn(table);
    // A user's hash may be asynchronous, which needs dispatch.ts.
    if (routed.routing.partitionOfRange === undefined) return undefined;
    const { source, rawStart, offsets, count } = raw;
    const nameStart = rawStart + (offsets[0] ?? 0);
    const command = this.#fast?.find(source, nameStart, rawStart + (offsets[1] ?? 0), count);
    return command === undefined || (isReadOnly && !command.isRead) ? undefined : command;
  }

  /** Sends the command that find() has just returned; `sink` gets one reply. */
  send(
    command: FastCommand,
    sink: ReplySink,
    tag: number,
    raw: RequestSplitter,
    protocol: Protocol,
  ): void {
    const { pipelines, routed } = this.#parts;
    const { partitionOfRange } = routed.routing;
    if (partitionOfRange === undefined) return;
    if (command.kind !== ONE_KEY) {
      sendByKeys(sink, tag, raw, command, protocol, this.#splitRoute(partitionOfRange));
      return;
    }
    const { source, rawStart, rawEnd, offsets } = raw;
    const [start, end] = [rawStart + (offsets[2] ?? 0), rawStart + (offsets[3] ?? 0)];
    const pipeline = pipelines.of(partitionOfRange(source, start, end), protocol, command.isRead);
    pipeline.submit(sink, tag, source, rawStart, rawEnd, command.isRead);
  }

  #splitRoute(partitionOf: RangePartitionFunction): SplitRoute {
    if (this.#route?.partitionOf === partitionOf) return this.#route;
    const { pipelines, stats } = this.#parts;
    return (this.#route = { pipelines, partitionOf, stats });
  }

  /** The nodes' table may have changed with an upgrade. */
  #learn(table: CommandTable): void {
    const { tally } = this.#parts.stats;
    this.#table = table;
    tally.learn(table.keys());
    this.#fast = new FastCommands(table, (name) => tally.numberOf(name));
  }
}
