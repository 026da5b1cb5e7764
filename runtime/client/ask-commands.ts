// ask-commands.ts: the table of commands and the version, asked of the first node that answers. Masters should come first
// in the list; a dead node answers COMMAND and INFO as well.
import type { Problem } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { TELL_COMMANDS, toldCommands, type ToldCommands } from "../route/told-commands.ts";
import { NodeConnection, type NodeTarget } from "./node-connection.ts";

const ANSWER_MS_MAX = 2000;
const RETRY_MS = 100;

/** Asks until some node tells; undefined when `isOver` says so first. `onSilence` hears why a node told nothing. */
export async function askCommands(options: {
  readonly targets: () => readonly NodeTarget[];
  readonly clock: Clock;
  readonly tls: LinkTls | undefined;
  readonly isOver: () => boolean;
  readonly onSilence: (target: NodeTarget, why: string) => void;
}): Promise<ToldCommands | undefined> {
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
): Promise<ToldCommands | string> {
  return new Promise((resolve) => {
    const replies: Buffer[] = [];
    const connection = new NodeConnection(
      target,
      { clock, tls, connectTimeoutMs: ANSWER_MS_MAX },
      {
        onReady: () => {
          connection.write(TELL_COMMANDS);
        },
        onReply: (raw) => {
          replies.push(raw);
          if (replies.length < TELL_COMMANDS.length) return;
          resolve(toldCommands(replies));
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

/** Why no command is sent yet, of a node that told no table. */
export function silenceOf(target: NodeTarget, why: string): Problem {
  const isLocked = /NOAUTH|WRONGPASS|NOPERM/.test(why);
  const remedy = isLocked
    ? "give the right password as option password"
    : "see why the node does not answer; if it runs, see that both sides speak TLS or neither does";
  return { code: "NODE_SILENT", message: `${target.name}: ${why}`, remedy };
}
