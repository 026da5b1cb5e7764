// command-source.ts: the table of commands and the version, asked of the first data node that answers.
// Masters first; a dead node answers COMMAND and INFO as well, so the table is there before the first master is.
import { credentialsOf } from "../../core/credentials.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import type { ViewSource } from "../../register/view-source.ts";
import type { CommandTable } from "../../route/command-table.ts";
import {
  REDIS_VERSION_LEAST,
  TELL_COMMANDS,
  toldCommands,
  type ToldCommands,
} from "../../route/told-commands.ts";
import { BackendConnection, type BackendTarget } from "../lanes/backend-connection.ts";
import { targetOf } from "../lanes/lane-context.ts";
import type { RouterRules } from "../rules/limits.ts";

export interface CommandSource {
  /** Undefined until some data node has told. */
  readonly table: CommandTable | undefined;
  /** The lowest version Twine supports until some data node has told. */
  readonly redisVersion: string;
  /** Runs `task` once the table is there, or with false when it is not within `holdForMs`. */
  whenKnown(task: (isKnown: boolean) => void, holdForMs: number): void;
  close(): void;
}

const RETRY_MS = 200;
const ANSWER_MS_MAX = 2000;

interface Asking {
  readonly password: string | undefined;
  readonly rules: RouterRules;
  readonly clock: Clock;
}

export function openCommandSource(
  options: Asking & { readonly viewSource: ViewSource; readonly log: Log },
): CommandSource {
  const { viewSource, clock, log } = options;
  const waiting = new Set<(isKnown: boolean) => void>();
  // Plain fields, not getters over variables: every command asks, and a literal with getters in it is read slowly.
  const known: { table: CommandTable | undefined; redisVersion: string } = {
    table: undefined,
    redisVersion: REDIS_VERSION_LEAST,
  };
  const state = { isClosed: false, isAsking: false };
  const isClosed = (): boolean => state.isClosed;
  let endRetry: (() => void) | undefined;
  const ask = async (): Promise<void> => {
    if (state.isAsking || state.isClosed || known.table !== undefined) return;
    endRetry?.();
    state.isAsking = true;
    for (const target of candidates(viewSource.current())) {
      const told = await askNode(target, options);
      // Asked again by a call: it may have been closed while the node was answering.
      if (isClosed()) return;
      if (typeof told === "string") {
        log.debug("a data node told no table of commands", { node: target.name, why: told });
        continue;
      }
      Object.assign(known, told);
      for (const task of waiting) task(true);
      waiting.clear();
      return;
    }
    state.isAsking = false;
    endRetry = clock.after(RETRY_MS, () => void ask());
  };
  const endWatch = viewSource.onChange(() => void ask());
  void ask();
  return Object.assign(known, {
    whenKnown: (task, holdForMs) => {
      const endHold = clock.after(holdForMs, () => {
        if (waiting.delete(told)) task(false);
      });
      const told = (isKnown: boolean): void => {
        endHold();
        task(isKnown);
      };
      waiting.add(told);
    },
    close: () => {
      state.isClosed = true;
      endWatch();
      endRetry?.();
      for (const task of waiting) task(false);
      waiting.clear();
    },
  } satisfies Omit<CommandSource, "table" | "redisVersion">);
}

function candidates(view: View | undefined): BackendTarget[] {
  const nodes = (view?.nodes ?? []).filter(({ kind }) => kind === "data");
  const rank = { master: 0, replica: 1, up: 1, dead: 2 };
  return [...nodes].sort((a, b) => rank[a.role] - rank[b.role]).map(targetOf);
}

/** The node's table and version, or why it told none. */
function askNode(
  target: BackendTarget,
  { password, rules, clock }: Asking,
): Promise<ToldCommands | string> {
  return new Promise((resolve) => {
    const replies: Buffer[] = [];
    const options = {
      protocol: 2 as const,
      credentials: credentialsOf("router", password),
      tls: rules.tls.nodes,
      clock,
    };
    const connection = new BackendConnection(target, options, {
      onReady: () => {
        for (const command of TELL_COMMANDS) connection.write(command);
      },
      onReply: (bytes, start, end) => {
        replies.push(Buffer.from(bytes.subarray(start, end)));
        if (replies.length < TELL_COMMANDS.length) return;
        connection.destroy("told");
        resolve(toldCommands(replies));
      },
      onClose: (cause) => {
        endTimer();
        resolve(cause);
      },
    });
    const endTimer = clock.after(ANSWER_MS_MAX, () => {
      connection.destroy("no answer to COMMAND");
    });
  });
}
