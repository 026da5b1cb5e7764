// command-source.ts: gets the table of commands and the version from the first data node that replies.
// Masters are asked first. A dead node answers COMMAND and INFO too, so the table is known before the first master
// exists.
import type { Credentials } from "../../core/credentials.ts";
import { FailureError, failureOf, type NodeFailure } from "../../core/failure.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import type { CommandTable } from "../../route/commands/command-table.ts";
import {
  REDIS_VERSION_LEAST,
  REPORT_COMMANDS,
  reportedCommands,
  type ReportedCommands,
  type ServerName,
} from "../../route/commands/reported-commands.ts";
import { BackendConnection, type BackendTarget } from "../pipelines/backend-connection.ts";
import { targetOf } from "../pipelines/pipeline-context.ts";
import type { EngineRules } from "../limits.ts";

export interface CommandSource {
  /** undefined until a data node has reported it. */
  readonly table: CommandTable | undefined;
  /** The lowest supported version until a data node has reported its own. */
  readonly redisVersion: string;
  readonly serverName: ServerName;
  /** Why no node has reported it yet: the failure of the last node asked. */
  readonly silence: NodeFailure | undefined;
  /** Calls `task` with true when the table is known; with false after `holdForMs` without it, if given, or on close. */
  whenKnown(task: (isKnown: boolean) => void, holdForMs?: number): void;
  /** Call this when view() has changed: a replaced or upgraded master may know other commands. */
  viewChanged(): void;
  close(): void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const RETRY_MS = 200;
const ANSWER_MS_MAX = 2000;

interface Asking {
  readonly credentials: Credentials | undefined;
  readonly clientName: string;
  readonly rules: EngineRules;
  readonly clock: Clock;
}

interface CommandSourceOptions extends Asking {
  /** The view as the engine sees it. */
  view(): View | undefined;
  readonly log: Log;
}

export function openCommandSource(options: CommandSourceOptions): CommandSource {
  const { clock, log } = options;
  const waiting = new Set<(isKnown: boolean) => void>();
  // Plain fields, not getters: every command reads them, and getters in a literal are slow.
  const known: Pick<Mutable<CommandSource>, "table" | "redisVersion" | "serverName" | "silence"> = {
    table: undefined,
    redisVersion: REDIS_VERSION_LEAST,
    serverName: "redis",
    silence: undefined,
  };
  const state = { isClosed: false, isAsking: false, askedFor: new Set<string>() };
  const isClosed = (): boolean => state.isClosed;
  let endRetry: (() => void) | undefined;
  const ask = async (): Promise<void> => {
    const masters = mastersOf(options.view());
    const isKnown = known.table !== undefined && masters.every((one) => state.askedFor.has(one));
    if (state.isAsking || state.isClosed || isKnown) return;
    endRetry?.();
    state.isAsking = true;
    const silent = new Set<string>();
    for (const target of candidates(options.view(), state.askedFor)) {
      const reported = await askNode(target, options);
      // A function call, because close() may happen during the await.
      if (isClosed()) return;
      if (reported instanceof FailureError) {
        silent.add(target.name);
        known.silence = failureOf(target.name, reported);
        const why = reported.reason;
        log.debug("a data node reported no command table", { node: target.name, why });
        continue;
      }
      Object.assign(known, reported);
      state.isAsking = false;
      // A master that did not reply is asked again at the next change of the view.
      state.askedFor = new Set(masters.filter((one) => !silent.has(one.split(" ")[0] ?? "")));
      for (const task of waiting) task(true);
      waiting.clear();
      // The view may have changed during the await.
      if (mastersOf(options.view()).join() !== masters.join()) void ask();
      return;
    }
    state.isAsking = false;
    endRetry = clock.after(RETRY_MS, () => void ask());
  };
  void ask();
  return Object.assign(known, {
    whenKnown: (task, holdForMs) => {
      if (known.table !== undefined || state.isClosed) {
        task(known.table !== undefined);
        return;
      }
      const giveUp = (): void => {
        if (waiting.delete(settle)) task(false);
      };
      const cancelTimeout = holdForMs === undefined ? undefined : clock.after(holdForMs, giveUp);
      const settle = (isKnown: boolean): void => {
        cancelTimeout?.();
        task(isKnown);
      };
      waiting.add(settle);
    },
    viewChanged: () => void ask(),
    close: () => {
      state.isClosed = true;
      endRetry?.();
      for (const task of waiting) task(false);
      waiting.clear();
    },
  } satisfies Omit<CommandSource, keyof typeof known>);
}

/** An upgraded node has restarted: with another run id it may know other commands. */
function mastersOf(view: View | undefined): string[] {
  return (view?.nodes ?? []).filter(({ role }) => role === "master").map(processOf);
}

function processOf({ name, runId }: NodeView): string {
  return `${name} ${runId ?? ""}`;
}

/** Masters that were not asked yet, then the other masters, then all other data nodes. */
function candidates(view: View | undefined, askedFor: ReadonlySet<string>): BackendTarget[] {
  const nodes = (view?.nodes ?? []).filter(({ kind }) => kind === "data");
  const rankOf = (node: NodeView): number => {
    if (node.role === "master") return askedFor.has(processOf(node)) ? 1 : 0;
    return node.role === "dead" ? 3 : 2;
  };
  return [...nodes].sort((a, b) => rankOf(a) - rankOf(b)).map(targetOf);
}

/** The node's table and version, or the failure. */
function askNode(
  target: BackendTarget,
  { credentials, clientName, rules, clock }: Asking,
): Promise<ReportedCommands | FailureError> {
  return new Promise((resolve) => {
    const replies: Buffer[] = [];
    const options = {
      protocol: 2 as const,
      credentials,
      clientName,
      tls: rules.tls.nodes,
      clock,
    };
    const connection = new BackendConnection(target, options, {
      onReady: () => {
        for (const command of REPORT_COMMANDS) connection.write(command);
      },
      onReply: (bytes, start, end) => {
        replies.push(Buffer.from(bytes.subarray(start, end)));
        if (replies.length < REPORT_COMMANDS.length) return;
        connection.destroy("it has reported its commands");
        resolve(reportedCommands(replies));
      },
      onClose: (cause) => {
        endTimer();
        resolve(cause);
      },
    });
    const endTimer = clock.after(ANSWER_MS_MAX, () => {
      connection.destroy("no answer to COMMAND", "timeout", "no-answer");
    });
  });
}
