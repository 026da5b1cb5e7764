// hot-route.ts: the short way of a command from a client's bytes to its lane: found by its name's bytes, hashed where its
// key lies, copied once. What can't go this way goes through dispatch.ts, which knows every case.
import type { ClusterConfig } from "../../core/cluster.ts";
import { builtinRangePartition } from "../../core/hash/partition-function.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { RequestSplitter } from "../../resp/request-splitter.ts";
import type { CommandTable } from "../../route/command-table.ts";
import { HotCommands, ONE_KEY } from "../../route/hot-commands.ts";
import type { CommandSource } from "./command-source.ts";
import type { GuardedView } from "../../register/guarded-view.ts";
import type { Lanes } from "../lanes/lanes.ts";
import type { ReplyLine } from "./reply-line.ts";
import type { ReplySink } from "../lanes/reply-sink.ts";
import { sendByKeys, type SplitRoute } from "./split-join.ts";
import type { RouterStats } from "../stats/counters.ts";

export interface HotRoute {
  /** Sends the splitter's present command on its way, its reply to come in `line`'s order; false when it can't. */
  send(sink: ReplySink, line: ReplyLine, raw: RequestSplitter, from: Sender): boolean;
}

/** What counts of whoever sends. */
export interface Sender {
  readonly protocol: Protocol;
  readonly isReadOnly: boolean;
}

export function hotRoute(options: {
  readonly config: ClusterConfig;
  readonly commands: CommandSource;
  readonly viewSource: GuardedView;
  readonly lanes: Lanes;
  readonly stats: RouterStats;
}): HotRoute {
  const { config, commands, viewSource, lanes, stats } = options;
  const { hash, partitions, hashTag } = config.settings;
  // A hash of the user's own may answer later, which needs the longer way.
  if (hash.kind !== "builtin") {
    let isLearned = false;
    return {
      send: () => {
        if (!isLearned && commands.table !== undefined) {
          stats.tally.learn(commands.table.keys());
          isLearned = true;
        }
        return false;
      },
    };
  }
  const partitionOf = builtinRangePartition(hash.name, partitions, hashTag);
  const route: SplitRoute = { lanes, partitionOf, stats };
  let hot: HotCommands | undefined;
  return {
    send: (sink, line, raw, { protocol, isReadOnly }) => {
      const { table } = commands;
      if (table === undefined || viewSource.clash() !== undefined) return false;
      hot ??= countedCommands(table, stats);
      const { source, rawStart, rawEnd, offsets, count } = raw;
      const nameStart = rawStart + (offsets[0] ?? 0);
      const command = hot.find(source, nameStart, rawStart + (offsets[1] ?? 0), count);
      if (command === undefined || (isReadOnly && !command.isRead)) return false;
      const tag = line.expect(rawEnd - rawStart, command.number);
      if (command.kind !== ONE_KEY) {
        sendByKeys(sink, tag, raw, command, protocol, route);
        return true;
      }
      const [start, end] = [rawStart + (offsets[2] ?? 0), rawStart + (offsets[3] ?? 0)];
      const lane = lanes.of(partitionOf(source, start, end), protocol, command.isRead);
      lane.submit(sink, tag, source, rawStart, rawEnd, command.isRead);
      return true;
    },
  };
}

function countedCommands(table: CommandTable, { tally }: RouterStats): HotCommands {
  tally.learn(table.keys());
  return new HotCommands(table, (name) => tally.numberOf(name));
}
