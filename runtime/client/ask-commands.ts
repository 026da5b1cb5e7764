// ask-commands.ts: the table of commands and the version, asked of the first node that answers. Masters should come first
// in the list; a dead node answers COMMAND and INFO as well.
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand } from "../resp/encode.ts";
import { textOf } from "../resp/value.ts";
import { parseCommandTable, type CommandTable } from "../route/command-table.ts";
import { NodeConnection, type NodeTarget } from "./node-connection.ts";

export interface KnownCommands {
  readonly table: CommandTable;
  readonly redisVersion: string;
}

const ANSWER_MS_MAX = 2000;
const RETRY_MS = 100;

/** Asks until some node tells; undefined when `isOver` says so first. `onSilence` hears why a node told nothing. */
export async function askCommands(options: {
  readonly targets: () => readonly NodeTarget[];
  readonly clock: Clock;
  readonly tls: LinkTls | undefined;
  readonly isOver: () => boolean;
  readonly onSilence: (target: NodeTarget, why: string) => void;
}): Promise<KnownCommands | undefined> {
  const { targets, clock, tls, isOver, onSilence } = options;
  while (!isOver()) {
    for (const target of targets()) {
      const told = await askNode(target, clock, tls);
      if (isOver()) return undefined;
      if (typeof told !== "string") return told;
      onSilence(target, told);
    }
    await clock.delay(RETRY_MS);
  }
  return undefined;
}

/** The node's table and version, or why it told none. */
function askNode(
  target: NodeTarget,
  clock: Clock,
  tls: LinkTls | undefined,
): Promise<KnownCommands | string> {
  return new Promise((resolve) => {
    const replies: Buffer[] = [];
    const connection = new NodeConnection(
      target,
      { clock, tls, connectTimeoutMs: ANSWER_MS_MAX },
      {
        onReady: () => {
          connection.write([encodeCommand(["COMMAND"]), encodeCommand(["INFO", "server"])]);
        },
        onReply: (raw) => {
          replies.push(raw);
          if (replies.length < 2) return;
          resolve(toldBy(replies));
          connection.destroy("told");
        },
        onClose: (cause) => {
          endTimer();
          resolve(cause);
        },
      },
    );
    const endTimer = clock.after(ANSWER_MS_MAX, () => {
      connection.destroy("no answer to COMMAND");
    });
  });
}

function toldBy([commands, info]: readonly Buffer[]): KnownCommands | string {
  if (commands === undefined || info === undefined) return "no answer";
  const table = parseCommandTable(decodeReply(commands));
  if (table.size === 0) return `COMMAND was answered by ${commands.toString("utf8", 0, 80)}`;
  const text = textOf(decodeReply(info)) ?? "";
  const version = /^(?:valkey_version|redis_version):(\S+)/m.exec(text)?.[1];
  return { table, redisVersion: version ?? "7.0.0" };
}
